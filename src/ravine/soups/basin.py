"""Whether members lie in one basin: no barrier between any two of them, nor at their centre.

Level ways between all pairs do not make a level centre, so it is tested too. A way is level where the data rule out a
barrier: its one-sided upper bound (`ravine.verdict.barrier`) is at most `TOLERANCE` of the mean loss of its ends.

Shapes: A point of a way, R member, N example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ravine.soups.mixtures import Mixtures
from ravine.verdict.barrier import barrier, excess, upper_bounds

Array = NDArray[np.float64]

POINTS = 11  # of a way, ends included
TOLERANCE = 0.02  # of the mean loss of both ends
_AT_ONCE = 6  # ways that are evaluated together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Way:
    """The straight line between two members' weights, on validation.

    Args:
        first, second: names of the members.
        x: shares of the way from the first to the second, (A,).
        losses, accuracies: (A,); of a regression both are the loss.
        bounds: one-sided upper bounds of how far the loss is above the straight line between its ends, (A,).
        barrier: the most by which it is, on these examples; 0 or more.
        at: where that is.
        upper: the largest of the bounds, 0 or more.
        tolerance: what it may be.
    """

    first: str
    second: str
    x: Array
    losses: Array
    accuracies: Array
    bounds: Array
    barrier: float
    at: float
    upper: float
    tolerance: float

    @property
    def level(self) -> bool:
        """Whether there is no barrier."""
        return self.upper <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """The mean of several members' weights, on validation.

    Args:
        members: their names.
        loss: at the mean.
        mean: of the members' losses.
        upper: one-sided upper bound of how far the loss is above that mean.
        tolerance: what it may be.
    """

    members: tuple[str, ...]
    loss: float
    mean: float
    upper: float
    tolerance: float

    @property
    def level(self) -> bool:
        """Whether the centre is not above its members."""
        return self.upper <= self.tolerance


class Basin:
    """Ways and centres of some members.

    Args:
        mixtures: of the members.
        points: of a way, ends included.
    """

    def __init__(self, mixtures: Mixtures, points: int = POINTS) -> None:
        self._mixtures = mixtures
        self._x = np.linspace(0.0, 1.0, points)
        self._names = [member.name for member in mixtures.members]
        eye = np.eye(len(self._names))
        self._ends = mixtures.losses(eye)
        self.own_RN, self.own_accuracy_RN = (
            mixtures.losses(eye, again=False) if mixtures.statistics else self._ends
        )

    def ways(self, pairs: Sequence[tuple[int, int]]) -> list[Way]:
        """Those between pairs of members, by their places."""
        found = []
        for start in range(0, len(pairs), _AT_ONCE):
            some = pairs[start : start + _AT_ONCE]
            shares = np.zeros((len(some), len(self._x) - 2, len(self._names)))
            for number, (first, second) in enumerate(some):
                shares[number, :, first] = 1.0 - self._x[1:-1]
                shares[number, :, second] = self._x[1:-1]
            inside = [
                each.reshape(len(some), len(self._x) - 2, -1)
                for each in self._mixtures.losses(shares.reshape(-1, len(self._names)))
            ]
            for number, pair in enumerate(some):
                losses_AN, accuracies_AN = (
                    np.concatenate([ends[pair[0]][None], each[number], ends[pair[1]][None]])
                    for ends, each in zip(self._ends, inside, strict=True)
                )
                found.append(self._way(pair, losses_AN, accuracies_AN))
        return found

    def every_way(self, rows: Sequence[int]) -> list[Way]:
        """Those between all pairs of some members."""
        return self.ways(list(combinations(rows, 2)))

    def mean(self, rows: Sequence[int]) -> tuple[Array, Array]:
        """Losses and accuracies at the mean of some members' weights, (1, N); of one member those of its own."""
        if len(rows) == 1:
            return self.own_RN[list(rows)], self.own_accuracy_RN[list(rows)]
        return self._mixtures.losses(shares_of(rows, len(self._names))[None])

    def centre(self, rows: Sequence[int]) -> Centre:
        """How far the loss at the mean of some members' weights is above the mean of theirs."""
        loss_N = self.mean(rows)[0][0]
        ends_N = self._ends[0][list(rows)].mean(axis=0)
        above_N = np.where(np.isfinite(loss_N - ends_N), loss_N - ends_N, np.inf)
        mean = float(ends_N.mean())
        return Centre(
            members=tuple(self._names[row] for row in rows),
            loss=float(loss_N.mean()),
            mean=mean,
            upper=float(upper_bounds(above_N[None])[0]),
            tolerance=TOLERANCE * abs(mean),
        )

    def _way(self, pair: tuple[int, int], losses_AN: Array, accuracies_AN: Array) -> Way:
        losses = losses_AN.mean(axis=1)
        height, at = barrier(self._x, losses)
        bounds = upper_bounds(excess(self._x, losses_AN))
        bounds[[0, -1]] = 0.0
        return Way(
            first=self._names[pair[0]],
            second=self._names[pair[1]],
            x=self._x,
            losses=losses,
            accuracies=accuracies_AN.mean(axis=1),
            bounds=bounds,
            barrier=height,
            at=at,
            upper=max(0.0, float(bounds.max())),
            tolerance=TOLERANCE * float(losses[[0, -1]].mean()),
        )


def shares_of(rows: Sequence[int], num: int) -> Array:
    """Equal shares for some of so many members, 0 for the others, (R,)."""
    shares = np.zeros(num)
    shares[list(rows)] = 1.0 / len(rows)
    return shares
