"""The parts of a verdict over data sets, against SciPy and enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from ravine.verdict import ACCURACY, Measure
from ravine.verdict.flips import MOST, flip_p, least_num
from ravine.verdict.own_interval import mean_interval
from ravine.verdict.profile import profile_of
from ravine.verdict.ranks import chi_square_tail, range_quantile, ranks_of


@pytest.mark.parametrize("num", [1, 2, 5, 9])
def test_flips_are_all_signs(num: int) -> None:
    rng = np.random.default_rng(num)
    for _ in range(20):
        differences = np.round(rng.normal(0.3, 1.0, num), 1)  # with ties and zeros
        sums = [abs(np.dot(signs, differences)) for signs in product((1.0, -1.0), repeat=num)]
        expected = np.mean([each >= abs(differences.sum()) - 1e-9 for each in sums])
        assert flip_p(differences) == pytest.approx(expected)


def test_few_differences_cannot_pass_and_many_are_left_to_the_t() -> None:
    for num in range(1, 10):
        assert (flip_p(np.ones(num)) <= 0.05) == (num >= least_num(0.05))  # type: ignore[operator]
    assert flip_p(np.zeros(3)) == 1.0
    assert flip_p(np.ones(MOST + 1)) is None
    assert flip_p(np.append(np.ones(MOST), np.zeros(5))) == pytest.approx(2.0**-19)


def test_ranks_and_friedmans_test_are_scipys() -> None:
    rng = np.random.default_rng(0)
    for num_sets, num_methods in ((2, 3), (5, 3), (10, 6), (40, 4)):
        scores = np.round(rng.normal(0.0, 1.0, (num_sets, num_methods)), 1) + 0.2 * np.arange(num_methods)
        found = ranks_of(scores, 0.05)
        assert found.table == pytest.approx(np.array([stats.rankdata(-row) for row in scores]))
        assert found.friedman == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert ranks_of(np.ones((4, 3)), 0.05).friedman == 1.0


def test_tails_and_quantiles_are_scipys_and_demsars() -> None:
    for df, x in product((1, 2, 3, 6, 9), (0.1, 2.0, 11.0, 60.0)):
        assert chi_square_tail(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-9)
    for num, alpha in product((2, 3, 7, 20), (0.1, 0.05, 0.01)):
        expected = stats.studentized_range.ppf(1.0 - alpha, num, np.inf)
        assert range_quantile(num, alpha) == pytest.approx(expected, abs=1e-5)
    # Demšar (2006), table 5 and section 3.2.2: four methods on 14 data sets, critical distance 1.25.
    assert ranks_of(np.random.default_rng(1).random((14, 4)), 0.05).critical_distance == pytest.approx(
        1.25, abs=0.01
    )


def test_profiles_count_data_sets_within_a_factor() -> None:
    rng = np.random.default_rng(2)
    scores, methods = rng.uniform(0.5, 1.0, (12, 3)), ["a", "b", "c"]
    found = profile_of(scores, methods, ACCURACY)
    errors = 1.0 - scores
    for place, method in enumerate(methods):
        for tau, share in zip(found.tau, found.share[method], strict=True):
            within = errors[:, place] <= tau * errors.min(axis=1) * (1 + 1e-9)
            assert share == pytest.approx(within.mean())
    assert found.tau[0] == 1.0
    assert all(share[-1] == 1.0 for share in found.share.values())


def test_profiles_of_no_error_and_of_scores_without_a_zero() -> None:
    perfect = profile_of(np.array([[1.0, 0.9], [1.0, 1.0]]), ["a", "b"], ACCURACY)
    assert perfect.tau == (1.0,)
    assert (perfect.share["a"], perfect.share["b"]) == (
        (1.0,),
        (0.5,),
    )  # 0 errors are within no factor of 10 %
    distances = profile_of(np.array([[3.0, 1.0], [-5.0, -4.0]]), ["a", "b"], Measure(name="return"))
    assert not distances.factor
    assert distances.tau == (0.0, 1.0, 2.0)
    assert distances.share["a"] == (0.5, 1.0, 1.0)


def own(scores: np.ndarray) -> tuple[float, float]:
    return mean_interval(scores, 0.05, binary=False, by_example=False, share=True)


def test_an_interval_of_shares_is_wilsons_and_stays_between_0_and_1() -> None:
    scores = np.array([[0.99], [1.0], [0.97]])
    mean, half = scores.mean(), stats.t.ppf(0.975, 2) * scores.std(ddof=1) / 3**0.5
    low, high = own(scores)
    for end in (
        low,
        high,
    ):  # where Wilson's score test of as many examples as have this uncertainty is at its limit
        assert (mean - end) ** 2 == pytest.approx(half**2 * end * (1 - end) / (mean * (1 - mean)), rel=1e-6)
    assert 0.0 < low < mean < high < 1.0
    assert own(1.0 - scores) == pytest.approx((1.0 - high, 1.0 - low))
    assert own(np.ones((3, 1))) == (1.0, 1.0)
    many = np.full((4, 1), 0.8) + np.array([[-1e-4], [0.0], [0.0], [1e-4]])
    half = stats.t.ppf(0.975, 3) * many.std(ddof=1) / 2
    assert own(many) == pytest.approx((0.8 - half, 0.8 + half), abs=1e-6)


@pytest.mark.parametrize(("seeds", "a", "b"), [(3, 19.0, 1.0), (3, 95.0, 5.0), (5, 8.0, 2.0)])
def test_an_interval_of_few_shares_covers_what_it_says(seeds: int, a: float, b: float) -> None:
    """At 95 %; skewed shares cost two points of that, where a symmetric interval cut at 1 costs six."""
    rng = np.random.default_rng(3)
    ends = [own(scores) for scores in rng.beta(a, b, (1000, seeds, 1))]
    assert np.mean([low <= a / (a + b) <= high for low, high in ends]) >= 0.92
