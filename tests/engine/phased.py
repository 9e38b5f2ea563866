"""Runs of several phases, trained by the engine alone, each phase with the ends of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from engine_runs import (
    CPU,
    FUSED,
    NATIVE,
    Trained,
    all_runs,
    network_of,
    random_dataset,
    study,
    trained_by,
)

from ravine.engine.beginning import End
from ravine.engine.cohort import Cohort
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.launch.rounds import parent_of
from ravine.launch.subject import by_structure
from ravine.study import Run, Study

PICTURES = random_dataset((1, 8, 8))
PHASES = (
    {"train": "head", "steps": 5, "lr": 0.02},
    {"train": "from:1", "steps": 4, "lr": 0.01},
    {"train": "all", "steps": 6, "lr_factor": 0.1},
)


def phased(**changes: Any) -> Study:
    """Three blocks, two of them with a BatchNorm, unfrozen one after another."""
    fields: dict[str, Any] = {
        "data": PICTURES,
        "model": {"kind": "convnet", "channels": [4, 4], "hidden": 0, "norm": "batch"},
        "phases": PHASES,
        "steps": None,
        "batch_size": 8,
        "seeds": 1,
        "evaluations": 2,
        "rules": [{"kind": "adam", "lr": 0.1}],
    }
    return study(**{**fields, **changes})


def ends_of(finished: Finished) -> dict[str, End]:
    """The ends of runs, by id."""
    return {
        run: End(
            weights={name: array[row] for name, array in finished.weights.items()},
            kept={name: array[row] for name, array in finished.kept.items()},
        )
        for row, run in enumerate(finished.runs)
    }


def training_on(
    study: Study, runs: Sequence[Run], backend: str, ends: Mapping[str, End], **options: Any
) -> Training:
    """The last phase of some runs, which go on from the ends of the runs before, by the ids of these."""
    before = {run.id: ends[parent.id] for run in runs if (parent := parent_of(run)) is not None}
    network = network_of(study, runs)
    cohort = Cohort.of(runs, study.averages)
    return Training(cohort, network, study.data, backend, CPU, ends=before or None, **options)  # type: ignore[arg-type]


def ends_before(study: Study, runs: Sequence[Run], backend: str = FUSED) -> dict[str, End]:
    """The ends of all runs that some runs go on from, by id; each is trained once."""
    together, found = backend in (FUSED, NATIVE), dict[str, End]()
    for phase in range(max(len(run.recipe.chain) for run in runs) - 1):
        level = {}
        for run in runs:
            each = replace(run, recipe=run.recipe.chain[phase])
            level[each.id] = each
        some = list(level.values())
        for group in by_structure(some) if together else [[run] for run in some]:
            last = list(training_on(study, group, backend, found).records(ends=True))[-1]
            assert isinstance(last, Finished)
            found |= ends_of(last)
    return found


def trained_on(study: Study, runs: Sequence[Run] | None = None, backend: str = FUSED) -> Trained:
    """All phases of some runs; what came of the last one."""
    some = all_runs(study) if runs is None else runs
    return trained_by(training_on(study, some, backend, ends_before(study, some, backend)))


def weights_of(trained: Trained, run: Run) -> dict[str, np.ndarray]:
    return {name: array for name, array in trained.weights(run).items() if array.dtype == np.float32}
