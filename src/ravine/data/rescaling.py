"""Inputs that all folds share, in memory once, and what each fold makes of them.

Every fold scales by its own training part and fills in its own means. So the inputs that they share are kept as they
are, but for one change: a number of a table is counted from its column's median, in units of its column's deviation.
As float32 it then has its digits where they are needed, also where a mean is a million times the deviation: a median is
at most a deviation away from its mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ravine.data.scale import Floats, Scaling

Doubles = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescaling:
    """What a fold makes of shared inputs: ``(x - shift) factor``, and ``fill`` where x is missing.

    Args:
        shift, factor: float32, to go with one example.
        fill: likewise; None: nothing is missing.

    Example:
        >>> of = Rescaling(shift=np.float32([1, 0]), factor=np.float32([2, 1]), fill=np.float32([0, 7]))
        >>> of(np.array([[3, np.nan], [1, 5]], dtype=np.float32)).tolist()
        [[4.0, 7.0], [0.0, 5.0]]
    """

    shift: Floats
    factor: Floats
    fill: Floats | None = None

    def __call__(self, x: npt.NDArray[Any]) -> Floats:
        """Shared inputs, (N, ...) float32 or bytes, as a model of the fold takes them.

        The engine does the same to a batch, with the same bits (`ravine.engine.objective.rescaled`).
        """
        x = np.asarray(x, dtype=np.float32)
        found = (x - self.shift) * self.factor
        if self.fill is not None:
            found = np.where(np.isnan(x), self.fill, found)
        return np.ascontiguousarray(found, dtype=np.float32)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedInputs:
    """Inputs of all examples, before any fold has scaled them.

    Args:
        x: float32 or bytes (N, ...); NaN where a number is missing.
        rows: which rows of it the examples are; None: all, in order.
        middle, unit: x is ``(raw - middle) / unit``.
        missing: whether any number is.
    """

    x: npt.NDArray[Any]
    rows: npt.NDArray[np.int64] | None = None
    middle: Doubles | float = 0.0
    unit: Doubles | float = 1.0
    missing: bool = False

    @staticmethod
    def of_columns(values: Doubles, scaled: npt.NDArray[np.bool_]) -> SharedInputs:
        """Columns of numbers.

        Args:
            values: (N, D), NaN where one is missing.
            scaled: (D,) which of them folds scale; the others stay as they are.
        """
        middle, unit = np.zeros(values.shape[1]), np.ones(values.shape[1])
        if scaled.any():
            middle[scaled] = np.nanmedian(values[:, scaled], axis=0)
            deviation = np.nanstd(values[:, scaled], axis=0)
            unit[scaled] = np.where(deviation > 0.0, deviation, 1.0)
        x = ((values - middle) / unit).astype(np.float32)
        return SharedInputs(x=x, middle=middle, unit=unit, missing=bool(np.isnan(x).any()))

    def at(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows of x that some examples are."""
        return rows if self.rows is None else self.rows[rows]

    def rescaling(self, scaling: Scaling, *, fill: Doubles | None = None, used: Any = True) -> Rescaling:
        """What a fold makes of them.

        Args:
            scaling: of the fold, of raw values.
            fill: (D,) what it takes for missing numbers, raw; it is not needed where nothing is missing.
            used: (D,) columns that its training part has seen; all others are 0 for it.
        """
        mean, deviation = _in_raw_units(scaling, self.x.ndim - 1)
        assert fill is not None or not self.missing, "something takes the place of what is missing"
        fill = fill if self.missing else None
        factor = np.where(used, self.unit / deviation, 0.0)
        whole = np.ones(self.x.shape[1:] if self.x.ndim == 2 else (1,) * (self.x.ndim - 1))
        shift, factor, _ = np.broadcast_arrays((mean - self.middle) / self.unit, factor, whole)
        return Rescaling(
            shift=np.array(shift, dtype=np.float32),
            factor=np.array(factor, dtype=np.float32),
            fill=np.array((fill - mean) / deviation, dtype=np.float32) if fill is not None else None,
        )


@final
class Sharing:
    """Makes the inputs that folds share when the first of them asks."""

    def __init__(self) -> None:
        self._made: SharedInputs | None = None

    def inputs(self, make: Callable[[], SharedInputs]) -> SharedInputs:
        """The shared inputs; made by the first call."""
        if self._made is None:
            self._made = make()
        return self._made


def _in_raw_units(scaling: Scaling, num_dims: int) -> tuple[Doubles, Doubles]:
    """Mean and deviation of what is kept, to go with one example of so many dimensions."""
    of_bytes = 255.0 if scaling.values == "bytes" and not scaling.table else 1.0
    if not scaling.mean:
        return np.zeros([1] * num_dims), np.full([1] * num_dims, of_bytes)
    mean, deviation = (
        of_bytes * np.array(each, dtype=np.float64).reshape(scaling.shape)
        for each in (scaling.mean, scaling.deviation)
    )
    return mean, deviation
