"""Procedures over folds by F1 and AUC: equals are rarely told apart, and what is far worse is found.

The simulated studies are those of benchmarks/folds_metrics.py.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ravine.metrics import metric_named

FOLDER = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def simulated() -> ModuleType:
    sys.path.insert(0, FOLDER)
    try:
        return importlib.import_module("folds_metrics")
    finally:
        sys.path.remove(FOLDER)


def separable(
    simulated: ModuleType, name: str, studies: int, *, num: int = 200, repeats: int = 1, gap: float = 0.0
) -> tuple[int, int]:
    """In how many studies the first procedure is found better, and the second, which loses a share of its answers.

    Without such a gap each sees one half of the features, which says as much as the other.
    """
    metric, draw = metric_named(name), simulated.drawn(num, every=4)
    learners = simulated.means(0), simulated.means(0 if gap else 1)
    found = []
    for study in range(studies):
        x, y = draw(np.random.default_rng([study, repeats]))
        tested = simulated.by_folds(x, y, study, learners, (0.0, gap), 5, repeats, metrics=[metric])
        pair = simulated.pair_of(tested[name], metric, y, study)
        if pair.separable:
            found.append(pair.first if pair.difference > 0.0 else pair.second)
    return found.count("a"), found.count("b")


@pytest.mark.parametrize("name", ["f1", "roc_auc"])
def test_equals_are_rarely_told_apart(simulated: ModuleType, name: str) -> None:
    assert sum(separable(simulated, name, 40)) <= 5  # at 5 %: in 1 of 70 such tests more


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("name", ["f1", "roc_auc", "average_precision", "balanced_accuracy"])
def test_equals_are_told_apart_in_at_most_16_of_200(simulated: ModuleType, name: str, repeats: int) -> None:
    assert sum(separable(simulated, name, 200, repeats=repeats)) <= 16


@pytest.mark.parametrize("name", ["f1", "roc_auc"])
def test_a_large_gap_is_found(simulated: ModuleType, name: str) -> None:
    first, second = separable(simulated, name, 8, num=600, gap=0.12)
    assert first >= 6
    assert second == 0
