"""Verdicts about F1 and AUC: two copies of one rule are rarely told apart, a true gap is found, intervals cover.

The simulated studies are those of benchmarks/calibration_metrics.py; the bounds are far from what was measured there.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ravine.metrics import metric_named
from ravine.verdict.own_interval import mean_interval

FOLDER = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def simulated() -> ModuleType:
    sys.path.insert(0, FOLDER)
    try:
        return importlib.import_module("calibration_metrics")
    finally:
        sys.path.remove(FOLDER)


def separable(simulated: ModuleType, name: str, reps: int, gap: float = 0.0) -> tuple[int, int]:
    """In how many studies the first rule is found better, and the second."""
    rng = np.random.default_rng([len(name), reps])
    verdicts = [
        simulated.study_of(
            rng,
            simulated.POPULATIONS[i % len(simulated.POPULATIONS) if gap == 0.0 else 0],
            metric_named(name),
            seeds=(3, 5)[i % 2],
            num_test=(360, 2000)[i // 2 % 2],
            gap=gap,
        )
        for i in range(reps)
    ]
    found = [each.best for each in verdicts if each.separable]
    return found.count("first"), found.count("second")


@pytest.mark.parametrize("name", ["f1", "roc_auc"])
def test_copies_of_one_rule_are_rarely_told_apart(simulated: ModuleType, name: str) -> None:
    assert sum(separable(simulated, name, 40)) <= 5  # at 5 %: in 1 of 70 such tests more


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f1", "roc_auc", "f1_macro", "average_precision", "balanced_accuracy"])
def test_copies_of_one_rule_are_told_apart_in_at_most_16_of_200(simulated: ModuleType, name: str) -> None:
    assert sum(separable(simulated, name, 200)) <= 16


@pytest.mark.parametrize("name", ["f1", "roc_auc"])
def test_a_large_gap_is_found(simulated: ModuleType, name: str) -> None:
    first, second = separable(simulated, name, 12, gap=1.2)
    assert first >= 9
    assert second == 0


def test_an_interval_of_a_share_stays_between_0_and_1() -> None:
    """At 100 % it is as wide as that of as many examples as the rarest class allows."""
    perfect = np.ones((3, 1000))
    low, high = mean_interval(perfect, 0.05, binary=False, share=True, heaviest=50.0)
    assert high == 1.0
    assert low == pytest.approx(mean_interval(np.ones((3, 20)), 0.05, binary=True)[0], abs=1e-9)
    rng = np.random.default_rng(0)
    parts = 0.97 + rng.normal(size=(3, 200)) * 0.9
    parts += 0.97 - parts.mean()
    low, high = mean_interval(parts, 0.05, binary=False, share=True, heaviest=2.0)
    assert 0.0 <= low < 0.97 < high <= 1.0
    assert 0.97 - low > high - 0.97


def test_an_interval_knows_the_best_that_there_is() -> None:
    rng = np.random.default_rng(1)
    parts = 0.9 + rng.normal(size=(2, 30))
    parts += 0.9 - parts.mean()
    assert mean_interval(parts, 0.05, binary=False, best=1.0)[1] == 1.0
    assert mean_interval(parts, 0.05, binary=False)[1] > 1.0
    below = parts - parts.max() - 0.01  # an R² whose examples all say less than the mean would
    assert mean_interval(below, 0.05, binary=False)[1] <= 0.0
    low, high = mean_interval(below * 1e-3, 0.05, binary=False, best=1.0, loss=False)
    assert high - below.mean() * 1e-3 == pytest.approx(below.mean() * 1e-3 - low)
