"""What a study with more seeds would find: "would tell" means in four studies of five."""

from __future__ import annotations

import math
from collections.abc import Callable

from ravine.verdict.comparison import p_value, width
from ravine.verdict.student import Error

POWER_Z = 0.8416212335729143  # one-sided 80 % of a normal
MOST_SEEDS = 1000


def detectable(error: Error, alpha: float) -> float:
    """The true difference that a study with this error would find four times in five."""
    return width(error, alpha) + POWER_Z * error.scale


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
        planned = with_seeds(error, luck, num_seeds, seeds)
        spare = abs(difference) - POWER_Z * planned.scale
        return spare > 0.0 and p_value(planned, spare) <= alpha

    if not found(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high
