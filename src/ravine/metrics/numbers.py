"""Metrics of numbers: R2, squared and absolute errors, quantile losses. Of several targets the mean over them.

Shapes: R run, N example, T target.
"""

from __future__ import annotations

import math

import numpy as np

from ravine.metrics.arrays import Array
from ravine.metrics.given import Numbers
from ravine.metrics.means import mean_over, usual_weight
from ravine.metrics.metric import Formula, plain
from ravine.metrics.ranked import Ranked

_TINY = 1e-12  # for 0, where one example alone counts, between whose order statistics nothing lies


def _squares(given: Numbers) -> Array:
    found: Array = np.square(given.missed).mean(axis=0)
    return found


def _sizes(given: Numbers) -> Array:
    found: Array = np.abs(given.missed).mean(axis=0)
    return found


MSE, MAE = plain(_squares), plain(_sizes)


def _rmse(given: Numbers) -> Array:
    found: Array = np.sqrt(mean_over(np.square(given.missed), given.weights)).mean(axis=0)
    return found


def _rmse_parts(given: Numbers) -> Array:
    """Of each target r + (e_i^2 - r^2) / (2 r)."""
    squares = np.square(given.missed)
    root = np.sqrt(mean_over(squares, given.weights))[..., None]
    spread = np.divide(squares, 2.0 * root, out=np.zeros_like(squares), where=root > 0.0)
    found: Array = (0.5 * root + spread).mean(axis=0)
    return found


RMSE = Formula(value=_rmse, parts=_rmse_parts)


def _explained(given: Numbers) -> tuple[Array, Array, Array]:
    """Squared errors (T, R, N), squared distances (T, 1, N) of the answers from their mean, and R2 (T, R, 1)."""
    squares, w_N = np.square(given.missed), given.weights
    away = np.square(given.answers_TN - mean_over(given.answers_TN, w_N)[:, None])[:, None]
    return squares, away, 1.0 - (mean_over(squares, w_N) / mean_over(away, w_N))[..., None]


def _r2(given: Numbers) -> Array:
    found: Array = _explained(given)[2].mean(axis=0)[:, 0]
    return found


def _r2_parts(given: Numbers) -> Array:
    """Of each target R2 - (e_i^2 - (1 - R2) d_i^2) / v; d_i is an answer's distance from their mean, v the mean d^2."""
    squares, away, r2 = _explained(given)
    spread = mean_over(away, given.weights)[..., None]
    found: Array = (r2 - (squares - (1.0 - r2) * away) / spread).mean(axis=0)
    return found


def _all_alike(answers: np.ndarray, names: tuple[str, ...]) -> str:  # noqa: ARG001 (targets have no classes)
    rows = np.asarray(answers, dtype=np.float64)
    alike = bool((rows == rows[:1]).all(axis=0).any())
    return "needs answers that differ, and all are the same" if alike else ""


R2 = Formula(value=_r2, parts=_r2_parts, lacking=_all_alike)


def _median(given: Numbers) -> Array:
    sizes = np.abs(given.missed)
    if given.weights is None:
        found: Array = np.median(sizes, axis=2).mean(axis=0)
        return found
    found = Ranked.of(sizes, given.weights).median.mean(axis=0)
    return found


def _median_parts(given: Numbers) -> Array:
    """Of each target m + s sign(e_i - m), where s^2 / N is the variance of the median m.

    It is estimated from how far apart order statistics about the median are (R. M. Price and D. G. Bonett, 2001), since
    leaving out examples one by one says nothing of a median's spread.
    """
    if given.weights is not None:
        return _weighted_median_parts(given, given.weights)
    sizes = np.abs(given.missed)
    num = given.shape[1]
    middle = np.median(sizes, axis=2, keepdims=True)
    low = max(round((num + 1) / 2.0 - math.sqrt(num)), 1)
    ranked = np.partition(sizes, (low - 1, num - low), axis=2)
    # The true median lies between the two with the chance that a standard normal lies within this of 0.
    reach = max((num + 1 - 2 * low) / math.sqrt(num), _TINY)
    error = (ranked[:, :, num - low] - ranked[:, :, low - 1])[:, :, None] / (2.0 * reach)
    sign = np.sign(sizes - middle)
    sign -= sign.mean(axis=2, keepdims=True)  # of ties
    found: Array = (middle + math.sqrt(num) * error * sign).mean(axis=0)
    return found


def _weighted_median_parts(given: Numbers, weights_N: Array) -> Array:
    """The same of as many examples as have the spread of these weights, (sum w)^2 / sum w^2 (L. Kish, 1965)."""
    sizes = np.abs(given.missed)
    ranked, num = Ranked.of(sizes, weights_N), len(weights_N) / usual_weight(weights_N)
    low = max(round((num + 1) / 2.0 - math.sqrt(num)), 1)
    share = (low - 0.5) / num
    reach = max((num + 1 - 2 * low) / num, _TINY)  # of the weight, about the median
    apart = ranked.quantile(1.0 - share) - ranked.quantile(share)
    middle = ranked.median[..., None]
    sign = np.sign(sizes - middle)
    sign -= mean_over(sign, weights_N)[..., None]
    found: Array = (middle + (apart / (2.0 * reach))[..., None] * sign).mean(axis=0)
    return found


MEDIAN = Formula(value=_median, parts=_median_parts)


def pinball(share: float) -> Formula:
    """The loss whose least is the quantile of this share.

    Args:
        share: above 0, below 1.
    """

    def each(given: Numbers) -> Array:
        found: Array = np.maximum(share * given.missed, (share - 1.0) * given.missed).mean(axis=0)
        return found

    return plain(each)
