"""The error of a difference: parts of the variance, coverage, pairing, small counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ravine.verdict.comparison import (
    difference_error,
    established_correlation,
    p_value,
    width,
)
from ravine.verdict.own_interval import mean_error, mean_interval
from ravine.verdict.planning import seeds_needed
from ravine.verdict.student import Error

Array = NDArray[np.float64]


def no_luck(more_seeds: float) -> float:
    return 0.0


def table(
    rng: np.random.Generator, seeds: int, n: int, *, seed_sd: float, example_sd: float, noise_sd: float
) -> Array:
    """Crossed: one effect per seed, one per example, one per cell."""
    effects = seed_sd * rng.standard_normal((seeds, 1)) + example_sd * rng.standard_normal((1, n))
    return np.asarray(effects + noise_sd * rng.standard_normal((seeds, n)))


def test_parts_equal_their_formulas() -> None:
    """Against the analysis of variance of the two-way table, written out with loops."""
    rng = np.random.default_rng(0)
    d = table(rng, 4, 50, seed_sd=0.3, example_sd=1.0, noise_sd=0.5)
    zeros = np.zeros_like(d)
    mean = d.mean()
    residual = sum(
        (d[s, i] - d[s].mean() - d[:, i].mean() + mean) ** 2 for s in range(4) for i in range(50)
    ) / (3 * 49)
    per_example = d.mean(axis=0)
    between = (per_example**2).mean()  # about zero: what it is if the rules are equal
    added = 2 * (per_example**4).sum() / (per_example**2).sum() / 50**2
    error = difference_error(d, zeros, matched=True, binary=False)
    assert error.seed == pytest.approx(math.sqrt(d.mean(axis=1).var(ddof=1) / 4), rel=1e-12)
    assert error.df == pytest.approx(3.0)
    assert error.floor == pytest.approx(math.sqrt(residual / 200), rel=1e-12)
    assert error.example == pytest.approx(math.sqrt(between / 50 - residual / 200 + added), rel=1e-12)


def test_degrees_of_freedom_are_welchs() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((5, 30)), 3.0 * rng.standard_normal((5, 30))
    scipys = stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    error = difference_error(a, b, matched=False, binary=False)
    assert error.df == pytest.approx(scipys.df, rel=1e-12)
    assert abs(a.mean() - b.mean()) / error.seed == pytest.approx(abs(scipys.statistic), rel=1e-12)


@pytest.mark.parametrize(("seed_sd", "example_sd"), [(0.2, 0.3), (0.05, 2.0), (0.5, 0.0)])
@pytest.mark.parametrize("seeds", [3, 5])
def test_interval_covers_the_true_difference(seeds: int, seed_sd: float, example_sd: float) -> None:
    """600 studies: at least 95 % covered, less three standard errors of the share (2.7 %)."""
    rng = np.random.default_rng([seeds, int(100 * seed_sd)])
    covered = 0
    for _ in range(600):
        shared = table(rng, seeds, 150, seed_sd=0.2, example_sd=1.0, noise_sd=0.0)
        own = [table(rng, seeds, 150, seed_sd=seed_sd, example_sd=example_sd, noise_sd=1.0) for _ in "ab"]
        a, b = shared + own[0] + 0.4, shared + own[1]
        error = difference_error(a, b, matched=True, binary=False)
        covered += p_value(error, a.mean() - b.mean() - 0.4) > 0.05
    assert covered / 600 >= 0.95 - 0.027


@pytest.mark.parametrize("accuracy", [0.6, 0.97])
def test_interval_of_one_accuracy_covers(accuracy: float) -> None:
    """Seeds and examples both drawn; 600 studies, three standard errors of the share (2.7 %)."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(600):
        easy = stats.norm.ppf(accuracy) * math.sqrt(1 + 1.5**2 + 0.1**2)
        latent = easy + table(rng, 3, 200, seed_sd=0.1, example_sd=1.5, noise_sd=1.0)
        low, high = mean_interval((latent > 0).astype(float), 0.05, binary=True)
        covered += low <= accuracy <= high
    assert covered / 600 >= 0.95 - 0.027


def test_interval_of_one_accuracy_without_seed_noise_is_wilsons() -> None:
    scores = np.tile((np.arange(50) < 40).astype(float), (3, 1))
    low, high = mean_interval(scores, 0.05, binary=True)
    wilson = stats.binomtest(40, 50).proportion_ci(method="wilson")
    # the sample variance divides by 49, Wilson's by 50
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=2e-3)


def test_perfect_accuracy_has_an_interval() -> None:
    low, high = mean_interval(np.ones((3, 100)), 0.05, binary=True)
    wilson = stats.binomtest(100, 100).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, 1.0))


def test_squared_errors_are_not_given_an_interval_above_zero() -> None:
    rng = np.random.default_rng(0)
    low, high = mean_interval(-(rng.standard_t(2, (3, 20)) ** 2), 0.05, binary=False)
    assert low < high <= 0.0


