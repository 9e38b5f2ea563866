"""A pool: which members, with which weights, put together how. It has an id, by which it can be found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.pooling import Combine, Pooled, pool_classes, pool_values
from ravine.outcomes.member import Member
from ravine.outcomes.scored import recipe_id

_LEAST = -745.0  # the logarithm of the smallest float64; a vote's shares may be 0


def as_outputs(
    cells: Cells, predicted: NDArray[np.number], log_p: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """What a pool predicts, in the form of one network's stored outputs: what metrics are asked of.

    Args:
        cells: how examples were seen.
        predicted: (C,) of each cell the class, or the value.
        log_p: (C, 2) or (N, K) logarithms of probabilities; None for a regression.

    Returns:
        (N, K) logits, of which the largest is that of the predicted class; of a regression values in the target's own
        units, (N,) or (N, T).

    Example:
        >>> half = np.log([[0.5, 0.5]])  # a tie, of which something else chose the second class
        >>> int(as_outputs(Cells(task="classification"), np.array([1]), half).argmax())
        1
    """
    if log_p is None:
        values = cells.apart(np.asarray(predicted, dtype=np.float64))
        return values * np.array(cells.scale) if cells.per > 1 and cells.scale else values
    logits = np.maximum(log_p, _LEAST)
    rows = np.flatnonzero(logits.argmax(axis=1) != predicted)
    logits[rows, predicted[rows].astype(np.int64)] = np.nextafter(logits[rows].max(axis=1), np.inf)
    return cells.apart(logits[:, 1] - logits[:, 0]) if cells.labels else logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Members with their weights.

    Args:
        weights: by the member's name, above 0, with sum 1.
        combine: how their predictions become one.
    """

    weights: Mapping[str, float]
    combine: Combine

    @staticmethod
    def of(
        members: Sequence[Member], weights: Sequence[float] | NDArray[np.float64], combine: Combine
    ) -> Pool:
        """The pool of those members whose weight is above 0.

        Args:
            members: in any order.
            weights: of each; only their ratios count.
            combine: how.
        """
        used = [(each, float(w)) for each, w in zip(members, weights, strict=True) if w > 0.0]
        total = sum(weight for _, weight in used)
        used.sort(key=lambda pair: pair[0].place)
        return Pool(weights={each.name: weight / total for each, weight in used}, combine=combine)

    @staticmethod
    def alone(member: Member) -> Pool:
        """The pool of one member."""
        return Pool.of([member], [1.0], "mean")

    @property
    def id(self) -> str:
        """A hash of members, weights and how they are combined: 16 hex digits."""
        return recipe_id(self.weights, self.combine)

    def predict(self, cells: Cells, outputs: Mapping[str, np.ndarray]) -> Pooled:
        """What it predicts of each cell: of each example, where that has one answer.

        Args:
            cells: how examples are seen.
            outputs: of each member by name, of examples: logits, or values.
        """
        given = [cells.outputs(outputs[name]) for name in self.weights]
        weights = np.array(list(self.weights.values()))
        if cells.regression:
            return pool_values(given, weights)
        return pool_classes(given, weights, self.combine)
