"""Runs of a seed see the same batches: where a step is little more than the products of one, some runs share these.

Shapes: R run, G group of runs, B example, D feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ravine.engine.native.gradients import shared_gradient
from ravine.engine.native.rounds import Round
from ravine.engine.setting import Setting
from ravine.native.code import BYTES
from ravine.native.compiler import Compiler, rows_of

MOST_BYTES = 1 << 28
"""Of what all runs of a cohort have of their products: wide layers with large batches would take gigabytes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How some runs share the products of a batch: their bits are those of a run alone.

    Args:
        gradient: the rounds of a gradient, at the parameters or where the rule says.
        above: the rounds of the second gradient, where the runs have one.
        own: bytes of a thread's memory, by name of the input.
        memory: of each run, (R, ...) by name of the input: what goes from one round to the next.
    """

    gradient: tuple[Round, ...]
    above: tuple[Round, ...]
    own: dict[str, int]
    memory: dict[str, Tensor]

    @staticmethod
    def of(setting: Setting, compiler: Compiler) -> Shared | None:
        """None where it gains nothing (a run's own numbers are more than its batch's, or no two runs see the same), or
        would take too much memory.

        Raises:
            Unsupported: no machine code is made for some operation of the model.
        """
        cohort, x = setting.cohort, setting.data.x
        if setting.takes_all or setting.augmenting or x.dim() != 2 or len(cohort.runs) == setting.num_orders:
            return None
        size, width, slots = cohort.recipe.batch_size, x.shape[1], max(map(len, setting.state.slots))
        own = BYTES["f32"] * setting.network.layout.size
        if BYTES["f32"] * size * width < own * (2 + slots):
            return None
        parts = [shared_gradient(setting, compiler, "points")]
        if cohort.ascends:
            parts.append(shared_gradient(setting, compiler, "above"))
        num_runs, block, rounds = len(cohort.runs), 0, list[tuple[Round, ...]]()
        memory = {"points": setting.network.layout.size, "above": setting.network.layout.size}
        for part in parts:
            if part is None:
                return None
            rest, panels = part
            if 2 * BYTES["f32"] * num_runs * panels.rows * size > MOST_BYTES:
                return None
            # With one block, its examples are still in the cache when a run's gradient is taken, so its step follows at
            # once.
            if panels.several:
                rounds.append(((panels.forward(), [rest]), (panels.backward(), [])))
                memory["grads"] = setting.network.layout.size
            else:
                rounds.append(((panels.forward(), [rest, panels.backward_alone()]),))
            block = panels.block_bytes
            memory |= {"product": panels.rows * size, "slopes": panels.rows * size}
        return Shared(
            gradient=rounds[0],
            own={"block": block},
            above=rounds[-1] if cohort.ascends else (),
            memory={name: torch.zeros(num_runs, num) for name, num in memory.items()},
        )

    @property
    def rows(self) -> dict[str, list[int]]:
        """Where the memory of each run lies, by name of the input."""
        return {name: rows_of(tensor) for name, tensor in self.memory.items()}
