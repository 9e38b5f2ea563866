"""Does it overfit, and is dropout kept: the two decisions on scores whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ravine.verdict import Trial, overfitting
from ravine.verdict.overfitting import gap_of

Array = NDArray[np.float64]
RATE = "model.dropout"
RATES = (0.1, 0.2, 0.5)


def simulated(
    rng: np.random.Generator, *, gain: float = 0.0, validation: float = 0.9, seeds: int = 5, n: int = 360
) -> tuple[list[Trial], dict[str, float]]:
    """A rule with four configs in stage 1, and the best of them at three rates: a probit model of right and wrong."""
    hard = 2.0 * rng.normal(size=n)
    width = math.sqrt(5.0)
    trials: list[Trial] = []
    training: dict[str, float] = {}

    def config(name: str, skill: float, rate: float, stage: int) -> list[Array]:
        tables = []
        for seed in range(seeds):
            right = (width * (skill + 0.05 * rng.normal()) + hard + rng.normal(size=n) > 0).astype(np.float64)
            run = f"{name}/{seed}"
            hypers = {"lr": 0.1, RATE: rate}
            trials.append(
                Trial(rule="sgd", config=name, hypers=hypers, seed=seed, run=run, diverged=False,
                      validation=right, stage=stage)
            )  # fmt: skip
            training[run] = 1.0
            tables.append(right)
        return tables

    skill = math.sqrt(2.0) * _erfinv(2.0 * validation - 1.0)
    means = {name: np.mean(config(name, skill, 0.0, 1)) for name in "abcd"}
    best = max(means, key=lambda name: means[name])
    lifted = math.sqrt(2.0) * _erfinv(2.0 * (validation + gain) - 1.0)
    for rate in RATES:
        config(f"{best}{rate}", lifted, rate, 2)
    return trials, training


def _erfinv(x: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((x + 1.0) / 2.0) / math.sqrt(2.0)


def kept(num: int, seed: int, **keys: float) -> int:
    rng = np.random.default_rng(seed)
    return sum(overfitting(*simulated(rng, **keys), 0.01, RATE)[0].rate > 0.0 for _ in range(num))  # type: ignore[arg-type]


def test_dropout_that_does_nothing_is_seldom_kept() -> None:
    """At most 16 of 200 (`slow` below); of 30 a test at 5 % keeps it more than 5 times once in 300."""
    assert kept(30, seed=0) <= 5


@pytest.mark.slow
def test_dropout_that_does_nothing_is_kept_in_at_most_16_of_200_studies() -> None:
    assert kept(200, seed=1) <= 16


def test_dropout_that_helps_is_kept() -> None:
    assert kept(10, seed=2, gain=0.05) == 10


def test_a_gap_is_the_difference_with_the_spread_of_seeds_and_of_examples() -> None:
    """With one table of many examples and seeds that differ much, the interval is Student's t of the paired gaps."""
    rng = np.random.default_rng(0)
    shares = np.array([0.6, 0.7, 0.9])
    scores = (rng.random((3, 200_000)) < shares[:, None]).astype(np.float64)
    training = [0.95, 0.9, 1.0]
    gap = gap_of(training, scores)
    gaps = np.array(training) - scores.mean(axis=1)
    assert gap.size == pytest.approx(gaps.mean())
    half = 4.302652729911275 * gaps.std(ddof=1) / math.sqrt(3)
    assert gap.high - gap.size == pytest.approx(half, rel=0.02)
    # With seeds alike, what is left are the examples: of a share of 0.8 in 400, a normal.
    alike = np.tile((np.arange(400) % 5 > 0).astype(np.float64), (5, 1))
    gap = gap_of([1.0] * 5, alike)
    example = math.sqrt(0.16 / 399 + 2.0 / 5 / 400**2)
    assert gap.size - gap.low == pytest.approx(1.959963985 * example, rel=1e-3)


def test_a_gap_that_is_not_above_the_tolerance_for_sure_is_no_overfitting() -> None:
    trials, training = simulated(np.random.default_rng(3), validation=0.9)
    first = [each for each in trials if each.stage == 1]
    (at,) = overfitting(first, training, 0.01, RATE)
    assert at.gap is not None
    assert at.overfits
    assert at.gains == ()
    assert at.kept == at.config
    (above,) = overfitting(first, training, at.gap.low + 1e-9, RATE)
    assert not above.overfits


def test_a_rate_that_loses_a_seed_is_not_kept() -> None:
    trials, training = simulated(np.random.default_rng(4), gain=0.08)
    assert overfitting(trials, training, 0.01, RATE)[0].rate > 0.0
    lost = [
        Trial(rule=t.rule, config=t.config, hypers=t.hypers, seed=t.seed, run=t.run, stage=t.stage,
              diverged=t.stage == 2 and t.seed == 0, validation=t.validation)
        for t in trials
    ]  # fmt: skip
    (found,) = overfitting(lost, training, 0.01, RATE)
    assert found.rate == 0.0
    assert found.kept == found.config


def test_a_single_seed_decides_nothing() -> None:
    trials, training = simulated(np.random.default_rng(5), seeds=1)
    (found,) = overfitting(trials, training, 0.01, RATE)
    assert found.gap is None
    assert not found.overfits
    assert found.rate == 0.0
