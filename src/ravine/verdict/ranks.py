"""Average ranks over data sets, and what is customary to say of them.

Each data set ranks the methods, 1 for the best, ties sharing the mean of their places. Friedman's test asks whether
any average rank is out of line; Nemenyi's critical distance is how far apart two average ranks must be. Ranks forget
how far apart methods are, and the place of two methods depends on which others are in the table (A. Benavoli et al.,
"Should we really use post-hoc tests based on mean-ranks?", 2016). So no verdict here goes by them.

Sources: M. Friedman, 1937; P. Nemenyi, 1963; J. Demšar, "Statistical comparisons of classifiers over multiple data
sets", 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Average ranks of methods.

    Args:
        table: (D, M) rank of each method on each data set, 1 for the best.
        friedman: p-value of Friedman's test (chi-square, corrected for ties): all methods are equal; 1 where all tie.
        critical_distance: Nemenyi's, at the level asked for.
    """

    table: Array
    friedman: float
    critical_distance: float

    @property
    def mean(self) -> Array:
        """(M,) average ranks."""
        mean: Array = self.table.mean(axis=0)
        return mean


def ranks_of(scores: Array, alpha: float) -> Ranks:
    """Ranks of methods on data sets.

    Args:
        scores: (D, M) of each data set and method, higher is better; two methods or more.
        alpha: level of the critical distance.

    Example:
        >>> ranks = ranks_of(np.array([[0.9, 0.8, 0.8], [0.7, 0.6, 0.5]]), 0.05)
        >>> ranks.mean.tolist()
        [1.0, 2.25, 2.75]
    """
    num_sets, num_methods = scores.shape
    above = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    same = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
    table = above + (same + 1.0) / 2.0
    mean = table.mean(axis=0)
    spread = float((table**2).sum()) - num_sets * num_methods * (num_methods + 1) ** 2 / 4.0
    between = num_sets**2 * float(((mean - (num_methods + 1) / 2.0) ** 2).sum())
    statistic = (num_methods - 1) * between / spread if spread > 0.0 else 0.0
    return Ranks(
        table=table,
        friedman=chi_square_tail(statistic, num_methods - 1),
        critical_distance=range_quantile(num_methods, alpha)
        * math.sqrt(num_methods * (num_methods + 1) / (12.0 * num_sets)),
    )


def chi_square_tail(x: float, df: int) -> float:
    """P(chi-square > x): a finite sum for a whole number of degrees of freedom.

    Example:
        >>> round(chi_square_tail(3.841, 1), 4), round(chi_square_tail(5.991, 2), 4)
        (0.05, 0.05)
    """
    half = x / 2.0
    if half <= 0.0:
        return 1.0
    tail = math.erfc(math.sqrt(half)) if df % 2 else math.exp(-half)
    power = 0.5 if df % 2 else 1.0
    while power < df / 2.0:
        tail += math.exp(power * math.log(half) - half - math.lgamma(power + 1.0))
        power += 1.0
    return min(tail, 1.0)


def range_quantile(num: int, alpha: float) -> float:
    """The range of `num` standard normals that is exceeded with the chance `alpha` (the studentized range, df = inf).

    Example:
        >>> [round(range_quantile(k, 0.05) / 2**0.5, 3) for k in (2, 3, 10)]
        [1.96, 2.344, 3.164]
    """
    z = np.linspace(-9.0, 9.0, 3601)  # of the largest
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    below = _normal(z)
    step = float(z[1] - z[0])

    def within(reach: float) -> float:
        return num * step * float((density * (below - _normal(z - reach)) ** (num - 1)).sum())

    low, high = 0.0, 20.0
    while high - low > 1e-10:
        middle = (low + high) / 2.0
        low, high = (middle, high) if within(middle) < 1.0 - alpha else (low, middle)
    return high


def _normal(z: Array) -> Array:
    return np.array([0.5 * math.erfc(-each / math.sqrt(2.0)) for each in z.tolist()])
