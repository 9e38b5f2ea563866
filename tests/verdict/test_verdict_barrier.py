"""The barrier between two points and its bound: against enumeration, SciPy's t, and how often the bound is exceeded."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import stats

from ravine.verdict import barrier as module
from ravine.verdict.barrier import barrier, excess, upper_bounds


def test_the_examples_run() -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


def test_a_barrier_is_what_enumeration_finds() -> None:
    """L(a) = 1 + a + 3 a (1 - a): above the line 1 + a by at most 3/4, in the middle."""
    x = np.linspace(0.0, 1.0, 11)
    losses = np.array([1.0, 1.37, 1.68, 1.93, 2.12, 2.25, 2.32, 2.33, 2.28, 2.17, 2.0])
    by_hand = max(loss - (1.0 + a) for a, loss in zip(x, losses, strict=True))
    assert barrier(x, losses) == pytest.approx((by_hand, 0.5))
    assert by_hand == pytest.approx(0.75)


def test_a_bound_is_students_over_examples() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0.0, 1.0, 5)
    losses_AN = rng.gamma(2.0, size=(5, 17))
    found = upper_bounds(excess(x, losses_AN))
    for a in (1, 2, 3):
        own = [losses_AN[a, n] - (1 - x[a]) * losses_AN[0, n] - x[a] * losses_AN[4, n] for n in range(17)]
        assert found[a] == pytest.approx(
            np.mean(own) + stats.t.ppf(0.95, 16) * np.std(own, ddof=1) / np.sqrt(17)
        )
    assert found[[0, 4]].tolist() == [0.0, 0.0]


def test_what_is_no_number_has_no_bound() -> None:
    losses_AN = np.ones((3, 4))
    losses_AN[1, 2] = np.nan
    assert np.isinf(upper_bounds(excess(np.array([0.0, 0.5, 1.0]), losses_AN))[1])
    assert np.isinf(upper_bounds(np.full((1, 1), 0.1))[0])  # one example says nothing of others


def test_the_bound_of_the_largest_is_exceeded_in_five_of_a_hundred_at_most() -> None:
    """Nine places with the same true excess, as bad as it gets: a maximum of estimates alone would be too high."""
    rng = np.random.default_rng(0)
    exceeded = {"one place": 0, "nine": 0}
    for _ in range(1000):
        shared = rng.normal(size=60)
        above_AN = 0.3 + shared + 0.5 * rng.normal(size=(9, 60))
        bounds = upper_bounds(above_AN)
        exceeded["one place"] += bounds[0] < 0.3
        exceeded["nine"] += bounds.max() < 0.3
    assert exceeded["nine"] <= exceeded["one place"]
    assert 30 <= exceeded["one place"] <= 70
