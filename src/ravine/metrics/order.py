"""Examples in the order of a score, with ties.

Shapes: R run, N example.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ravine.metrics.arrays import Array, Counts, Truths, Whole
from ravine.metrics.means import sum_over


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """The examples of each run by falling score; examples with one score are a tie.

    Examples are counted, or where they have weights, these are summed.

    Args:
        order: (R, N) which example has each place.
        first: (R, N) the first place of the tie that a place belongs to.
        begin, end: (R, N) how many examples there are before that tie, and up to its end.
        before, above: (R, N) how many of them are positive.
        positive: (R, N) whether the example at each place is one.
        positives: (N,) whether each example is one.
        weights: (N,) of the examples, with mean 1; None: all count alike.
    """

    order: Whole
    first: Whole
    begin: Counts
    end: Counts
    before: Counts
    above: Counts
    positive: Truths
    positives: Truths
    weights: Array | None = None

    @staticmethod
    def of(score_RN: Array, positive_N: Truths, weights_N: Array | None = None) -> Order:
        """Sort the examples of each run."""
        order = np.argsort(-score_RN, axis=1)
        positive = positive_N[order]
        places = np.broadcast_to(np.arange(order.shape[1]), order.shape)
        if weights_N is None:
            one: Counts = np.ones(1, dtype=np.int64)
            own: Counts = positive.astype(np.int64)
            total: Counts = places + 1
        else:
            one = weights_N[order]
            own, total = one * positive, np.cumsum(one, axis=1)
        running = np.cumsum(own, axis=1)
        sorted_RN = np.take_along_axis(score_RN, order, axis=1)
        new = np.ones(order.shape, dtype=bool)
        np.not_equal(sorted_RN[:, 1:], sorted_RN[:, :-1], out=new[:, 1:])
        tied = not new.all()
        first = np.maximum.accumulate(np.where(new, places, 0), axis=1) if tied else places
        last = _last(new, places) if tied else places

        def at(sums: Counts, place: Whole) -> Counts:
            return np.take_along_axis(sums, place, axis=1) if tied else sums

        return Order(
            order=order,
            first=first,
            begin=at(total - one, first),
            end=at(total, last),
            before=at(running - own, first),
            above=at(running, last),
            positive=positive,
            positives=positive_N,
            weights=weights_N,
        )

    @cached_property
    def sides(self) -> tuple[float, float]:
        """How many examples are positive, and how many are not."""
        return float(sum_over(self.positives, self.weights)), float(sum_over(~self.positives, self.weights))

    def weigh(self, each: np.ndarray) -> np.ndarray:
        """(R, N) what belongs to places, times their weights."""
        return each if self.weights is None else each * self.weights[self.order]

    def total(self, each: Array) -> Array:
        """(R,) the sum over positives of what belongs to places."""
        found: Array = (self.weigh(self.positive) * each).sum(axis=1)
        return found

    def back(self, sorted_RN: Array) -> Array:
        """What belongs to places, by example."""
        found = np.empty_like(sorted_RN)
        np.put_along_axis(found, self.order, sorted_RN, axis=1)
        return found


def _last(new: Truths, places: Whole) -> Whole:
    """The last place of the tie that each place belongs to."""
    ends = np.ones(new.shape, dtype=bool)
    ends[:, :-1] = new[:, 1:]
    found: Whole = np.minimum.accumulate(np.where(ends, places, new.shape[1] - 1)[:, ::-1], axis=1)[:, ::-1]
    return found
