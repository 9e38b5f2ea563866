"""How examples are cut, where it is not at random: the `split` of a study's data."""

from __future__ import annotations

from typing import Annotated

from ravine.forms import Form, Limits

_Name = Annotated[str, Limits(shortest=1)]
EXAMPLE = 'such as { group = "patient" }, { time = "date" } or { column = "part" }'


class Split(Form):
    """How examples are cut into training, validation and test.

    Args:
        group: the column that says which examples belong together: they are in one split.
        time: the column that says when an example was taken: training comes before validation, and that before test.
        column: the column that says of each example "train", "validation" or "test".

    Example:
        >>> Split.of({"group": "patient"}).columns
        ('patient',)
    """

    group: _Name | None = None
    time: _Name | None = None
    column: _Name | None = None

    def check(self) -> None:
        """See that they say one thing."""
        if not self.changed():
            raise ValueError(f"is empty; {EXAMPLE}")
        for first, second, why in (
            ("column", "time", "cells that name a split leave nothing to deal"),
            ("time", "group", "a group whose examples lie in two splits would have to be in one"),
        ):
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise ValueError(f"{first}, {second}: only one of them; {why}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"column, group = {self.group!r}: two different columns are needed")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, which are no features."""
        return tuple(name for name in (self.column, self.group, self.time) if name is not None)

    @property
    def decides_test(self) -> str:
        """The key that leaves no fraction of the examples to be dealt as a test split; "" where there is none."""
        return "column" if self.column is not None else ""
