"""Numbers of examples with weights in rising order, and their quantiles by weight.

Shapes: N example, M example with a weight above 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ravine.metrics.arrays import Array

_SAME = 1e-12  # of all the weight: sums that differ by less are equal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """The numbers of each row by size.

    Args:
        values: (..., M).
        shares: (..., M) the share of all weight that each and those before have.
    """

    values: Array
    shares: Array

    @staticmethod
    def of(each: Array, weights_N: Array) -> Ranked:
        """Sort the last axis of numbers (..., N) by size.

        Example:
            >>> Ranked.of(np.array([3.0, 9.0, 1.0, 2.0]), np.array([1.0, 0.0, 1.0, 2.0])).values.tolist()
            [1.0, 2.0, 3.0]
        """
        some = weights_N > 0.0
        known = each[..., some]
        order = np.argsort(known, axis=-1)
        shares = np.cumsum(weights_N[some][order], axis=-1)
        return Ranked(values=np.take_along_axis(known, order, axis=-1), shares=shares / shares[..., -1:])

    def quantile(self, share: float) -> Array:
        """The first number whose share is at least this."""
        place = np.minimum((self.shares < share - _SAME).sum(axis=-1), self.shares.shape[-1] - 1)
        found: Array = np.take_along_axis(self.values, place[..., None], axis=-1)[..., 0]
        return found

    @property
    def median(self) -> Array:
        """The mean of the smallest and the largest number that have half of the weight on either side.

        Example:
            >>> Ranked.of(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0])).median.item()
            2.0
        """
        place = np.minimum((self.shares <= 0.5 + _SAME).sum(axis=-1), self.shares.shape[-1] - 1)
        above: Array = np.take_along_axis(self.values, place[..., None], axis=-1)[..., 0]
        return 0.5 * (self.quantile(0.5) + above)
