"""Tails and quantiles of a Student t plus an independent normal, with numpy alone.

The difference of two rules is uncertain for two reasons: few seeds, whose variance is itself estimated from
a handful of numbers (a Student t), and a finite test set of many examples (a normal). Their sum has no name
outside the Behrens-Fisher literature, but one line describes it: a t is a normal whose variance is divided
by w = chi-square/df, so given w the sum is a normal of variance `seed**2 / w + example**2`, and what is
left is an average over w, a smooth one-dimensional integral.

One thing more is known. The spread over seeds cannot truly be smaller than what the noise of single
examples, which is estimated from thousands of numbers, makes of it. So `seed**2 / w` is not let fall below
`floor**2`. It matters when three seeds agree by luck.

Sources: W. S. Gosset ("Student"), 1908; R. A. Fisher, 1935 (the Behrens-Fisher distribution).
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NUM_NODES = 200
REACH = 36.0  # nodes go out to where the density of log w has fallen to exp(-36) of its peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """The law of an estimate's error, in the estimate's unit.

    Args:
        seed: standard error from the choice of seeds, estimated with `df` degrees of freedom.
        df: degrees of freedom of `seed`, > 0; `inf` where it is known.
        floor: what `seed` cannot truly be below.
        example: standard error from the choice of test examples, taken as known.

    Example:
        >>> error = Error(seed=1.0, df=4.0, floor=0.0, example=0.0)
        >>> round(tail(error, 2.776), 4), round(half_width(error, 0.05), 3)
        (0.05, 2.776)
    """

    seed: float
    df: float
    floor: float
    example: float

    @property
    def scale(self) -> float:
        """Standard deviation if `seed` were known exactly."""
        return math.sqrt(max(self.seed, self.floor) ** 2 + self.example**2)


KNOWN = Error(seed=1.0, df=math.inf, floor=0.0, example=0.0)  # a standard normal


@lru_cache(maxsize=256)
def _nodes(df: float) -> tuple[Array, Array]:
    """Nodes and weights that average over w = chi-square(df) / df: the trapezoid rule in log w.

    The density of log w is w^(df/2) exp(-df w/2) up to a factor: analytic, and falling to nothing on both
    sides, where the trapezoid rule converges faster than any power of its step.
    """
    if math.isinf(df):
        return np.ones(1), np.ones(1)
    spread = math.sqrt(4.0 * REACH / df)  # near its peak the density is exp(-df log_w^2 / 4)
    low = -max(spread, 2.0 * REACH / df) - spread
    high = math.log1p(4.0 * REACH / df + spread)
    log_w = np.linspace(low, high, NUM_NODES)
    w = np.exp(log_w)
    log_density = 0.5 * df * (log_w - w)
    weights = np.exp(log_density - log_density.max())
    return w, weights / weights.sum()


def tail(error: Error, distance: float) -> float:
    """P(|error| > distance): the two-sided p-value of an estimate that lies `distance` from zero.

    Where the error is exactly zero: 1 at distance zero, 0 beyond.
    """
    w, weights = _nodes(error.df)
    variance = np.maximum(error.seed**2 / w, error.floor**2) + error.example**2
    if not error.scale > 0.0:
        return 1.0 if distance == 0.0 else 0.0
    ratio = abs(distance) / np.sqrt(2.0 * variance)
    return math.fsum(map(operator.mul, weights.tolist(), map(math.erfc, ratio.tolist())))


def half_width(error: Error, alpha: float) -> float:
    """The distance at which `tail` is `alpha`: half the width of an interval of level 1 - alpha.

    By regula falsi on the logarithm of the tail (the Illinois variant, which halves the weight of an end that stays),
    to nine digits: some eight tails where halving the interval takes thirty.
    """
    if not error.scale > 0.0:
        return 0.0

    def excess(distance: float) -> float:
        return math.log(max(tail(error, distance), 1e-300) / alpha)

    low, high = 0.0, 2.0 * error.scale
    above, below = math.log(1.0 / alpha), excess(high)
    while below > 0.0:
        low, above = high, below
        high *= 2.0
        below = excess(high)
    last = 0
    while high - low > 1e-9 * high and below < 0.0:
        middle = low + (high - low) * above / (above - below)
        value = excess(middle)
        if abs(value) < 1e-10:
            return middle
        if value > 0.0:
            low, above, below = middle, value, 0.5 * below if last > 0 else below
            last = 1
        else:
            high, below, above = middle, value, 0.5 * above if last < 0 else above
            last = -1
    return high