def test_pairing_over_examples_narrows() -> None:
    """Hard examples are hard for both: paired, they cancel; shuffled, they don't."""
    rng = np.random.default_rng(4)
    hard = 2.0 * rng.standard_normal((1, 400))
    a, b = ((hard + rng.standard_normal((5, 400)) > 0).astype(float) for _ in range(2))
    shuffled = b[:, rng.permutation(400)]
    paired, unpaired = (
        width(difference_error(a, other, matched=True, binary=True), 0.05) for other in (b, shuffled)
    )
    assert paired < 0.6 * unpaired


def test_pairing_over_seeds_narrows_where_the_seeds_establish_it() -> None:
    rng = np.random.default_rng(5)
    common = table(rng, 8, 300, seed_sd=1.0, example_sd=0.0, noise_sd=0.0)
    a, b = (common + table(rng, 8, 300, seed_sd=0.1, example_sd=0.0, noise_sd=0.5) for _ in range(2))
    paired = difference_error(a, b, matched=True, binary=False)
    unpaired = difference_error(a, b, matched=False, binary=False)
    assert width(paired, 0.05) < 0.6 * width(unpaired, 0.05)


def test_correlation_is_credited_only_as_far_as_established() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 6.0])
    y = x + np.array([0.1, -0.1, 0.1, -0.2, 0.1])
    r = np.corrcoef(x, y)[0, 1]
    expected = math.tanh(math.atanh(r) - stats.norm.isf(0.1) / math.sqrt(2))
    assert established_correlation(x, y) == pytest.approx(expected, rel=1e-12)
    assert established_correlation(x[:3], y[:3]) == 0.0
    assert established_correlation(x, -y) == 0.0
    assert established_correlation(x, np.ones(5)) == 0.0


@pytest.mark.parametrize("gained", range(13))
@pytest.mark.parametrize("lost", range(4))
def test_few_differing_examples_are_judged_like_the_exact_sign_test(gained: int, lost: int) -> None:
    """Runs without any noise: only the examples that differ matter, as in McNemar's test."""
    n = 1000
    a = np.zeros((3, n))
    a[:, :gained] = 1.0
    b = np.zeros((3, n))
    b[:, gained : gained + lost] = 1.0
    error = difference_error(a, b, matched=True, binary=True)
    ours = p_value(error, float(a.mean() - b.mean())) <= 0.05
    exact = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    if abs(exact - 0.05) > 0.01:  # 11 to 3 has 0.057, the next p-values of a discrete test are far off
        assert ours == (exact <= 0.05)


def test_adding_a_constant_to_both_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 4, 60))
    plain = difference_error(a, b, matched=True, binary=False)
    moved = difference_error(a + 7.0, b + 7.0, matched=True, binary=False)
    for name in ("seed", "df", "floor", "example"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name), rel=1e-9)


def test_order_of_seeds_examples_and_rules_changes_nothing() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((2, 5, 60))
    seeds, examples = rng.permutation(5), rng.permutation(60)
    plain = difference_error(a, b, matched=True, binary=False)
    for c, d in ((a[seeds], b[seeds]), (a[:, examples], b[:, examples]), (b, a)):
        other = difference_error(c, d, matched=True, binary=False)
        for name in ("seed", "df", "floor", "example"):
            assert getattr(other, name) == pytest.approx(getattr(plain, name), rel=1e-9)


def test_seeds_that_agree_by_luck_are_not_believed() -> None:
    """Each seed gains one example, another one each time: three against none is no evidence."""
    a, b = np.zeros((3, 30)), np.zeros((3, 30))
    for seed in range(3):
        a[seed, 7 * seed] = 1.0
    error = difference_error(a, b, matched=True, binary=True)
    assert error.seed == pytest.approx(0.0, abs=1e-12)
    assert p_value(error, float(a.mean())) > 0.05


def test_single_seed_separates_nothing_but_has_an_interval() -> None:
    a, b = np.ones((1, 200)), np.zeros((1, 200))
    error = difference_error(a, b, matched=False, binary=True)
    assert p_value(error, 1.0) == 1.0
    assert 0.0 < width(error, 0.05) < 0.2
    assert seeds_needed(error, no_luck, 1.0, 1, 0.05) is None
    assert mean_error(a).df == 0.0


def test_seeds_needed_finds_the_difference_four_times_in_five() -> None:
    """A simulation with as many seeds as promised: the difference is found in 80 %, +- 5 points."""
    rng = np.random.default_rng(8)
    planned = Error(seed=math.sqrt(2.0 / 3), df=4.0, floor=0.01, example=0.05)
    seeds = seeds_needed(planned, no_luck, 1.0, 3, 0.05)
    assert seeds is not None
    found = 0
    for _ in range(1000):
        a, b = rng.standard_normal((seeds, 1)) + 1.0, rng.standard_normal((seeds, 1))
        gap = float(a.mean() - b.mean()) + 0.05 * rng.standard_normal()
        variances = a.var(ddof=1) / seeds, b.var(ddof=1) / seeds
        error = Error(seed=math.sqrt(sum(variances)), df=2.0 * (seeds - 1), floor=0.0, example=0.05)
        found += p_value(error, gap) <= 0.05
    assert found / 1000 == pytest.approx(0.8, abs=0.05)


def test_no_number_of_seeds_helps_where_the_test_set_is_too_small() -> None:
    error = Error(seed=0.1, df=4.0, floor=0.01, example=1.0)
    assert seeds_needed(error, no_luck, 1.5, 3, 0.05) is None
