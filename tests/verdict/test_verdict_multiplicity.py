"""Holm-Shaffer: against definitions, and against a simulation of the family-wise error."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from ravine.verdict.multiplicity import decide, most_equal


def partitions(n: int, largest: int | None = None) -> list[list[int]]:
    largest = n if largest is None else largest
    if n == 0:
        return [[]]
    return [[k, *rest] for k in range(min(n, largest), 0, -1) for rest in partitions(n - k, k)]


@pytest.mark.parametrize("rules", range(2, 9))
def test_possible_ties_equal_enumeration_of_partitions(rules: int) -> None:
    assert most_equal(rules) == {sum(math.comb(k, 2) for k in p) for p in partitions(rules)}


def test_two_rules_need_no_correction() -> None:
    decision = decide({("a", "b"): 0.049}, 2, 0.05)["a", "b"]
    assert (decision.p_corrected, decision.factor, decision.separable) == (0.049, 1, True)


def test_never_less_powerful_than_holm_never_more_than_uncorrected() -> None:
    rng = np.random.default_rng(0)
    for rules in (3, 4, 6):
        pairs = list(combinations(map(str, range(rules)), 2))
        p = dict(zip(pairs, rng.random(len(pairs)) ** 3, strict=True))
        order = sorted(p, key=lambda pair: p[pair])
        holm = np.maximum.accumulate([min(1.0, (len(order) - i) * p[x]) for i, x in enumerate(order)])
        found = decide(p, rules, 0.05)
        for pair, bound in zip(order, holm, strict=True):
            assert p[pair] <= found[pair].p_corrected <= bound + 1e-15


def test_separable_exactly_where_the_interval_excludes_zero() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        pairs = list(combinations("abcd", 2))
        p = dict(zip(pairs, rng.random(len(pairs)) ** 4, strict=True))
        for pair, decision in decide(p, 4, 0.05).items():
            assert decision.separable == (p[pair] <= 0.05 / decision.factor)
            assert decision.separable == (decision.p_corrected <= 0.05)


def test_family_wise_error_of_equal_rules() -> None:
    """Six equal means, known variance: any rejection in at most 5 % (+ 3 standard errors of 4000 draws)."""
    rng = np.random.default_rng(2)
    means = rng.standard_normal((4000, 6))
    pairs = list(combinations(range(6), 2))
    wrong = 0
    for row in means:
        p = {
            (str(a), str(b)): float(2 * stats.norm.sf(abs(row[a] - row[b]) / math.sqrt(2))) for a, b in pairs
        }
        wrong += any(d.separable for d in decide(p, 6, 0.05).values())
    assert wrong / 4000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)
    assert wrong / 4000 >= 0.02
