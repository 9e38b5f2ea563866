"""What a hyperparameter may be in a study: a number, a list of numbers, or a range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ravine.errors import StudyError
from ravine.messages import Strict


def _number(value: Any) -> Any:
    """Refuse what Python would quietly take for a number: true is not 1 and "0.1" is not 0.1."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    raise ValueError("must be a number, a list of numbers, or a range such as { log = [1e-4, 1.0], num = 9 }")


Number = Annotated[float, BeforeValidator(_number)]


class Range(Strict):
    """Numbers between two ends, evenly spaced on a logarithmic or a linear scale.

    ``{ log = [1e-4, 1.0], num = 9 }`` is nine values, a factor of sqrt(10) apart. With ``search`` the ends
    alone matter and values are drawn between them, so ``num`` may be left out.

    Example:
        >>> Range(log=(1e-3, 1e-1), num=3).grid()
        (0.001, 0.01, 0.1)
    """

    log: Annotated[tuple[Number, Number], Field(strict=False)] | None = None
    linear: Annotated[tuple[Number, Number], Field(strict=False)] | None = None
    num: Annotated[int, Field(ge=1, le=10_000)] | None = None

    def ends(self, where: str) -> tuple[float, float]:
        """The two ends, checked.

        Raises:
            StudyError: neither or both scales are given, or the ends are not in order.
        """
        if (self.log is None) == (self.linear is None):
            raise StudyError(f"{where}: a range needs exactly one of log = [low, high] and linear = [low, high]")
        low, high = self.log or self.linear or (math.nan, math.nan)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise StudyError(f"{where}: the ends of a range must be finite numbers, got [{low:g}, {high:g}]")
        if self.log is not None and low <= 0:
            raise StudyError(f"{where}: a log range needs ends above 0, got [{low:g}, {high:g}]")
        if low >= high:
            raise StudyError(f"{where}: a range goes from low to high, got [{low:g}, {high:g}]")
        return low, high

    def at(self, fraction: float) -> float:
        """The value a fraction of the way from low to high on the range's own scale."""
        low, high = self.log or self.linear or (math.nan, math.nan)
        if self.log is not None:
            value = math.exp(math.log(low) + fraction * (math.log(high) - math.log(low)))
        else:
            value = low + fraction * (high - low)
        # Twelve digits: 0.001 is written 0.001, and an id does not hang on the last bit of exp().
        return float(f"{min(max(value, low), high):.12g}")

    def grid(self) -> tuple[float, ...]:
        """All values of the range."""
        if self.num is None or self.num == 1:
            return (self.at(0.0),)
        return tuple(self.at(i / (self.num - 1)) for i in range(self.num))


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return Range.model_validate(value)
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("must not be an empty list")
        return tuple(_number(item) for item in value)
    if isinstance(value, Range):
        return value
    return _number(value)


Values = Annotated[float | tuple[float, ...] | Range, BeforeValidator(_values)]
"""A number, a list of numbers, or a `Range`."""


def grid_of(values: float | tuple[float, ...] | Range, where: str) -> tuple[float, ...]:
    """All values that a grid search tries.

    Raises:
        StudyError: a range without ``num``, or a value that stands twice.
    """
    if isinstance(values, Range):
        values.ends(where)
        if values.num is None:
            raise StudyError(f"{where}: a range needs num = how many values (or search = {{ kind = 'random', trials = ... }})")
        return values.grid()
    listed = values if isinstance(values, tuple) else (values,)
    if len(set(listed)) != len(listed):
        raise StudyError(f"{where}: a value stands twice in {list(listed)}")
    return listed


def draw_of(values: float | tuple[float, ...] | Range, where: str) -> Callable[[float], float]:
    """A function from a uniform number in [0, 1) to a value that random search tries."""
    if isinstance(values, Range):
        values.ends(where)
        return values.at
    listed = values if isinstance(values, tuple) else (values,)
    return lambda fraction: listed[min(int(fraction * len(listed)), len(listed) - 1)]


SearchKind = Literal["grid", "random"]


class Search(Strict):
    """How the values are combined: all of them (grid), or ``trials`` random draws for every rule."""

    kind: SearchKind = "grid"
    trials: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seed: int = 0
