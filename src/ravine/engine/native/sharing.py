"""Runs of a seed see the same batches: where a step is little more than reading one, some runs share its copy.

Shapes: R run, G group of runs, B example, D feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from ravine.engine.setting import Setting
from ravine.native.code import BYTES
from ravine.native.compiler import Compiler
from ravine.native.function import Function
from ravine.native.gathering import gathering

_CACHE = 5 * 2**18  # bytes of a core's caches that the numbers of a group may fill
_MOST, _LEAST = 16, 4  # runs of a group


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How some runs share a batch: its bits, and theirs, are the same as alone.

    Args:
        batch_size: B.
        width: D.
        most: runs of a group.
        turned: whether there is a second copy, turned round: narrow products read it faster.
    """

    batch_size: int
    width: int
    most: int
    turned: bool

    @staticmethod
    def of(setting: Setting) -> Shared | None:
        """None where it gains nothing: a run's own numbers are more than its batch's, or no two runs see the same."""
        cohort, x = setting.cohort, setting.data.x
        if setting.takes_all or x.dim() != 2 or len(cohort.runs) == setting.num_seeds:
            return None
        slots = max(len(each) for each in setting.state.slots)
        batch, own = (
            BYTES["f32"] * cohort.recipe.batch_size * x.shape[1],
            BYTES["f32"] * setting.network.layout.size,
        )
        if batch < own * (2 + slots):
            return None
        turned = 2 * batch <= _CACHE
        room = _CACHE - batch * (1 + turned)
        return Shared(
            batch_size=cohort.recipe.batch_size,
            width=x.shape[1],
            most=max(_LEAST, min(_MOST, room // (own * (1 + slots)))),
            turned=turned,
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of a thread's own memory, by name of the input."""
        size = BYTES["f32"] * self.batch_size * self.width
        return {"batch": size, **({"turned": size} if self.turned else {})}

    def copy(self, compiler: Compiler) -> Function:
        """x, rows -> batch, and turned round."""
        numbers = [compiler.number(name) for name in ("x", "rows", "batch")]
        turned = compiler.number("turned") if self.turned else None
        return gathering((numbers[0], numbers[1], numbers[2], turned), self.batch_size, self.width)

    def groups(
        self, runs: np.ndarray, batch_index_R: np.ndarray, num_threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs in another order, and the sizes of groups of neighbours with the same batch: as many for each thread.

        Args:
            runs: those that are trained.
            batch_index_R: which batch each run of the cohort sees.
            num_threads: that train groups.
        """
        if not len(runs):
            return runs, np.zeros(0, dtype=np.int64)
        order = runs[np.argsort(batch_index_R[runs], kind="stable")]
        _, counts = np.unique(batch_index_R[order], return_counts=True)
        parts = -(-counts // self.most)
        while parts.sum() % num_threads and (parts < counts).any():
            largest = np.argmax(np.where(parts < counts, counts / parts, 0))
            parts[largest] += 1
        sizes = [
            len(part)
            for count, num in zip(counts, parts, strict=True)
            for part in np.array_split(np.arange(count), num)
        ]
        return order, np.array(sizes, dtype=np.int64)
