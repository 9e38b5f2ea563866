"""What a study would find, with as many seeds or with more: "would tell" means in four studies of five."""

from __future__ import annotations

import math
from collections.abc import Callable

from ravine.verdict.comparison import width
from ravine.verdict.student import Error

POWER_Z = 0.8416212335729143  # one-sided 80 % of a normal
MOST_SEEDS = 1000


def detectable(error: Error, alpha: float) -> float:
    """The true difference that a study with this error would find four times in five.

    The observed difference must be above half the width of an interval that varies from study to study itself: by
    its share of the seeds over the root of twice their degrees of freedom.
    """
    half = width(error, alpha)
    share = (max(error.seed, error.floor) / error.scale) ** 2 if error.scale > 0.0 else 0.0
    return half + POWER_Z * math.hypot(error.scale, half * share / math.sqrt(2.0 * error.df))


def with_seeds(error: Error, luck: Callable[[float], float], num_seeds: int, seeds: int) -> Error:
    """What the law of an error of `num_seeds` seeds would be with `seeds`, > 1, and the luck of tuning with it."""
    more = seeds / num_seeds
    return Error(
        seed=max(error.seed, error.floor) / math.sqrt(more),
        df=error.df * (seeds - 1) / (num_seeds - 1),
        floor=error.floor / math.sqrt(more),
        example=math.hypot(error.example, luck(more)),
    )


def seeds_needed(
    error: Error, luck: Callable[[float], float], difference: float, num_seeds: int, alpha: float
) -> int | None:
    """The number of seeds at which a true difference this large would be found four times in five.

    The parts of the variance are taken as estimated; more seeds shrink the seed part and its t, and the seed part of
    the luck of tuning, not the part of the test examples.

    Args:
        error: of the difference, without the luck of tuning.
        luck: standard error from tuning both rules, of the factor by which the seeds are more.
        difference: the one to be found.
        num_seeds: how many there were.
        alpha: the level at which the pair is decided.

    Returns:
        None: more than 1000, or no number (the test set is too small for this difference).
    """
    if not error.df > 0.0:
        return None

    def found(seeds: int) -> bool:
        return detectable(with_seeds(error, luck, num_seeds, seeds), alpha) <= abs(difference)

    if not found(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high
