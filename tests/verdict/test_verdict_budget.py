"""Winner against tuning budget: exact, with divergence counted and bands over seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from verdict_studies import study, trial

from ravine.verdict.budget import curves, leaders
from ravine.verdict.trials import gather


def test_expected_best_of_k_equals_brute_force() -> None:
    trials, _ = study({"r": (0.3, 0.8, 0.5, 0.6, 0.8, 0.1)}, seeds=3, n=200)
    (curve,) = curves(gather(trials))
    group = gather(trials)["r"]
    means = np.array([c.mean for c in group])
    per_seed = np.array([[c.scores[s] for s in range(3)] for c in group])
    for k in range(1, 7):
        drawn = [max(subset, key=lambda i: means[i]) for subset in combinations(range(6), k)]
        assert curve.score[k - 1] == pytest.approx(means[drawn].mean(), abs=1e-12)
        expected = per_seed[drawn].mean(axis=0)
        assert curve.low[k - 1] == pytest.approx(expected.min(), abs=1e-12)
        assert curve.high[k - 1] == pytest.approx(expected.max(), abs=1e-12)


def test_curve_rises_from_the_mean_to_the_best() -> None:
    trials, _ = study({"r": (0.3, 0.8, 0.5, 0.6)}, n=500)
    (curve,) = curves(gather(trials))
    means = [c.mean for c in gather(trials)["r"]]
    assert curve.score[0] == pytest.approx(np.mean(means), abs=1e-12)
    assert curve.score[-1] == pytest.approx(max(means), abs=1e-12)
    assert list(curve.score) == sorted(curve.score)


def test_drawing_with_replacement_stays_below() -> None:
    """Dodge et al. (2019) never exhaust the grid: E = sum_i m_(i) ((i/K)^k - ((i-1)/K)^k)."""
    trials, _ = study({"r": (0.3, 0.8, 0.5, 0.6)}, n=500)
    (curve,) = curves(gather(trials))
    m = np.sort([c.mean for c in gather(trials)["r"]])
    i = np.arange(1, 5)
    for k in range(2, 5):
        assert curve.score[k - 1] > float(m @ ((i / 4) ** k - ((i - 1) / 4) ** k))


def test_divergence_costs_the_worst_mean_of_the_study() -> None:
    half, most = np.array([1.0, 0.0]), np.array([1.0, 1.0])
    trials = [trial("a", "ok", s, most) for s in range(2)] + [trial("a", "bad", s, None) for s in range(2)]
    trials += [trial("b", "ok", s, half) for s in range(2)]
    a, b = curves(gather(trials))
    assert a.score == pytest.approx((0.75, 1.0))
    assert b.score == pytest.approx((0.5,))


def test_nothing_finished_has_no_curves_and_no_leader() -> None:
    drawn = curves(gather([trial("a", "c", s, None) for s in range(2)]))
    assert drawn == ()
    assert leaders(drawn) == ()


def test_leaders_change_with_the_budget_and_say_whether_it_is_equal() -> None:
    """Rule a is good at any lr, rule b at one of four only, but there it is better; a has just two."""
    n = 100
    level = {"a": (0.80, 0.80), "b": (0.2, 0.2, 0.2, 0.95)}
    trials = [
        trial(rule, f"c{i}", s, (np.arange(n) < round(v * n)).astype(float))
        for rule, values in level.items()
        for i, v in enumerate(values)
        for s in range(2)
    ]
    spans = [(x.first_k, x.last_k, x.rules, x.equal_budget) for x in leaders(curves(gather(trials)))]
    assert spans == [(1, 2, ("a",), True), (3, 4, ("b",), False)]
