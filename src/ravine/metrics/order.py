"""Examples in the order of a score, with ties.

Shapes: R run, N example.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ravine.metrics.arrays import Array, Truths, Whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Order:
    """The examples of each run by falling score; examples with one score are a tie.

    Args:
        order: (R, N) which example has each place.
        first, last: (R, N) the first and the last place of the tie that a place belongs to.
        above: (R, N) how many positives there are up to the end of that tie.
        before: (R, N) how many before it.
        positive: (R, N) whether the example at each place is one.
        positives: (N,) whether each example is one.
    """

    order: Whole
    first: Whole
    last: Whole
    above: Whole
    before: Whole
    positive: Truths
    positives: Truths

    @staticmethod
    def of(score_RN: Array, positive_N: Truths) -> Order:
        """Sort the examples of each run."""
        order = np.argsort(-score_RN, axis=1)
        positive = positive_N[order]
        places = np.broadcast_to(np.arange(order.shape[1]), order.shape)
        running = np.cumsum(positive, axis=1, dtype=np.int64)
        sorted_RN = np.take_along_axis(score_RN, order, axis=1)
        new = np.ones(order.shape, dtype=bool)
        np.not_equal(sorted_RN[:, 1:], sorted_RN[:, :-1], out=new[:, 1:])
        if new.all():
            return Order(
                order=order,
                first=places,
                last=places,
                above=running,
                before=running - positive,
                positive=positive,
                positives=positive_N,
            )
        first = np.maximum.accumulate(np.where(new, places, 0), axis=1)
        ends = np.ones(order.shape, dtype=bool)
        ends[:, :-1] = new[:, 1:]
        most = order.shape[1] - 1
        last = np.minimum.accumulate(np.where(ends, places, most)[:, ::-1], axis=1)[:, ::-1]
        above = np.take_along_axis(running, last, axis=1)
        before = np.take_along_axis(running - positive, first, axis=1)
        return Order(
            order=order,
            first=first,
            last=last,
            above=above,
            before=before,
            positive=positive,
            positives=positive_N,
        )

    def back(self, sorted_RN: Array) -> Array:
        """What belongs to places, by example."""
        found = np.empty_like(sorted_RN)
        np.put_along_axis(found, self.order, sorted_RN, axis=1)
        return found
