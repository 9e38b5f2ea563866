"""Winner against tuning budget: the validation score to expect after trying k configurations.

For each rule and every k from 1 to all its configurations, the expected validation score of the best of k
drawn at random *without replacement*: an exact order statistic, no resampling. Dodge et al. (2019) draw
with replacement, which never exhausts the grid, so the curve stays below the best score at k = K and is
biased downwards for every k; drawing without is the unbiased estimator of Tang et al. (2020) and of Dodge
et al. (2021), who found it to vary more. Here the configurations are the study's own grid or draws, and the
curve ends at what the study really found.

Test scores play no part: a curve over all configurations would have to read the test set for all of them.

A diverged run counts as the worst mean score of any finished configuration of the whole study, one number
for all rules: having diverged must cost something, and a search that meets only such configurations still
has a result.

Sources: J. Dodge et al., "Show Your Work", 2019; R. Tang et al., "Showing Your Work Doesn't Always Work",
2020; J. Dodge et al., "Expected Validation Performance and Estimation of a Random Variable's Maximum",
2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.selection import best_of, ranked
from ravine.verdict.trials import Candidate

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCurve:
    """Expected validation score of a rule after k = 1, 2, ... configurations.

    `low` and `high` are the lowest and the highest seed: each seed's own score of the configuration that
    the search would choose (it is always chosen by the mean over seeds). Their mean is `score`.
    """

    rule: str
    k: tuple[int, ...]
    score: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """Who leads for budgets `first_k` to `last_k`; `equal_budget`: every rule has that many configurations.

    `rules` are all that share the highest expected score (to 1e-9), by label.
    """

    first_k: int
    last_k: int
    rules: tuple[str, ...]
    equal_budget: bool


def curves(candidates: Mapping[str, Sequence[Candidate]]) -> tuple[BudgetCurve, ...]:
    """One curve per rule, in the order of the mapping; none if no run of the whole study finished."""
    means = [c.mean for group in candidates.values() for c in group if c.scores]
    if not means:
        return ()
    floor = min(means)
    return tuple(_curve(rule, group, floor) for rule, group in candidates.items())


def leaders(drawn: Sequence[BudgetCurve]) -> tuple[Leader, ...]:
    """The leading rules for every budget, neighbouring budgets with the same leaders joined."""
    joined: list[Leader] = []
    for k in range(1, max((len(c.k) for c in drawn), default=0) + 1):
        there = [c for c in drawn if len(c.k) >= k]
        top = max(c.score[k - 1] for c in there)
        rules = tuple(sorted(c.rule for c in there if c.score[k - 1] >= top - 1e-9))
        equal = len(there) == len(drawn)
        if joined and (joined[-1].rules, joined[-1].equal_budget) == (rules, equal):
            first = joined.pop().first_k
        else:
            first = k
        joined.append(Leader(first_k=first, last_k=k, rules=rules, equal_budget=equal))
    return tuple(joined)


def _curve(rule: str, group: Sequence[Candidate], floor: float) -> BudgetCurve:
    order = ranked(group)
    seeds = sorted({seed for c in order for seed in c.scores}) or [0]
    table = np.array([[_at(c, seed, floor) for seed in seeds] for c in order])
    num_configs = len(order)
    weights = np.array([best_of(num_configs, k) for k in range(1, num_configs + 1)])
    per_seed = weights @ table
    return BudgetCurve(
        rule=rule,
        k=tuple(range(1, num_configs + 1)),
        score=tuple(per_seed.mean(axis=1).tolist()),
        low=tuple(per_seed.min(axis=1).tolist()),
        high=tuple(per_seed.max(axis=1).tolist()),
    )


def _at(candidate: Candidate, seed: int, floor: float) -> float:
    """The score at a seed; the floor if it diverged; the mean where the seed was never run."""
    if seed in candidate.scores:
        return candidate.scores[seed]
    never_run = candidate.lost - candidate.diverged
    return candidate.mean if never_run and math.isfinite(candidate.mean) else floor
