"""The barrier on the straight line between two points of weight space, and a bound on it.

The barrier is how far the loss rises above the straight line between its values at both ends:

    max over a of L((1 - a) u + a v) - [(1 - a) L(u) + a L(v)]

(R. Entezari, H. Sedghi, O. Saukh and B. Neyshabur, The role of permutation invariance in linear mode connectivity of
neural networks, 2022). J. Frankle et al., 2020, compare with the mean of both ends instead.

A loss on n examples is an estimate. The upper bound here is one-sided: of 20 barriers, 19 are below it. It is paired:
each example has its own excess over its own straight line, so what makes an example hard at both ends cancels. And it
is right for the maximum without a correction: the place a* of the true maximum is a point of the grid that does not
depend on the examples, the bound at a* is exceeded in 5 % of the cases, and the largest bound of all places is no
smaller. So demanding every bound to be low is an intersection-union test (R. L. Berger, 1982). The same argument covers
several pairs and the centre of many points.

Shapes: A point of the line, N example.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.student import KNOWN, half_width

Array = NDArray[np.float64]

ALPHA = 0.05  # chance that a bound is exceeded


def barrier(x: np.ndarray, losses: np.ndarray) -> tuple[float, float]:
    """How far a loss rises above the straight line between its ends, and where.

    Args:
        x: shares of the way, rising from 0 to 1, (A,).
        losses: (A,); infinite or NaN counts as infinitely high.

    Example:
        >>> barrier(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0]))
        (1.5, 0.5)
    """
    above = losses - ((1 - x) * losses[0] + x * losses[-1])
    above[[0, -1]] = 0.0  # not a rounding error more
    above = np.where(np.isfinite(above), above, np.inf)
    place = int(above.argmax())
    return float(above[place]), float(x[place])


def excess(x: np.ndarray, losses_AN: Array) -> Array:
    """How far each example's loss is above the straight line between its values at the ends, (A, N).

    Example:
        >>> excess(np.array([0.0, 0.5, 1.0]), np.array([[1.0], [3.0], [2.0]])).ravel().tolist()
        [0.0, 1.5, 0.0]
    """
    share_A1 = np.asarray(x, dtype=np.float64)[:, None]
    with np.errstate(invalid="ignore"):
        above = losses_AN - ((1 - share_A1) * losses_AN[0] + share_A1 * losses_AN[-1])
    above[[0, -1]] = 0.0
    return np.where(np.isfinite(above), above, np.inf)


def upper_bounds(excess_AN: Array, alpha: float = ALPHA) -> Array:
    """For each point a one-sided upper bound of its mean excess, by Student's t over examples, (A,).

    Args:
        excess_AN: of each example; infinite where a loss is no finite number.
        alpha: chance that the true mean is above it.
    """
    num = excess_AN.shape[1]
    bounds = np.full(len(excess_AN), np.inf)
    finite = np.isfinite(excess_AN).all(axis=1)
    if num < 2:  # nothing is known of how examples differ
        return np.where(finite & (excess_AN == 0.0).all(axis=1), 0.0, np.inf)
    quantile = half_width(replace(KNOWN, df=float(num - 1)), 2.0 * alpha)
    rows = excess_AN[finite]
    bounds[finite] = rows.mean(axis=1) + quantile * rows.std(axis=1, ddof=1) / math.sqrt(num)
    return bounds
