"""A step of runs whose rules search: evaluations by machine code, and where each run goes from there as traced.

An evaluation is of one run after another, whose numbers stay in a core's caches; what follows are a few hundred
operations over all runs.

Shapes: R run, S seed, B batch, I input.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ravine.engine.native.gradients import addresses, gradient
from ravine.engine.search import augment_held, go_on, hold, numbers_of
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, State
from ravine.engine.traced.tracing import traced
from ravine.native.compiler import Compiler, rows_of
from ravine.native.workers import Jobs, Workers


class NativeSearch:
    """The training step of a cohort whose rules search.

    Args:
        setting: what a step is made of.

    Raises:
        Unsupported: no machine code is made for some operation of the model.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting, self._compiler = setting, Compiler()  # whose constants the code reads
        num_runs = len(setting.cohort.runs)
        function = gradient(setting, self._compiler, "points")
        self._loss_R, self._accuracy_R = torch.zeros(num_runs), torch.zeros(num_runs)
        rows = [row for slots in setting.state.slots for row in rows_of(slots["batch_rows"])]
        self._all_rows_RB: Tensor | None = None  # of a fold, where a batch is all that it learns from
        if setting.full_batch and setting.constants.of_set:
            shape = (num_runs, setting.cohort.recipe.batch_size)
            self._all_rows_RB = torch.zeros(shape, dtype=torch.int64)
            rows = rows_of(self._all_rows_RB)
        of_run = {
            **addresses(setting),
            "rows": rows,
            "number": [row for slots in setting.state.slots for row in rows_of(slots["batch_number"])],
            "grads": rows_of(setting.constants.grads_RP),
            "loss": rows_of(self._loss_R),
            "accuracy": rows_of(self._accuracy_R),
        }
        jobs = Jobs(
            tables_JI=self._compiler.table(of_run, num_runs),
            functions=[[function]] * num_runs,
            own={},
            flushes=setting.network.flushes,
        )
        self._evaluate = Workers(jobs, torch.get_num_threads(), team=True).once_each()

        # The gradients are an input: to a program that does not write them they would be constant.
        def onward(
            state: State, constants: Constants, _: Data, grads_RP: Tensor, *given: Tensor
        ) -> tuple[Tensor, Tensor]:
            return go_on(setting, state, replace(constants, grads_RP=grads_RP), *given)

        self._onward = traced(
            setting, onward, (*self._evaluation(), torch.ones(setting.cohort.num_scheduled, num_runs))
        )

    def __call__(
        self,
        rows_SB: Tensor,
        scheduled_NR: Tensor,
        t: Tensor,  # noqa: ARG002 (as every step)
        number: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """A step, as `ravine.engine.step.Step`."""
        hold(self._setting, self._setting.state, self._setting.constants, rows_SB, number)
        augment_held(self._setting)
        if self._all_rows_RB is not None:
            self._all_rows_RB.copy_(rows_SB[self._setting.constants.batch_index_R])
        self._evaluate()
        return self._onward(*self._evaluation(), scheduled_NR)

    def _evaluation(self) -> tuple[Tensor, ...]:
        """What was found, and at which step of each run."""
        grads_RP, number_R = self._setting.constants.grads_RP, numbers_of(self._setting.state)
        return grads_RP, number_R, self._loss_R, self._accuracy_R
