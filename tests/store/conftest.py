"""A small store, and runs to put into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ravine.store import NewRun, RunResult, Store


def make_run(number: int, **changes: object) -> NewRun:
    fields: dict[str, object] = {
        "id": hashlib.sha256(str(number).encode()).hexdigest()[:16],
        "config": hashlib.sha256(str(number // 3).encode()).hexdigest()[:16],
        "rule": "adam",
        "hypers": {"lr": 0.1 / (number + 1), "schedule": "constant"},
        "seed": number % 3,
        "recipe": {"model": {"kind": "mlp", "hidden": [8]}, "steps": 100},
        "num_steps": 100,
    }
    return NewRun(**{**fields, **changes})  # type: ignore[arg-type]


def make_result(run_id: str, **changes: object) -> RunResult:
    fields: dict[str, object] = {
        "id": run_id,
        "diverged_at": None,
        "step": 100,
        "seconds": 0.5,
        "backend": "fused",
        "metrics": {"validation_accuracy": 0.75},
    }
    return RunResult(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def new_run() -> Callable[..., NewRun]:
    return make_run


@pytest.fixture(scope="session")
def result() -> Callable[..., RunResult]:
    return make_result


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs") as opened:
        opened.save_study("digits", definition="epochs = 1", base="base", data_fingerprint="data")
        yield opened


@pytest.fixture
def run_ids(store: Store) -> list[str]:
    """Four planned runs of the study "digits"."""
    runs = [make_run(number) for number in range(4)]
    store.add_runs("digits", runs)
    return [run.id for run in runs]
