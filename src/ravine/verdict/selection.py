"""Which configuration speaks for a rule: chosen on validation, at a tuning budget equal for all rules.

Configurations are ranked by their mean validation score over seeds. One that lost a seed ranks below every
one that lost none, whatever its mean: the mean of the survivors flatters it, and a user wants a setting
that works.

A rule with more configurations has more tickets in the lottery. So that all play with as many, k is the
smallest number of configurations any rule has, and a rule with more of them is represented by what a search
of k of its configurations, drawn at random without replacement, finds in the median: the configuration of
rank r, where r is the smallest for which the best of k has rank <= r with probability one half. At k = all
of them this is rank 1, the usual choice. Nothing is drawn, so there is no luck in it, and still only one
configuration's test is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.study.recipe import is_factor
from ravine.verdict.trials import Candidate, Trial, gather, number

Array = NDArray[np.float64]


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first: fewest lost seeds, then the highest mean, then the plainer one, then the smaller lr, then the id."""
    return sorted(
        candidates,
        key=lambda c: (c.lost, -c.mean, beside(c.hypers), c.lr if c.lr is not None else 0.0, c.config),
    )


def beside(hypers: Mapping[str, float | str]) -> tuple[int, tuple[tuple[str, float], ...]]:
    """What a configuration adds to its rule: how many rates, strengths and the like are above 0, and their values.

    Of configurations with one score the smallest is the plainest.

    Example:
        >>> beside({"lr": 0.1, "model.dropout": 0.2, "label_smoothing": 0.0})
        (1, (('model.dropout', 0.2),))
    """
    values = ((name, number(value)) for name, value in hypers.items() if is_factor(name))
    on = tuple(sorted((name, value) for name, value in values if value))
    return len(on), on


def best_configs(trials: Sequence[Trial]) -> dict[str, str]:
    """The configuration that ranks first of each rule that has a finished run, by rule."""
    firsts = {rule: ranked(group)[0] for rule, group in gather(trials).items()}
    return {rule: first.config for rule, first in firsts.items() if first.scores}


def best_of(num_configs: int, budget: int) -> Array:
    """Distribution of the rank of the best of `budget` configurations out of `num_configs`.

    P(rank <= r) = 1 - C(num_configs - r, budget) / C(num_configs, budget): the hypergeometric chance that
    not all of the drawn ones come from below rank r.

    Args:
        num_configs: K >= 1.
        budget: 1 <= k <= K, drawn without replacement.

    Returns:
        (K,) probabilities of ranks 1..K; they sum to 1 and are 0 beyond rank K - k + 1.

    Example:
        >>> best_of(4, 2).round(3).tolist()
        [0.5, 0.333, 0.167, 0.0]
    """
    j = np.arange(num_configs)
    missed = np.cumprod(np.clip((num_configs - budget - j) / (num_configs - j), 0.0, 1.0))
    return np.abs(np.diff(missed, prepend=1.0))


def median_rank(num_configs: int, budget: int) -> int:
    """The rank (from 1) that a search of `budget` configurations reaches with probability one half or more.

    Example:
        >>> median_rank(9, 9), median_rank(27, 9), median_rank(90, 9)
        (1, 2, 7)
    """
    reached = np.cumsum(best_of(num_configs, budget))
    return int(np.argmax(reached >= 0.5 - 1e-12)) + 1


def represented(group: Sequence[Candidate], num_configs: int) -> Candidate:
    """The configuration that speaks for a rule at a tuning budget; it has a finished run.

    Args:
        group: all of the rule's.
        num_configs: the budget. If the median search only diverged, the last that did not speaks.
    """
    order = [c for c in ranked(group) if c.scores]
    return order[min(median_rank(len(group), num_configs), len(order)) - 1]
