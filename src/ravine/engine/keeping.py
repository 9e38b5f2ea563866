"""After which steps of a cohort's training the weights of which runs are kept, and averages of the weights banked."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import final

from ravine import schedules
from ravine.study import Run
from ravine.study.bank import bank_steps
from ravine.study.keep import Keep


@final
class Keeping:
    """The kept steps of some runs: they may differ from run to run, as the cycles of their schedules do.

    Args:
        keep: what a study keeps; None: nothing.
        runs: of one structure.
        batches_per_epoch: steps of an epoch.
        bank: how many times along a run averages are banked.
    """

    def __init__(self, keep: Keep | None, runs: Sequence[Run], batches_per_epoch: int, bank: int = 0) -> None:
        self._end = runs[0].recipe.steps
        self._banked = bank_steps(bank, self._end)
        self._of_kind: dict[str, Sequence[int]] = {}
        self._kind_of: dict[str, str] = {}
        for run in runs if keep else ():
            schedule = dict(run.recipe.schedule)
            kind = self._kind_of[run.id] = json.dumps(schedule, sort_keys=True)
            if keep and kind not in self._of_kind:
                spec = schedules.parse_schedule(schedule)
                self._of_kind[kind] = keep.along(self._end, batches_per_epoch, spec)

    def next(self, step: int) -> int:
        """The next step after this one at which there is something to store; else the end of the runs."""
        found = [self._end]
        for steps in (*self._of_kind.values(), self._banked):
            place = bisect_right(steps, step)
            found += steps[place : place + 1]
        return min(found)

    def banks(self, step: int) -> bool:
        """Whether averages are banked after so many steps."""
        return step in self._banked

    def now(self, step: int) -> frozenset[str]:
        """The runs whose weights are kept after so many steps."""
        kinds = {kind for kind, steps in self._of_kind.items() if step in steps}
        return frozenset(run for run, kind in self._kind_of.items() if kind in kinds)
