"""The correction for many pairs: against definitions, and a simulation of the family-wise error."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from ravine.verdict.multiplicity import Decision, decide, most_equal
from thinning import thinned

P = dict[tuple[str, str], float]


def partitions(n: int, largest: int | None = None) -> list[list[int]]:
    largest = n if largest is None else largest
    if n == 0:
        return [[]]
    return [[k, *rest] for k in range(min(n, largest), 0, -1) for rest in partitions(n - k, k)]


@pytest.mark.parametrize("rules", range(2, 9))
def test_possible_ties_equal_enumeration_of_partitions(rules: int) -> None:
    assert most_equal(rules) == {sum(math.comb(k, 2) for k in p) for p in partitions(rules)}


def decided(
    p: dict[tuple[str, str], float], rules: int, best: str = "0", lead: float | None = None
) -> dict[tuple[str, str], Decision]:
    """Decisions at 5 %, the best rule ahead in each of its pairs unless a `lead` says otherwise."""
    lead = max(value for pair, value in p.items() if best in pair) if lead is None else lead
    return decide(p, best, lead, rules, 0.05)


def random_p(rng: np.random.Generator, rules: int, power: int) -> P:
    pairs = list(combinations(map(str, range(rules)), 2))
    return dict(zip(pairs, rng.random(len(pairs)) ** power, strict=True))


def test_two_rules_need_no_correction() -> None:
    decision = decided({("0", "1"): 0.049}, 2)["0", "1"]
    assert (decision.p_corrected, decision.factor, decision.separable) == (0.049, 1, True)


def test_the_best_needs_half_of_alpha_in_each_of_its_pairs_however_many() -> None:
    p = {pair: 0.025 if "0" in pair else 0.9 for pair in combinations("012345", 2)}
    found = decided(p, 6)
    assert all(found[pair].separable == ("0" in pair) for pair in p)
    assert {found[pair].p_corrected for pair in p if "0" in pair} == {0.05}
    p["0", "5"] = (
        0.026  # one pair fails: then all pairs are decided alike, and 0.025 is far too much for fifteen
    )
    assert not any(d.separable for d in decided(p, 6).values())
    assert not any(d.separable for d in decided({**p, ("0", "5"): 0.025}, 6, lead=1.0).values())


def test_other_pairs_have_all_of_alpha_once_the_best_is_found() -> None:
    p = {("0", "1"): 0.001, ("0", "2"): 0.001, ("1", "2"): 0.05}
    assert decided(p, 3)["1", "2"].separable
    assert not decided({**p, ("0", "1"): 0.03}, 3)["1", "2"].separable


@pytest.mark.parametrize("rules", [3, 4, 6])
def test_never_less_powerful_than_holm_at_half_of_alpha_never_more_than_uncorrected(rules: int) -> None:
    rng = np.random.default_rng(rules)
    for _ in range(50):
        p = random_p(rng, rules, 4)
        order = sorted(p, key=lambda pair: p[pair])
        holm = np.maximum.accumulate([min(1.0, 2 * (len(order) - i) * p[x]) for i, x in enumerate(order)])
        found = decided(p, rules)
        for pair, bound in zip(order, holm, strict=True):
            assert p[pair] <= found[pair].p_corrected <= bound + 1e-15


@pytest.mark.parametrize("rules", [2, 3, 4, 6])
def test_separable_exactly_where_the_interval_excludes_zero(rules: int) -> None:
    rng = np.random.default_rng(1)
    for power in (2, 6, 12, 30) * 50:
        p = random_p(rng, rules, power)
        for pair, decision in decided(p, rules).items():
            assert decision.separable == (p[pair] <= 0.05 / decision.factor)
            assert decision.separable == (decision.p_corrected <= 0.05)
            assert decision.reach <= decision.factor


TRUTHS = {
    "all equal": [0, 0, 0, 0, 0, 0],
    "two lead": [0, 0, -9, -9, -9, -9],
    "two lead closely": [0, 0, -2, -2, -2, -2],
    "one leads": [9, 0, 0, 0, 0, 0],
    "one leads closely": [1.5, 0, 0, 0, 0, 0],
    "one leads a little": [0.3, 0, 0, 0, 0, 0],
    "three and three": [4, 4, 4, 0, 0, 0],
    "pairs": [6, 6, 3, 3, 0, 0],
}
SPREADS = {
    "alike": [1, 1, 1, 1, 1, 1],
    "leader noisy": [3, 1, 1, 1, 1, 1],
    "two noisy": [3, 3, 0.1, 0.1, 0.1, 0.1],
    "four noisy": [0.1, 3, 3, 3, 3, 0.1],
}


@pytest.mark.parametrize(("truth", "spread"), thinned(product(TRUTHS, SPREADS), strength=1))
def test_family_wise_error(truth: str, spread: str) -> None:
    """Six normal means, known variances: any false claim in at most 5 % (+ 3 standard errors of 2000 draws)."""
    rng = np.random.default_rng(2)
    mean, sd = np.array(TRUTHS[truth], dtype=float), np.array(SPREADS[spread], dtype=float)
    wrong, draws = 0, 2000
    drawn = mean + sd * rng.standard_normal((draws, 6))
    gaps = drawn[:, :, None] - drawn[:, None]
    for best, gap, values in zip(
        drawn.argmax(1), gaps, 2 * stats.norm.sf(abs(gaps) / np.hypot(sd[:, None], sd)), strict=True
    ):
        p = {(str(a), str(b)): float(values[a, b]) for a, b in combinations(range(6), 2)}
        found = decided(p, 6, best=str(best))
        wrong += any(
            found[str(a), str(b)].separable and gap[a, b] * (mean[a] - mean[b]) <= 0
            for a, b in combinations(range(6), 2)
        )
    assert wrong / draws <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    if truth == "two lead" and spread == "alike":
        assert wrong / draws >= 0.02, "the test must be able to fail"
