"""Runs of several phases, tensors that they share, heads on features: a run is the same run anywhere, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from engine_runs import FUSED, NATIVE, all_runs, random_dataset, same, trained_by
from phased import ends_before, phased, training_on
from test_contract_cohorts import EVERYTHING, shuffled

import small_backbone
from ravine.engine.cohort import Cohort
from ravine.engine.training import Training
from ravine.launch.subject import Subject, by_structure
from ravine.study import Run, Study

pytestmark = (
    pytest.mark.slow
)  # each has a fast relative: in tests/engine/test_engine_phases.py, tests/launch/test_heads.py
PHASES = (
    {"train": "head", "steps": 4, "lr": 0.02},
    {"train": "from:1", "steps": 3, "lr": 0.01, "schedule": {"kind": "cosine", "warmup": 1}},
    {"train": "all", "steps": 6, "lr_factor": 0.5},
)
DATA = random_dataset((3, 8, 8), num=90)


@pytest.mark.parametrize("backend", [NATIVE, FUSED])
def test_runs_of_phases(backend: str) -> None:
    """With any neighbours (one of which diverges), in any order, and after an interruption."""
    model = {"kind": "mlp", "hidden": [5, 4], "norm": "batch", "dropout": 0.3}
    made = phased(rules=EVERYTHING, phases=PHASES, model=model, evaluations=1)
    for runs in by_structure(all_runs(made)):
        ends = ends_before(made, runs, backend)
        whole = trained_by(training_on(made, runs, backend, ends))
        apart = shuffled(runs.copy(), 1)
        for group in (apart[::2], apart[1::2]):
            found = trained_by(training_on(made, group, backend, ends)) if group else whole
            for run in group:
                same(found, whole, run)
        begun = training_on(made, runs[::-1], backend, ends)
        records = begun.records(tick_seconds=0.0)
        while begun.step < 2:
            next(records)
        again = trained_by(training_on(made, runs, backend, ends, start=(begun.step, begun.snapshot())))
        for run in runs:
            same(again, whole, run)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a network of the user's and its weights."""
    found = tmp_path_factory.mktemp("phases")
    small_backbone.placed(found, "contract_small")
    return found


def subject_of(folder: Path, train: str, *, weights: bool = True) -> Subject:
    model = {"kind": "backbone", "target": "contract_small:Small", "head": {"hidden": [5]}}
    study = Study(
        name="small",
        data=DATA,
        model=model | ({"weights": "file:small.safetensors"} if weights else {}),
        rules=[{"kind": "sgd", "lr": [0.01, 1e20]}, {"kind": "adam", "lr": 1e-2}],
        phases=[{"train": train, "steps": 6}],
        batch_size=16,
        seeds=2,
        evaluations=1,
    )
    return Subject.of(study, search=folder, device="cpu")


def training_of(subject: Subject, runs: Sequence[Run], backend: str, start: Any = None) -> Training:
    data, network = subject.data_of(runs), subject.network(runs)
    return Training(Cohort.of(runs), network, data, backend, subject.device, start)


@pytest.mark.parametrize(
    ("train", "backend"),
    # One of the convolutions that "all" trains, `last`, rounds differently in PyTorch in cohorts of other sizes.
    [("head", NATIVE), ("head", FUSED), ("from:3", NATIVE), ("from:3", FUSED), ("all", NATIVE)],
)
def test_runs_on_features_and_runs_that_share_what_is_frozen(train: str, backend: str, folder: Path) -> None:
    subject = subject_of(folder, train)
    runs = subject.runs()
    training = training_of(subject, runs, backend)
    fixed = training.setting.constants.fixed
    assert bool(fixed) == (train == "all"), (
        "frozen norms; others learn from what their frozen part makes of the data"
    )
    assert all(tensor.stride(0) == 0 for tensor in fixed.values()), (
        "all seeds have the same ones: they are there once"
    )
    whole = trained_by(training)
    assert 0 < len(whole.finished.diverged) < len(runs)
    # A convolution of PyTorch's rounds otherwise where a run is alone.
    for group in (runs[: 1 + (backend == FUSED)], runs[1:4:2], runs[::-1]):
        found = trained_by(training_of(subject, group, backend))
        for run in group:
            same(found, whole, run)
    begun = training_of(subject, runs[::-1], backend)
    records = begun.records(tick_seconds=0.0)
    while begun.step < 2:
        next(records)
    again = trained_by(training_of(subject, runs, backend, (begun.step, begun.snapshot())))
    for run in runs:
        same(again, whole, run)


def test_bodies_that_differ_are_not_shared(folder: Path) -> None:
    """Without weights each seed draws its own body."""
    subject = subject_of(folder, "from:3", weights=False)
    runs = subject.runs()
    training = training_of(subject, runs, FUSED)
    assert any(tensor.stride(0) for tensor in training.setting.constants.fixed.values())
    whole = trained_by(training)
    for group in (runs[::2], runs[1::2]):
        found = trained_by(training_of(subject, group, FUSED))
        for run in group:
            same(found, whole, run)
