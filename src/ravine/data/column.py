"""Columns of a table: cells as numbers or as names, with the missing ones known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Integral, Rational, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.errors import DataError
from ravine.messages import shown

Place = Callable[[int], str]  # where an example came from: "x.csv, line 17"

# Missing cells of the libraries that none of this room imports, by the names of their types.
_ABSENT_TYPES = frozenset({"NAType", "NaTType", "MaskedConstant", "NullType"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Cells as they come from a file or a container.

    Args:
        values: texts of a file (dtype str), or whatever has a type.
        levels: their type says that they are names, even where they are numbers: pandas' and Polars'
            categoricals, Arrow's dictionaries.
    """

    values: npt.NDArray[Any]
    levels: bool = False

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """A column of a table.

    Args:
        name: its name.
        values: float64 with NaN for a missing cell, or objects: str, and None for a missing cell.
        whole: its numbers were written as whole numbers.
        exact: its numbers as they came, texts of a file or typed: names are made of these and never of floats.
        levels: its type says that its numbers are names.
        markers: texts that were read as an empty cell because most of the column is numbers.
    """

    name: str
    values: npt.NDArray[Any]
    whole: bool = False
    exact: npt.NDArray[Any] | None = None
    levels: bool = False
    markers: tuple[str, ...] = ()

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
        exact = None if self.exact is None else self.exact[rows]
        return replace(self, values=self.values[rows], exact=exact)


def typed_column(name: str, cells: Cells, where: str, *, keep_text: bool = False) -> Column:
    """A column out of cells that already have a type (Parquet, data frames, arrays).

    Args:
        name: of the column.
        cells: its cells.
        where: the file, for errors.
        keep_text: read numbers as names.

    Raises:
        DataError: the type is neither a number nor a text.
    """
    values = cells.values
    kind = values.dtype.kind
    if kind in "iubf":
        numbers = values.astype(np.float64)
        column = Column(name=name, values=numbers, whole=kind != "f", exact=values, levels=cells.levels)
    elif kind == "U":
        column = Column(name=name, values=values.astype(object))
    elif kind in "SOT":
        column = _object_column(name, values.astype(object), where, cells.levels)
    else:
        raise DataError(
            f"{where}: column {name!r} has type {values.dtype}; only numbers and texts can be used: convert it or "
            "leave it out"
        )
    return as_names(column) if keep_text and not column.text else column


def absent(cell: object) -> bool:
    """Whether a cell of any library is missing: None, NaN, NA, NaT or masked."""
    if cell is None or type(cell).__name__ in _ABSENT_TYPES:
        return True
    if isinstance(cell, float | np.floating):
        return bool(cell != cell)
    return isinstance(cell, Decimal) and cell.is_nan()


def number_name(value: object) -> str:
    """A number as the name of a class or a level, every digit of it: "3", "2.5", "1152921504606846977".

    Raises:
        DataError: it has more digits than Python writes.
    """
    try:
        return _number_name(value)
    except ValueError:
        raise DataError(f"{shown(value)}, so it cannot name a class or a level: give names instead") from None


def _number_name(value: object) -> str:
    if isinstance(value, bool | np.bool_ | Integral):
        return str(int(value))
    if isinstance(value, float | np.floating):
        if np.isfinite(value) and value == np.floor(value):
            return str(int(value))
        return str(value) if isinstance(value, np.longdouble) else repr(float(value))
    if isinstance(value, Decimal):
        if value.is_finite() and value == value.to_integral_value():
            return str(int(value))
        return format(value.normalize(), "f")
    return str(value)


def as_names(column: Column) -> Column:
    """A column of numbers as names, made of its numbers as they came."""
    assert column.exact is not None, "a column of numbers that becomes names has them as they came"
    cells = column.exact.tolist() if column.exact.dtype.kind in "iub" else list(column.exact)
    known = {cell: number_name(cell) for cell in set(cells) if not absent(cell)}
    return Column(name=column.name, values=objects([known.get(cell) for cell in cells]))


def objects(cells: list[Any]) -> npt.NDArray[Any]:
    """A list as an array of objects, one cell each, whatever they are."""
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _object_column(name: str, cells: npt.NDArray[Any], where: str, levels: bool) -> Column:
    missing = np.array([absent(cell) for cell in cells], dtype=bool)
    present = cells[~missing]
    if all(isinstance(cell, bytes) for cell in present) and len(present):
        present = _decoded(name, present, where)
    if all(isinstance(cell, str) for cell in present):
        values = np.full(len(cells), None, dtype=object)
        values[~missing] = [str(cell) for cell in present]  # np.str_ too
        return Column(name=name, values=values)
    if all(isinstance(cell, Real | Decimal | np.bool_) for cell in present):
        numbers, exact = np.full(len(cells), np.nan), np.full(len(cells), None, dtype=object)
        numbers[~missing] = [_float(cell) for cell in present]
        exact[~missing] = [
            cell.item() if isinstance(cell, np.generic) and not isinstance(cell, np.longdouble) else cell
            for cell in present
        ]
        return Column(name=name, values=numbers, whole=all(map(_whole, present)), exact=exact, levels=levels)
    kinds = ", ".join(sorted({type(cell).__name__ for cell in present}))
    raise DataError(
        f"{where}: column {name!r} has cells of type {kinds}; a column must be all numbers or all texts: "
        "convert it or leave it out"
    )


def _decoded(name: str, cells: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    try:
        return objects([cell.decode() for cell in cells])
    except UnicodeDecodeError:
        raise DataError(
            f"{where}: column {name!r} has bytes that are not UTF-8 text: convert it or leave it out"
        ) from None


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:  # a Python int beyond float64: it may still name a class
        return float(np.copysign(np.inf, 1 if cell > 0 else -1))


def _whole(cell: Any) -> bool:
    if isinstance(cell, Decimal):
        return cell.is_finite() and int(cell.as_tuple().exponent) >= 0
    return isinstance(cell, Integral | np.bool_) or (isinstance(cell, Rational) and cell.denominator == 1)
