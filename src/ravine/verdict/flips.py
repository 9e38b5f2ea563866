"""The exact test of paired differences: equals would have had each of them with the other sign as often.

With n differences there are 2^n ways to sign them. The p-value is the share of these whose sum is at least as far from
zero as the one observed; it assumes nothing but that, if two methods are equal, which of them is ahead on a data set is
as good as a toss. The least p-value is 2 / 2^n: with fewer than six differences none is below 5 %.

Source: R. A. Fisher, 1935 ("The Design of Experiments", chapter 3).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST = 20  # differences whose signs are all tried: half a million sums


def flip_p(differences: Array) -> float | None:
    """Two-sided p-value of the sign-flip test of a mean.

    Args:
        differences: (n,) independent of each other.

    Returns:
        The p-value; None for more than `MOST` differences other than zero.

    Example:
        >>> flip_p(np.array([1.0, 2.0, 3.0])), flip_p(np.array([1.0, -1.0]))
        (0.25, 1.0)
    """
    sizes = np.abs(differences[differences != 0.0])
    if len(sizes) > MOST:
        return None
    if not len(sizes):
        return 1.0
    sums = sizes[:1]  # a sum and its negative are as far from zero: the first sign stays
    for size in sizes[1:]:
        sums = np.concatenate([sums + size, sums - size])
    observed = abs(float(differences.sum())) - 1e-9 * float(sizes.sum())
    return float(np.mean(np.abs(sums) >= observed))


def least_num(alpha: float) -> int:
    """The least number of differences at which the test can be at or below `alpha`.

    Example:
        >>> least_num(0.05), least_num(0.025)
        (6, 7)
    """
    return math.ceil(1.0 - math.log2(alpha) - 1e-9)
