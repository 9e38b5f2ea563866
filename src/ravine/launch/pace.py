"""How long the runs of a study take: measured on a few steps of a few of them, before any is trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ravine.data import Dataset
from ravine.engine.cohort import Cohort
from ravine.engine.plan import plan, synchronize
from ravine.engine.programs import TOGETHER
from ravine.engine.training import Training
from ravine.launch.subject import Subject, by_structure
from ravine.study import Run, Study

_SECONDS = 0.25  # of steps
_FORWARD = 1 / 3  # of a step's time: without a gradient
_FINAL = 10_000  # training examples, at most, that are looked at in the end
_TOGETHER = 8  # runs of a program that trains them as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long runs take.

    Args:
        ready: seconds from the launch to the end of the first step.
        run: seconds that each further run takes, where many are trained.
    """

    ready: float
    run: float

    def runs_in(self, seconds: float) -> int:
        """How many runs can be trained in that time; 0 where it is too short for one.

        Example:
            >>> Pace(ready=1.0, run=0.5).runs_in(10.0)
            18
        """
        return max(0, int((seconds - self.ready) / self.run))


def pace(
    study: Study,
    *,
    data: Dataset,
    search: Path | None = None,
    device: str = "auto",
    backend: str = "auto",
) -> Pace:
    """Measure how long the runs of a study take; nothing is stored.

    Args:
        study: some runs of each of its rules are tried.
        data: its data set.
        search: the study's folder, where a user's module is looked for.
        device: "auto", "cpu", "cuda" or "mps".
        backend: as in `launch`.

    Raises:
        InputError: the study does not fit its data or its model.
    """
    began = time.perf_counter()
    subject = Subject.of(study, data=data, search=search, device=device)
    runs = next(by_structure(subject.runs()))
    network, data = subject.network(runs), subject.data_of(runs)
    chosen = plan(runs, network, data, subject.device, backend)
    at_once = 1
    if chosen.backend in TOGETHER:
        at_once = torch.get_num_threads() if chosen.backend == "native" else _TOGETHER
    few = _some(runs, at_once if chosen.backend in TOGETHER else 1)
    training = Training(Cohort.of(few), network, data, chosen.backend, subject.device)
    training.rehearse()
    synchronize(subject.device)
    ready = time.perf_counter() - began
    recipe = runs[0].recipe
    first, started = training.step, time.perf_counter()
    while training.step < recipe.steps and time.perf_counter() - started < _SECONDS:
        training.advance(recipe.steps)
        synchronize(subject.device)
    # A study of one step has shown nothing but its first.
    taken = training.step - first
    step = (time.perf_counter() - started) / taken / len(few) if taken else ready / len(few)
    evaluations = recipe.steps // recipe.evaluate_every + 1
    looked_at = evaluations * len(data.validation) + min(len(data.train), _FINAL)
    return Pace(ready=ready, run=step * (recipe.steps + _FORWARD * looked_at / recipe.batch_size))


def _some(runs: Sequence[Run], number: int) -> list[Run]:
    """So many runs, or more: one of each rule, and others from all over the study."""
    first = {run.label: run for run in reversed(runs)}
    spread = [runs[place * len(runs) // number] for place in range(min(number, len(runs)))]
    found = {run.id: run for run in (*first.values(), *spread)}
    return list(found.values())
