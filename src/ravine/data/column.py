"""Columns of a table: cells as numbers or as names, with the missing ones known."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.errors import DataError

# Texts that stand for an empty cell, in lower case.
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "nan", "null"})

# What may be done about a word among numbers: in a column of features, and in the target.
CURE = "put {name} in drop or in categorical"
TARGET_CURE = 'take the line out, or say task = "classification" to read all of {name} as names'

COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?")

Place = Callable[[int], str]  # where an example came from: "x.csv, line 17"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """One column.

    Args:
        name: its name.
        values: float64 with NaN for a missing cell, or objects: str, and None for a missing cell.
        whole: its numbers were written as whole numbers.
    """

    name: str
    values: npt.NDArray[Any]
    whole: bool = False

    @property
    def text(self) -> bool:
        """Whether the cells are names and not numbers."""
        return self.values.dtype == object

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which cells are empty."""
        if self.text:
            return np.array([value is None for value in self.values], dtype=bool)
        return np.asarray(np.isnan(self.values))

    def take(self, rows: npt.NDArray[Any]) -> Column:
        """The same column, some of its rows."""
        return Column(name=self.name, values=self.values[rows], whole=self.whole)


def text_column(
    name: str, cells: npt.NDArray[np.str_], place: Place, *, keep_text: bool = False, cure: str = CURE
) -> Column:
    """A column out of the texts of a file: numbers if every cell that is not missing is one.

    Args:
        name: of the column.
        cells: its texts.
        place: where a row is, for errors.
        keep_text: leave numbers as names.
        cure: what may be done about a word among numbers.

    Raises:
        DataError: most cells are numbers, but not all; or most would be with a point for their comma.
    """
    if not keep_text:
        numbers = _numbers(cells)
        if numbers is not None:
            return Column(name=name, values=numbers, whole=_whole(cells))
    different, which = np.unique(cells, return_inverse=True)
    tidy = np.array([cell.strip() for cell in different.tolist()], dtype=object)
    absent = np.array([cell.lower() in MISSING for cell in tidy], dtype=bool)
    tidy[absent] = None
    if keep_text or absent.all():
        return Column(name=name, values=tidy[which])
    levels = np.full(len(tidy), np.nan)
    numbers = _numbers(tidy[~absent].astype(str))
    if numbers is not None:
        levels[~absent] = numbers
        return Column(name=name, values=levels[which], whole=_whole(tidy[~absent].astype(str)))
    bad = np.array([cell is not None and _numbers(np.array([cell])) is None for cell in tidy], dtype=bool)[
        which
    ]
    present = ~absent[which]
    commas = np.array([cell is not None and COMMA.fullmatch(cell) is not None for cell in tidy], dtype=bool)[
        which
    ]
    if commas.sum() > bad.sum() / 2:
        row = int(np.flatnonzero(commas)[0])
        raise DataError(
            f"{place(row)}: column {name!r}: {tidy[which][row]!r} is a number with a decimal comma; "
            f'say decimal = ",", or put {name!r} in categorical if it is a name'
        )
    if bad.sum() < present.sum() / 2:
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{place(row)}: column {name!r}: {tidy[which][row]!r} is not a number, most of the column is; "
            f"correct it, or {cure.format(name=repr(name))}"
        )
    return Column(name=name, values=tidy[which])


def typed_column(name: str, cells: npt.NDArray[Any], where: str, *, keep_text: bool = False) -> Column:
    """A column out of cells that already have a type (Parquet, data frames, arrays).

    Raises:
        DataError: the type is neither a number nor a text.
    """
    kind = cells.dtype.kind
    if kind in "iub":
        column = Column(name=name, values=cells.astype(np.float64), whole=True)
    elif kind == "f":
        column = Column(name=name, values=cells.astype(np.float64))
    elif kind in "US":
        column = Column(name=name, values=cells.astype(str).astype(object))
    elif kind in "OT":
        column = _object_column(name, cells.astype(object), where)
    else:
        raise DataError(
            f"{where}: column {name!r} holds {cells.dtype}; only numbers and texts can be used: convert it or "
            "leave it out"
        )
    return _as_text(column) if keep_text and not column.text else column


def _object_column(name: str, cells: npt.NDArray[Any], where: str) -> Column:
    absent = np.array([cell is None or cell != cell or str(cell) == "<NA>" for cell in cells], dtype=bool)
    present = cells[~absent]
    if all(isinstance(cell, str) for cell in present):
        values = cells.copy()
        values[absent] = None
        return Column(name=name, values=values)
    if all(isinstance(cell, bool | int | float | np.number | np.bool_) for cell in present):
        numbers = np.full(len(cells), np.nan)
        numbers[~absent] = present.astype(np.float64)
        whole = all(isinstance(cell, bool | int | np.integer | np.bool_) for cell in present)
        return Column(name=name, values=numbers, whole=whole)
    kinds = ", ".join(sorted({type(cell).__name__ for cell in present}))
    raise DataError(
        f"{where}: column {name!r} holds {kinds}; numbers or texts, one of the two, can be used: convert it or "
        "leave it out"
    )


def number_name(value: float) -> str:
    """A number as the name of a class or a level: "3", "2.5"."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _as_text(column: Column) -> Column:
    different, which = np.unique(column.values, return_inverse=True)
    names = np.array([None if np.isnan(value) else number_name(value) for value in different], dtype=object)
    return Column(name=column.name, values=names[which])


def _numbers(cells: npt.NDArray[np.str_]) -> npt.NDArray[np.float64] | None:
    """The cells as numbers, or None if one of them is none. Python reads "1_0" as 10: no number here."""
    try:
        numbers = cells.astype(np.float64)
    except ValueError:
        return None
    return None if "_" in "".join(cells.tolist()) else numbers


def _whole(cells: npt.NDArray[np.str_]) -> bool:
    return not set(".eE") & set("".join(cells.tolist()))
