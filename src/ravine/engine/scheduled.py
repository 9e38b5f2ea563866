"""What changes from step to step by a schedule: the learning rate of every run, and the shares of its averages.

Shapes: R run, T step of a stretch, N number: the learning rate, and then the share of each average.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from ravine import schedules
from ravine.engine.cohort import Cohort
from ravine.rules.averages import Average
from ravine.schedules.spec import ScheduleSpec

_STRETCH = 1 << 20  # numbers on the device at a time


class Scheduled:
    """Base rate times the schedule's factor, computed in float64 and rounded once, if at all; and shares likewise.

    A schedule is a table, so that runs of one program may follow different kinds. It is made for a stretch of steps
    at a time: a run of a billion steps has no table of a billion numbers.

    Args:
        cohort: the runs.
        batches_per_epoch: steps of an epoch.
        device: where the numbers are used.
        dtype: what they are rounded to.

    Attributes:
        first_AR: the first step, counted from 1, whose weights are averaged; 0 where a run has no such average.
    """

    def __init__(
        self, cohort: Cohort, batches_per_epoch: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        specs: dict[str, ScheduleSpec] = {}
        keys = [json.dumps(dict(run.recipe.schedule), sort_keys=True) for run in cohort.runs]
        for key, run in zip(keys, cohort.runs, strict=True):
            if key not in specs:
                specs[key] = schedules.parse_schedule(dict(run.recipe.schedule), "schedule")
        kinds = list(specs)
        self._specs, self._steps = list(specs.values()), cohort.recipe.steps
        self._kind_R = np.array([kinds.index(key) for key in keys])
        self._base_R = np.array([run.recipe.hypers["lr"] for run in cohort.runs])
        averages = cohort.averages
        self._averages: list[list[Average | None]] = [  # of each kind
            [] if averages is None else averages.along(self._steps, batches_per_epoch, spec)
            for spec in self._specs
        ]
        first = [[0 if each is None else each.first for each in found] for found in self._averages]
        self.first_AR = np.array(first, dtype=np.int64).reshape(len(kinds), -1)[self._kind_R].T
        self._device, self._dtype = device, dtype
        self._length = max(1, _STRETCH // (len(cohort.runs) * (1 + len(self.first_AR))))
        self._start = -1
        self._stretch_TNR = torch.empty(0)

    def at(self, step: int) -> Tensor:
        """The numbers from one step on, counted from 0, as many as there are at hand: (T, N, R)."""
        start = step - step % self._length
        if start != self._start:
            stop = min(start + self._length, self._steps)
            tables = [schedules.table(spec, self._steps, start, stop) for spec in self._specs]
            rates_TR = np.stack(tables, axis=1)[:, self._kind_R] * self._base_R
            numbers = [rates_TR, *(self._shares(i, start, stop) for i in range(len(self.first_AR)))]
            # number by number: a compiled step takes no strides
            numbers_TNR = torch.from_numpy(np.stack(numbers, axis=1)).to(self._dtype).contiguous()
            self._stretch_TNR, self._start = numbers_TNR.to(self._device), start
        return self._stretch_TNR[step - start :]

    def _shares(self, i: int, start: int, stop: int) -> np.ndarray:
        """Of one average, (T, R)."""
        t = np.arange(start, stop) + 1
        columns = [
            np.zeros(len(t)) if each is None else each.share(t) for each in (a[i] for a in self._averages)
        ]
        return np.stack(columns, axis=1)[:, self._kind_R]
