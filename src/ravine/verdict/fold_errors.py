"""The law of the error of a mean over folds, which learn from mostly the same examples.

For fold j, d_j is the difference of two mean test scores. The d_j are not independent: any two folds learn from mostly
the same examples, so the variance of their mean is larger than S^2 / J. Nadeau and Bengio put the correlation at
n_test / (n_test + n_train), and then

    variance = (1 / J + n_test / n_train) S^2,    t = mean d / sqrt(variance),    J - 1 degrees of freedom,

where n_train counts all that a procedure sees outside the test fold, what it validates on as well. Folds that agree by
luck have a tiny S^2; but the variance of the mean cannot truly be below what single examples make of it, and where it
is, that takes its place. The degrees of freedom then grow by the factor by which the variance does, as in
`comparison.pooled`.

Sources: C. Nadeau and Y. Bengio, "Inference for the generalization error", 2003; R. R. Bouckaert and E. Frank,
"Evaluating the replicability of significance tests for comparing learning algorithms", 2004 (repeated folds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.comparison import MOST_DF, example_variance, unit_of
from ravine.verdict.measure import Measure
from ravine.verdict.own_interval import accuracy_interval, interval_of_shares
from ravine.verdict.student import Error, half_width

Array = NDArray[np.float64]
Fold = tuple[int, int]  # repeat, fold


def corrected_error(differences: Array, ratio: float, floor: float = 0.0) -> Error:
    """The law of the error of a mean over folds.

    Args:
        differences: (J,) one number for each fold, J >= 2.
        ratio: n_test / n_train.
        floor: what its standard error cannot truly be below.

    Example:
        >>> error = corrected_error(np.array([0.01, 0.03, 0.02, 0.0, 0.04]), ratio=0.25)
        >>> round(float(error.seed**2 / np.var([1, 3, 2, 0, 4], ddof=1) * 1e4), 6), error.df
        (0.45, 4.0)
    """
    num = len(differences)
    variance = (1.0 / num + ratio) * float(np.var(differences, ddof=1))
    df = num - 1.0
    scale = max(math.sqrt(variance), floor)
    if 0.0 < variance < scale**2:
        df = min(df * scale**2 / variance, MOST_DF)
    elif not variance > 0.0:
        df = MOST_DF
    return Error(seed=scale, df=df, floor=0.0, example=0.0)


def mean_interval_over_folds(
    scores: Mapping[Fold, Array], ratio: float, measure: Measure, alpha: float, mean: float | None = None
) -> tuple[float, float]:
    """The interval of a mean over folds, over training sets and test examples.

    Args:
        scores: of two folds or more, (S, n) by seed and test example; higher is better.
        ratio: n_test / n_train.
        measure: what the scores measure.
        alpha: the interval has level 1 - alpha.
        mean: what it is the interval of, where folds do not count alike; None: the mean of the folds' means.
    """
    by_example = [each.mean(axis=0) for each in scores.values()]
    means = np.array([each.mean() for each in by_example])
    mean, repeats = float(means.mean()) if mean is None else mean, len({repeat for repeat, _ in scores})
    num = max(1, sum(map(len, by_example)) // repeats)
    floor = math.sqrt(float(np.concatenate(by_example).var()) / num)
    half = half_width(corrected_error(means, ratio, floor), alpha)
    if measure.binary:
        return accuracy_interval(mean, half, num, alpha)
    if measure.heaviest is not None:
        return accuracy_interval(min(max(mean, 0.0), 1.0), half, num / measure.heaviest, alpha)
    if measure.percent:
        return interval_of_shares(mean, half, alpha)
    known = math.inf if measure.best is None else measure.best
    top = 0.0 if measure.loss and all(bool((each <= 0.0).all()) for each in by_example) else known
    return mean - half, max(min(mean + half, top), mean)


def error_over_folds(
    differences: Mapping[Fold, Array], ratio: float, num_seeds: int, *, binary: bool
) -> Error:
    """The law of the error of a mean difference over folds.

    Args:
        differences: of two folds or more, (n_test,) that of each example.
        ratio: n_test / n_train.
        num_seeds: how many runs each is a mean over.
        binary: the scores are 1 or 0.
    """
    means = np.array([each.mean() for each in differences.values()])
    return corrected_error(means, ratio, floor_over_folds(differences, num_seeds, binary=binary))


def floor_over_folds(by_fold: Mapping[Fold, Array], num_seeds: int, *, binary: bool) -> float:
    """Standard error of a mean difference from the choice of examples alone, each of which a repeat tests once."""
    of_repeat = {}
    for repeat in {at[0] for at in by_fold}:
        scores = np.concatenate([each for at, each in by_fold.items() if at[0] == repeat])
        unit = unit_of(scores)
        variance = example_variance(scores / unit, 0.0, num_seeds, binary=binary)
        of_repeat[repeat] = unit * math.sqrt(variance)
    return min(of_repeat.values())
