"""Hyperparameters of a rule: what they are, their defaults and their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ravine.errors import StudyError, choices
from ravine.messages import as_float, shown

SMALLEST, LARGEST = 2.0**-126, (2.0 - 2.0**-23) * 2.0**127  # normal numbers of float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyper:
    """One hyperparameter of a rule: what it is, its default and its range.

    Args:
        about: one line for a person.
        default: its value where none is given; None: one must be given.
        low: smallest value.
        high: largest value. Values must be finite even where it is infinite.
        low_open: whether ``low`` itself is refused.
        high_open: whether ``high`` itself is refused.
        log: whether its natural scale is logarithmic (ranges and plots).
        whole: whether it must be a whole number.
    """

    about: str
    default: float | None = None
    low: float = 0.0
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    log: bool = False
    whole: bool = False

    def check(self, name: str, value: object, where: str) -> float:
        """The value as a float, if it is allowed.

        Args:
            name: the hyperparameter's name.
            value: what the user wrote.
            where: the file and key, or the call, for the error.

        Raises:
            StudyError: not a number, not finite, or out of range.

        Example:
            >>> Hyper(about="learning rate", low_open=True).check("lr", 1, "adam")
            1.0
        """
        fault = self.fault(value)
        if fault is not None:
            raise StudyError(f"{where}: {name} = {shown(value)}: must be {fault}")
        return float(value)  # type: ignore[arg-type]

    def fault(self, value: object, also: str = "") -> str | None:
        """What a value must be, in words; None if it is allowed as it is.

        Training computes in float32, where a number that is too small or too large becomes 0 or infinite.

        Args:
            value: what the user wrote.
            also: words for what else is allowed.
        """
        number = as_float(value)
        if number is None or not self._within(number):
            return f"{self.allowed}{also}"
        if 0 < abs(number) < SMALLEST:
            return (
                f"at least {SMALLEST:.2g}{', or 0' * self._within(0.0)}: smaller values underflow in float32"
            )
        if abs(number) > LARGEST:
            return f"at most {LARGEST:.2g}: larger values overflow in float32"
        return None

    @property
    def allowed(self) -> str:
        """The range in words.

        Example:
            >>> Hyper(about="decay", high=1.0, high_open=True).allowed
            'a number of at least 0 and below 1'
        """
        if self.whole:
            return f"a whole number from {self.low:g} to {self.high:g}"
        low = f"{'above' if self.low_open else 'of at least'} {self.low:g}"
        if math.isinf(self.high):
            return "a finite number" + ("" if math.isinf(self.low) else f" {low}")
        return f"a number {low} and {'below' if self.high_open else 'at most'} {self.high:g}"

    def _within(self, number: float) -> bool:
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return math.isfinite(number) and above and below and (not self.whole or number.is_integer())


def fill(hypers: Mapping[str, Hyper], given: Mapping[str, object], where: str) -> dict[str, float]:
    """All hypers: those given, checked, and the defaults of the others.

    Args:
        hypers: what may be set, by name.
        given: what the user set, by name.
        where: the file and key, or the call, for errors.

    Returns:
        One float per hyper, in the order of ``hypers``.

    Raises:
        StudyError: an unknown name, a value that is not allowed, or a missing one.

    Example:
        >>> fill({"rho": Hyper(about="decay of the velocity", default=0.9)}, {}, "momentum")
        {'rho': 0.9}
    """
    for name in given:
        if name not in hypers:
            raise StudyError(f"{where}: unknown hyperparameter '{name}': {choices(name, hypers)}")
    filled = {}
    for name, hyper in hypers.items():
        value = given.get(name, hyper.default)
        if value is None and name not in given:
            raise StudyError(f"{where}: {name} is missing: {hyper.about}, {hyper.allowed}")
        filled[name] = hyper.check(name, value, where)
    return filled


def learning_rate(default: float | None = None) -> Hyper:
    """The hyper ``lr``: every rule has it, and none allows 0."""
    return Hyper(about="learning rate", default=default, low_open=True, log=True)


def decay_rate(about: str, default: float) -> Hyper:
    """A hyper in [0, 1): the decay of a running mean or of a velocity."""
    return Hyper(about=about, default=default, high=1.0, high_open=True)


def small_constant(default: float) -> Hyper:
    """The hyper ``eps``. 0 is refused: a weight without any gradient so far would become 0/0."""
    return Hyper(about="added to the root of the squares", default=default, low_open=True, log=True)
