"""The learning rate of every run at every step.

Shapes: R run, T step of a stretch.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from ravine import schedules
from ravine.engine.cohort import Cohort
from ravine.schedules.spec import ScheduleSpec

_STRETCH = 1 << 20  # numbers on the device at a time


class LearningRates:
    """Base rate times the schedule's factor, computed in float64 and rounded once to float32.

    A schedule is a table, so that runs of one program may follow different kinds. It is made for a stretch of steps
    at a time: a run of a billion steps has no table of a billion numbers.
    """

    def __init__(self, cohort: Cohort, device: torch.device) -> None:
        specs: dict[str, ScheduleSpec] = {}
        keys = [json.dumps(dict(run.recipe.schedule), sort_keys=True) for run in cohort.runs]
        for key, run in zip(keys, cohort.runs, strict=True):
            if key not in specs:
                specs[key] = schedules.parse_schedule(dict(run.recipe.schedule), "schedule")
        kinds = list(specs)
        self._specs, self._steps = list(specs.values()), cohort.recipe.steps
        self._kind_R = np.array([kinds.index(key) for key in keys])
        self._base_R = np.array([run.recipe.hypers["lr"] for run in cohort.runs])
        self._device = device
        self._length = max(1, _STRETCH // len(cohort.runs))
        self._start = -1
        self._stretch_TR = torch.empty(0)

    def at(self, step: int) -> Tensor:
        """The rates from one step on, counted from 0, as many as there are at hand: float32 (T, R)."""
        start = step - step % self._length
        if start != self._start:
            tables = [schedules.table(spec, self._steps, start, start + self._length) for spec in self._specs]
            factors_TR = np.stack(tables, axis=1)[:, self._kind_R]
            # row by row: a compiled step takes no strides
            rates_TR = (factors_TR * self._base_R).astype(np.float32, order="C")
            self._stretch_TR, self._start = torch.from_numpy(rates_TR).to(self._device), start
        return self._stretch_TR[step - start :]
