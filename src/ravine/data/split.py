"""How examples are cut, where it is not at random: the `split` of a study's data."""

from __future__ import annotations

from typing import Annotated

from ravine.data.deal_folds import FoldOf
from ravine.forms import Form, Limits

MOST_FOLDS, MOST_REPEATS = 1000, 100
_Name = Annotated[str, Limits(shortest=1)]
EXAMPLE = 'such as { folds = 5 }, { group = "patient" }, { time = "date" } or { column = "part" }'


class Split(Form):
    """How examples are cut into training, validation and test.

    Args:
        folds: so many parts, each of which is the test split once.
        repeats: how many times the folds are dealt anew.
        group: the column that says which examples belong together: they are in one split.
        time: the column that says when an example was taken: training comes before validation, and that before test.
        column: the column that says of each example "train", "validation" or "test".

    Example:
        >>> Split.of({"folds": 5, "group": "patient"}).columns
        ('patient',)
    """

    folds: Annotated[int, Limits(least=2, most=MOST_FOLDS)] | None = None
    repeats: Annotated[int, Limits(least=1, most=MOST_REPEATS)] = 1
    group: _Name | None = None
    time: _Name | None = None
    column: _Name | None = None

    def check(self) -> None:
        """See that they say one thing."""
        if self.repeats != 1 and self.folds is None:
            raise ValueError("repeats is how many times folds are dealt anew: give folds too")
        if not self.changed():
            raise ValueError(f"is empty; {EXAMPLE}")
        for first, second, why in (
            ("column", "folds", "cells that name a split leave nothing to deal"),
            ("column", "time", "cells that name a split leave nothing to deal"),
            ("time", "folds", "a fold would learn from what comes after its test examples"),
            ("time", "group", "a group whose examples lie in two splits would have to be in one"),
        ):
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise ValueError(f"{first}, {second}: only one of them; {why}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"column, group = {self.group!r}: two different columns are needed")

    @property
    def parts(self) -> tuple[FoldOf, ...]:
        """The folds, those of one repeat after those of another; () where there are none."""
        return tuple(
            FoldOf(fold=fold, repeat=repeat)
            for repeat in range(self.repeats)
            for fold in range(self.folds or 0)
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, which are no features."""
        return tuple(name for name in (self.column, self.group, self.time) if name is not None)

    @property
    def decides_test(self) -> str:
        """The key that leaves no fraction of the examples to be dealt as a test split; "" where there is none."""
        return "folds" if self.folds is not None else "column" if self.column is not None else ""
