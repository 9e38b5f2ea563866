"""Stored runs as scores per example, against formulas written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from ravine.outcomes.trials import Predicted, trials
from ravine.store import Labels, NewRun, RunResult, Store

HYPERS = {"lr": 0.1, "stage": "2"}


def filled(folder: Path, task: Literal["classification", "regression"]) -> Store:
    """Three runs: one that is done, one that diverged before its first step, one that waits."""
    regression = task == "regression"
    answers = np.array([1.5, -2.0]) if regression else np.array([0, 1, 1])
    store = Store(folder / "runs")
    store.save_study("s", definition="", base="b", data_fingerprint="d" * 64, notes=())
    store.labels.put(
        "d" * 64,
        Labels(
            name="toy",
            task=task,
            classes=() if regression else ("a", "b"),
            sizes=(4, len(answers), len(answers)),
            validation=answers,
            test=answers[::-1].copy(),
        ),
    )
    ids = [f"{number:016x}" for number in range(3)]
    store.add_runs(
        "s",
        [
            NewRun(id=each, config=each, rule="sgd", hypers=HYPERS, seed=0, recipe={}, num_steps=5)
            for each in ids
        ],
    )
    store.open_cohort("c", ids[:2], {})
    outputs = np.array([1.0, -4.0]) if regression else np.array([[2.0, 1.0], [3.0, 0.0], [0.0, 9.0]])
    both = np.stack([outputs, np.full_like(outputs, np.nan)]).astype(np.float32)
    store.finish_cohort(
        "c",
        [
            RunResult(id=ids[0], diverged_at=None, step=5, seconds=0.1, backend="fused", metrics={}),
            RunResult(id=ids[1], diverged_at=0, step=0, seconds=0.1, backend="fused", metrics={}),
        ],
        {"w": np.zeros((2, 1), np.float32)},
        {"validation": both, "test": both},
    )
    return store


@pytest.mark.parametrize(
    ("task", "validation", "test"),
    [("classification", [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]), ("regression", [-0.25, -4.0], [-9.0, -30.25])],
)
def test_a_stored_run_becomes_scores_per_example(
    tmp_path: Path, task: Literal["classification", "regression"], validation: list[float], test: list[float]
) -> None:
    with filled(tmp_path, task) as store:
        predicted = Predicted(store=store, labels=store.labels.of("d" * 64))
        runs = store.runs("s")
        first, second = trials(runs, predicted)
        assert first.run == runs[0].id
        assert first.validation is not None
        assert first.validation.tolist() == validation
        assert (first.diverged, first.broken_at_start, first.stage) == (False, False, 2)
        assert (second.diverged, second.broken_at_start, second.validation) == (True, True, None)
        assert predicted.test_scores(first.run).tolist() == test
