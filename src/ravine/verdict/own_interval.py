"""The interval of one rule's own result: its mean test score, over other seeds and other test examples.

It answers another question than a comparison: not "which is better", for which hard examples cancel, but "what would
this configuration reach elsewhere". The parts of the variance are those of `comparison.py`, of one rule's table.

Source: E. B. Wilson, 1927 (the interval of a proportion).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.comparison import noise_of, unit_of, width
from ravine.verdict.student import KNOWN, Error, half_width

Array = NDArray[np.float64]

FEW = 10  # wrong answers, or right ones, that are too few to estimate their spread


def has_spread(*tables: Array, by_example: bool) -> bool:
    """Whether scores of one rule or of two, (S, n) each, say anything of how else they might have come out.

    Single numbers of runs do so only where there are several seeds, and two of one rule differ.

    Example:
        >>> has_spread(np.array([[0.9], [0.9]]), by_example=False)
        False
    """
    return by_example or (min(map(len, tables)) > 1 and any(bool((each != each[0]).any()) for each in tables))


def mean_error(scores: Array, *, by_example: bool = True) -> Error:
    """The law of the error of the mean of (S, n) scores of one rule, over seeds and examples.

    A single example says nothing about others: the mean itself is then its standard error. Where the one score is of a
    run as a whole, the law is of the seeds alone (`by_example=False`).
    """
    num_seeds, num_examples = scores.shape
    unit = unit_of(scores)
    scores = scores / unit
    noise = noise_of(scores)
    if not by_example:
        between = 0.0
    elif num_examples > 1:
        between = float(scores.mean(axis=0).var(ddof=1)) / num_examples
    else:
        between = float(scores.mean()) ** 2
    example = unit * math.sqrt(max(between - noise, 0.0))
    if num_seeds < 2:
        return Error(seed=0.0, df=0.0, floor=0.0, example=example)
    seed = unit * math.sqrt(float(scores.mean(axis=1).var(ddof=1)) / num_seeds)
    return Error(seed=seed, df=float(num_seeds - 1), floor=unit * math.sqrt(noise), example=example)


def mean_interval(
    scores: Array,
    alpha: float,
    *,
    binary: bool,
    luck: float = 0.0,
    by_example: bool = True,
    share: bool = False,
    heaviest: float | None = None,
    best: float | None = None,
    loss: bool = True,
) -> tuple[float, float]:
    """Interval of level 1 - alpha for one rule's mean score, over seeds, examples and the luck of tuning.

    For accuracies it is Wilson's interval with the number of examples that would give the same uncertainty:
    it stays inside [0, 1] and is sensible at 100 %. Where fewer than ten examples are wrong (or right), that
    number is not allowed above the real one, because the spread of so few says too little.

    Of other shares (an F1, an AUC) it is Wilson's too, of the same uncertainty with that of few examples as for losses.
    The examples then count as fewer where the heaviest counts as several: an F1 of 100 % over ten positives among a
    thousand examples is known as well as twenty right answers are.

    For losses it is symmetric, cut at 0 where no score is above. Squared errors are skewed and the largest are
    rare, so the part of few examples is widened as a t is, and by two more examples, one each way, as heavy as
    those that make the spread.

    Args:
        scores: (S, n), one row per seed.
        alpha: in (0, 1).
        binary: the scores are 1 or 0.
        luck: standard error from choosing the configuration, see `tuning.py`.
        by_example: as in `comparison.difference_error`.
        share: scores that are not binary lie from 0 to 1; the interval is then Wilson's too, without the limit.
        heaviest: as in `Measure`.
        best: no score is higher; None: there is no such number.
        loss: scores that are neither binary nor shares are losses with a minus; False: what is below 0 may be above as
            well, as an R² may.
    """
    mean = float(scores.mean())
    num_examples = scores.shape[1]
    error = mean_error(scores, by_example=by_example)
    z = width(KNOWN, alpha)
    if not binary:
        few = half_width(replace(KNOWN, df=num_examples - 1.0), alpha) / z if num_examples > 1 else 1.0
        example = few * math.hypot(error.example, _of_outliers(scores)) if by_example else 0.0
        half = width(replace(error, example=math.hypot(example, luck)), alpha)
        if heaviest is not None:
            return accuracy_interval(min(max(mean, 0.0), 1.0), half, num_examples / heaviest, alpha)
        if share:
            return interval_of_shares(mean, half, alpha)
        known = math.inf if best is None else best
        top = 0.0 if loss and bool((scores <= 0.0).all()) else known
        return mean - half, max(min(mean + half, top), mean)
    half = width(replace(error, example=math.hypot(error.example, luck)), alpha)
    return accuracy_interval(mean, half, float(num_examples), alpha)


def accuracy_interval(mean: float, half: float, num_examples: float, alpha: float) -> tuple[float, float]:
    """Wilson's interval for a mean accuracy whose symmetric interval of level 1 - alpha would have this half width."""
    z = width(KNOWN, alpha)
    rare = num_examples * min(mean, 1.0 - mean)
    effective = z**2 * mean * (1.0 - mean) / half**2 if half > 0.0 and rare > 0.0 else num_examples
    if rare < FEW:
        effective = min(effective, num_examples)
    return _wilson(mean, effective, z)


def interval_of_shares(mean: float, half: float, alpha: float) -> tuple[float, float]:
    """Wilson's interval of a mean of shares, whose symmetric interval of level 1 - alpha has this half width.

    Where shares are near 1 their spread reaches further down than up. Cut at 1, a symmetric interval covers less than
    it says: with three seeds from beta(19, 1) 89 %, Wilson's 94 % (`benchmarks/calibration_datasets.py`).
    """
    z, spread = width(KNOWN, alpha), mean * (1.0 - mean)
    if half > 0.0 and spread > 0.0:
        return _wilson(mean, z**2 * spread / half**2, z)
    return max(mean - half, 0.0), min(mean + half, 1.0)


def share_interval(num: float, of: int, alpha: float) -> tuple[float, float]:
    """Wilson's interval of level 1 - alpha for a share that was counted.

    Example:
        >>> low, high = share_interval(9, 10, 0.05)
        >>> round(low, 3), round(high, 3)
        (0.596, 0.982)
    """
    return _wilson(num / of, float(of), width(KNOWN, alpha))


def _wilson(mean: float, effective: float, z: float) -> tuple[float, float]:
    center = (mean + z**2 / (2.0 * effective)) / (1.0 + z**2 / effective)
    reach = (
        math.sqrt(mean * (1.0 - mean) / effective + (z / (2.0 * effective)) ** 2)
        * z
        / (1.0 + z**2 / effective)
    )
    # The mean is inside by algebra, but not always by arithmetic.
    return min(max(center - reach, 0.0), mean), max(min(center + reach, 1.0), mean)


def _of_outliers(scores: Array) -> float:
    """Standard error that two more examples add, one each way, of weight sum d^4 / sum d^2 like those that differ."""
    unit = unit_of(scores)
    squares = (scores.mean(axis=0) / unit - float(scores.mean()) / unit) ** 2
    second = float(squares.sum())
    weight = float((squares**2).sum()) / second if second > 0.0 else 0.0
    return unit * math.sqrt(2.0 * weight) / float(scores.shape[1])
