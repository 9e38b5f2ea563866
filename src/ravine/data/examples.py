"""Some examples, as a model takes them or as bytes that become so when they are asked for.

Shapes: N example, C channel, H W space, D feature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.rescaling import Rescaling
from ravine.data.scale import Floats, Scaling

Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_CHUNK = 1 << 18  # numbers that are scaled at once: they stay in a core's caches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, init=False)
class Examples:
    """Some examples.

    Args:
        x: float32 (N, D) features or (N, C, H, W) images; or what `scaling` makes that of, such as bytes. What a frozen
            network in float64 makes of examples is float64.
        y: int64 (N,) class indices, float32 (N,) or (N, T) standardized targets, or float32 (N, K) of labels, 0 or 1.
        scaling: how `x` becomes what a model takes; None: it is that. Folds that share `x` have a `Rescaling`.
        at: (N,) which rows of `x` these examples are; None: all. So that several share one array.
        weights: float32 (N,), how much each counts in the loss of training; None: all count alike.

    Example:
        >>> pixels = np.array([[[[0, 51]]], [[[255, 0]]]], dtype=np.uint8)
        >>> few = Examples(x=pixels, y=np.array([1, 0]), scaling=Scaling(values="bytes"))
        >>> few.x.dtype.name, few.some([1]).tolist(), few.take(np.array([1])).y
        ('float32', [[[[1.0, 0.0]]]], array([0]))
    """

    kept: npt.NDArray[Any] = field(repr=False)
    y: Targets = field(repr=False)
    scaling: Scaling | Rescaling | None = field(repr=False)
    at: Rows | None = field(repr=False)
    weights: Floats | None = field(repr=False)

    def __init__(
        self,
        *,
        x: npt.NDArray[Any],
        y: Targets,
        scaling: Scaling | Rescaling | None = None,
        at: Rows | None = None,
        weights: Floats | None = None,
    ) -> None:
        given = {"kept": x, "y": y, "scaling": scaling, "at": at, "weights": weights}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def x(self) -> Floats:
        """All inputs, (N, ...) of their `dtype`. Where they are kept as bytes it is made anew each time: see `some`."""
        if self.at is None and self.scaling is None:
            return self.kept
        found = np.empty((len(self), *self.shape), dtype=self.dtype)
        self.fill(found)
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the inputs: float32, or of features in float64 that."""
        wide = self.scaling is None and self.kept.dtype == np.float64
        return np.dtype(np.float64 if wide else np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.kept.shape[1:])

    def some(self, which: slice | Rows | list[int]) -> Floats:
        """Inputs of some examples, float32, as `x[which]` has them."""
        raw = self.raw(which)
        return raw if self.scaling is None else self.scaling(raw)

    def raw(self, which: slice | Rows | list[int]) -> npt.NDArray[Any]:
        """The same as they are kept: float32, or bytes."""
        return np.asarray(self.kept[which if self.at is None else self.at[which]])

    def fill(self, into: Floats) -> None:
        """Write all inputs into an array of their shape."""
        for rows in self.chunks():
            into[rows] = self.some(rows)

    def chunks(self, numbers: int = _CHUNK) -> Iterator[slice]:
        """Slices of about so many numbers, which together are all examples."""
        step = max(1, numbers // max(1, math.prod(self.shape)))
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def take(self, rows: Rows) -> Examples:
        """Some of these examples; inputs are shared with these, not copied."""
        at = np.asarray(rows, dtype=np.int64) if self.at is None else self.at[rows]
        weights = None if self.weights is None else self.weights[rows]
        return Examples(x=self.kept, y=self.y[rows], scaling=self.scaling, at=at, weights=weights)

    def but(self, *, y: Targets) -> Examples:
        """These examples with other answers."""
        return Examples(x=self.kept, y=y, scaling=self.scaling, at=self.at, weights=self.weights)

    def weighing(self, weights: Floats | None) -> Examples:
        """These examples with other weights."""
        return Examples(x=self.kept, y=self.y, scaling=self.scaling, at=self.at, weights=weights)

    def followed_by(self, others: Examples) -> Examples:
        """These examples and others of the same data set, in one."""
        y = np.concatenate([self.y, others.y])
        weights = (
            None
            if self.weights is None or others.weights is None
            else np.concatenate([self.weights, others.weights])
        )
        if self.kept is others.kept and self.at is not None and others.at is not None:
            at = np.concatenate([self.at, others.at])
            return Examples(x=self.kept, y=y, scaling=self.scaling, at=at, weights=weights)
        every = slice(None)
        if self.scaling == others.scaling:
            x = np.concatenate([self.raw(every), others.raw(every)])
            return Examples(x=x, y=y, scaling=self.scaling, weights=weights)
        return Examples(x=np.concatenate([self.x, others.x]), y=y, weights=weights)
