"""What a hyperparameter may be in a study: a number, a list of numbers, or a range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np

from ravine.errors import StudyError
from ravine.forms import Form, Limits, Refused
from ravine.messages import lacking, shown, wrong
from ravine.rules import Hyper

MOST_VALUES = 10_000  # of one hyper
FORMS = "or a list of numbers, or a range such as { log = [1e-4, 1.0], num = 9 }"


class Range(Form):
    """Numbers between two ends, evenly spaced on a logarithmic or a linear scale.

    ``{ log = [1e-4, 1.0], num = 9 }`` is nine values, a factor of sqrt(10) apart. Random search draws between
    the ends, so there ``num`` has no meaning and may be left out.

    Args:
        log: the two ends, low first, of a logarithmic scale; or
        linear: those of a linear one.
        num: how many values a grid has, ends included.

    Example:
        >>> Range(log=(1e-3, 1e-1), num=3).grid()
        (0.001, 0.01, 0.1)
    """

    log: tuple[float, float] | None = None
    linear: tuple[float, float] | None = None
    num: Annotated[int, Limits(least=2, most=10_000)] | None = None

    def check(self) -> None:
        """See that the ends make a range, and that it has as many values as it should."""
        if (self.log is None) == (self.linear is None):
            raise ValueError("a range needs exactly one of log = [low, high] and linear = [low, high]")
        low, high = self.ends
        if self.log is not None and low <= 0:
            raise ValueError(f"a log range needs ends above 0, got [{low:g}, {high:g}]")
        if low >= high:
            raise ValueError(f"a range goes from low to high, got [{low:g}, {high:g}]")
        if not math.isfinite(high - low):
            raise ValueError(
                f"the ends of a range must not be further apart than float64 reaches, got [{low:g}, {high:g}]"
            )
        if self.num is not None and len(set(self.grid())) != self.num:
            raise ValueError(f"{self.num} values do not fit between {low!r} and {high!r}")

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high."""
        ends = self.log or self.linear
        assert ends is not None, "a range has one of its scales"
        return ends

    def at(self, fraction: float) -> float:
        """The value a fraction of the way from low to high on the range's own scale, both ends exact."""
        low, high = self.ends
        if fraction in (0.0, 1.0):
            return high if fraction else low
        if self.log is not None:
            value = math.exp(math.log(low) + fraction * (math.log(high) - math.log(low)))
        else:
            value = low + fraction * (high - low)
        # Twelve digits: 0.001 is written 0.001, and an id does not hang on the last bit of exp().
        return min(max(float(f"{value:.12g}"), low), high)

    def grid(self) -> tuple[float, ...]:
        """All values of a grid.

        Raises:
            AssertionError: it has no ``num``; the study has been checked for that.
        """
        assert self.num is not None, "a range in a grid has num"
        return tuple(self.at(i / (self.num - 1)) for i in range(self.num))


Values: TypeAlias = float | tuple[float, ...] | Range
ValuesLike: TypeAlias = float | Sequence[float] | Mapping[str, Any] | Range


def parse_values(value: object, where: str, hyper: Hyper, *, switches: bool = True) -> Values:
    """What a hyper is to be: a number, several, or a range, every one of them allowed.

    Args:
        value: what the user wrote.
        where: the key as the user wrote it, such as ``"rules.0.lr"``.
        hyper: what is allowed, as for `parse_number`.
        switches: as for `parse_number`.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> lr = Hyper(about="learning rate", low_open=True)
        >>> parse_values([0.1, 1], "lr", lr), parse_values({"log": [0.1, 10], "num": 3}, "lr", lr).grid()
        ((0.1, 1.0), (0.1, 1.0, 10.0))
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Range | Mapping):
        return _range(value, where, hyper)
    if not isinstance(value, list | tuple):
        also = ", or a list of them" if hyper.whole else f", {FORMS}"
        return parse_number(value, where, hyper, also, switches=switches)
    if not value:
        raise wrong(where, [], "must have at least one value in it")
    if len(value) > MOST_VALUES:
        raise StudyError(
            f"{where}: must have at most {MOST_VALUES:,} values in it, not {len(value):,}",
            at=[tuple(where.split("."))],
        )
    listed = tuple(
        parse_number(item, f"{where}.{i}", hyper, switches=switches) for i, item in enumerate(value)
    )
    check_distinct(listed, where)
    return listed


def check_distinct(listed: Sequence[object], where: str) -> None:
    """Refuse a list that has a value twice.

    Raises:
        StudyError: names the first such value.
    """
    known = set()
    for item in listed:
        if item in known:
            raise wrong(where, list(listed), f"{shown(item)} is in it twice")
        known.add(item)


def parse_number(value: object, where: str, hyper: Hyper, also: str = "", *, switches: bool = True) -> float:
    """One number that is allowed.

    Args:
        value: what the user wrote.
        where: the key as the user wrote it.
        hyper: what is allowed. A switch, a hyper from 0 to 1 with both ends, takes true and false too.
        also: what else is allowed there, for the error text.
        switches: whether such a hyper is a switch, and no probability, whose true would be "always".

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    switch = switches and (hyper.low, hyper.high, hyper.low_open, hyper.high_open) == (0.0, 1.0, False, False)
    given = float(value) if switch and isinstance(value, bool) else value
    fault = hyper.fault(given, f"{', or true or false' if switch else ''}{also}")
    if fault is not None:
        raise wrong(where, value, f"must be {fault}")
    return float(given) + 0.0  # type: ignore[arg-type]  # -0.0 becomes 0.0: one value, one id


def _range(value: Range | Mapping[str, Any], where: str, hyper: Hyper) -> Range:
    if hyper.whole:
        raise lacking(where, f"cannot be a range: must be {hyper.allowed}, or a list of them")
    if isinstance(value, Range):
        found = value
    else:
        try:
            found = Range.of(value)
        except Refused as fault:
            raise fault.in_study(where) from None
    scale = "linear" if found.log is None else "log"
    for i, end in enumerate(found.ends):
        parse_number(end, f"{where}.{scale}.{i}", hyper)
    return found


def plain(values: Values) -> Any:
    """The values as a person writes them.

    Example:
        >>> plain((0.0, 0.1)), plain(Range(log=(1e-3, 1e-1), num=3))
        ([0.0, 0.1], {'log': (0.001, 0.1), 'num': 3})
    """
    if isinstance(values, Range):
        return values.changed()
    return list(values) if isinstance(values, tuple) else values


def options(values: Values, *, grid: bool) -> tuple[float, ...] | Range:
    """The values to choose from: in a grid all of them, in random search a range as it is."""
    if isinstance(values, Range):
        return values.grid() if grid else values
    return values if isinstance(values, tuple) else (values,)
