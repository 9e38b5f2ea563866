"""Numbers and truth values that have a type, as the names that training knew: 7 where a file wrote "007"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, absent, number_name, objects, typed_column
from ravine.data.numerals import Numerals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """Cells that have a type, as names.

    Args:
        column: their names; a cell that could be two of them is missing in it.
        doubtful: (N,) those cells.
    """

    column: Column
    doubtful: npt.NDArray[np.bool_]


def as_written(name: str, cells: Cells, where: str, known: Sequence[str], numerals: Numerals) -> Written:
    """Cells that have a type, as the names that training knew; texts are names as they are.

    A library reads "007" as 7 and "True" as a truth value. Such a cell is the known name that is this number, or this
    truth value. Where two are, as "007" and "7", nobody can say which. Where none is, its usual form is its name.

    Args:
        name: of the column.
        cells: its cells.
        where: the file, for errors.
        known: names that training knew.
        numerals: how a text file wrote its numbers.

    Raises:
        DataError: the type is neither a number nor a text.

    Example:
        >>> found = as_written("code", Cells(values=np.array([7, 8])), "x", ["007", "8", "08"], Numerals())
        >>> found.column.values, found.doubtful
        (array(['007', None], dtype=object), array([False,  True]))
    """
    column = typed_column(name, cells, where)
    nothing = np.zeros(len(cells), dtype=bool)
    if column.text:
        return Written(column=column, doubtful=nothing)
    assert column.exact is not None, "a column of numbers has them as they came"
    exact = column.exact.tolist() if column.exact.dtype.kind in "iub" else list(column.exact)
    texts = _numbers(known, numerals)
    found = {(type(cell), cell): _names(cell, known, texts) for cell in set(exact) if not absent(cell)}
    names = [() if absent(cell) else found[type(cell), cell] for cell in exact]
    return Written(
        column=Column(name=name, values=objects([each[0] if len(each) == 1 else None for each in names])),
        doubtful=np.array([len(each) > 1 for each in names], dtype=bool),
    )


def _numbers(known: Sequence[str], numerals: Numerals) -> dict[str, tuple[float, Decimal]]:
    """The names that are finite numbers."""
    found = {}
    for name in known:
        plain = numerals.plain(name)
        if plain is None or not np.isfinite(float(plain)):
            continue
        try:
            found[name] = float(plain), Decimal(plain)
        except InvalidOperation:  # Python's float takes it, whatever it is
            found[name] = float(plain), Decimal(float(plain))
    return found


def _names(cell: Any, known: Sequence[str], texts: dict[str, tuple[float, Decimal]]) -> tuple[str, ...]:
    """The names that a cell may be."""
    usual = number_name(cell)
    try:
        value = float(cell)
    except OverflowError:  # a whole number beyond float64
        return (usual,)
    found = tuple(name for name, (number, _) in texts.items() if number == value)
    if len(found) > 1 and not isinstance(
        cell, float | np.floating
    ):  # alike as float64, but not digit by digit
        found = tuple(name for name in found if texts[name][1] == Decimal(usual)) or found
    if not found and isinstance(cell, bool | np.bool_):
        found = tuple(name for name in known if name.casefold() == str(bool(cell)).casefold())
    return found or (usual,)
