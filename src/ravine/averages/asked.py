"""Which average is asked for when a run is over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ravine.errors import InputError
from ravine.messages import as_float, count, shown, whole_number
from ravine.rules.averages import WIDEST, Average, chosen, ema, power, uniform

Kind = Literal["ema", "tail", "width", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An average that is asked for.

    Args:
        kind: "ema", "tail": the mean of the last part of a run; "width": a power average; "last": the mean of the last
            weights that were kept, the run's end among them.
        value: the decay, the part, the relative width, or how many.
    """

    kind: Kind
    value: float

    @property
    def name(self) -> str:
        """What it is called.

        Example:
            >>> Asked(kind="ema", value=0.999).name, Asked(kind="last", value=5).name
            ('ema 0.999', 'last 5')
        """
        return f"{self.kind} {int(self.value) if self.kind == 'last' else self.value!r}"

    def average(self, steps: int, kept: Sequence[int]) -> Average:
        """The average along a run.

        Args:
            steps: of the run.
            kept: after which steps its weights were kept.

        Raises:
            InputError: fewer weights were kept.
        """
        if self.kind == "ema":
            return ema(self.value)
        if self.kind == "width":
            return uniform() if self.value >= WIDEST else power(self.value)
        if self.kind == "tail":
            return uniform(min(math.floor((1.0 - self.value) * steps + 1e-9), steps - 1) + 1)
        ends = [*kept, steps]
        if len(ends) < self.value:
            raise InputError(
                f"last = {int(self.value)}: the run stored its weights {count(len(ends), 'time')}, its end included; "
                'keep = { every = "epoch" } keeps more'
            )
        return chosen(ends[-int(self.value) :])


def asked(
    *,
    ema: float | None = None,
    tail: float | None = None,
    width: float | None = None,
    last: int | None = None,
) -> Asked:
    """What is asked for, of which exactly one is given.

    Raises:
        InputError: none or several are, or the number is not one that is allowed.

    Example:
        >>> asked(tail=0.25)
        Asked(kind='tail', value=0.25)
    """
    all_of_them: dict[Kind, object] = {"ema": ema, "tail": tail, "width": width, "last": last}
    given = [(kind, value) for kind, value in all_of_them.items() if value is not None]
    if len(given) != 1:
        found = "none is given" if not given else f"{' and '.join(kind for kind, _ in given)} are given"
        raise InputError(f"ema, tail, width, last: exactly one of them says which average; {found}")
    [(kind, value)] = given
    if kind == "last":
        return Asked(kind=kind, value=whole_number(kind, value, 1))
    number = None if isinstance(value, bool) else as_float(value)
    most, words = {
        "ema": (1.0, "a decay above 0 and below 1"),
        "tail": (1.0, "a part of the run above 0, 1 at most"),
        "width": (WIDEST, "a relative width above 0 and at most 0.2887, that of the mean of all steps"),
    }[kind]
    # 0.2887 is what people write for the widest.
    fits = number is not None and 0.0 < number <= most + (5e-5 if kind == "width" else 0.0)
    if number is None or not fits or (kind == "ema" and number == 1.0):
        raise InputError(f"{kind} = {shown(value)}: must be {words}")
    return Asked(kind=kind, value=number)
