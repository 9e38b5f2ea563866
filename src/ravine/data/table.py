"""Tables: columns of numbers and names, and the target beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, Place, typed_column
from ravine.data.inputs import PLAIN_CSV, CsvText
from ravine.data.numerals import Numerals
from ravine.data.target_columns import Columns, label_column
from ravine.data.texts import CURE, PLAIN, TARGET_CURE, kept_words, leading_zero, text_column
from ravine.errors import DataError, choices, together
from ravine.messages import count

Missing = Literal["refuse", "drop", "impute"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Feature columns of equal length.

    Args:
        columns: the columns.
        missing: what to do with empty cells.
        where: the file, for errors about a whole column.
        numerals: how a text file writes its numbers.
        categorical: columns that the user said are names.
        text: how a text file is written otherwise.
        faults: what is wrong with columns that are left out for it.
    """

    columns: tuple[Column, ...]
    missing: Missing
    where: str
    numerals: Numerals = PLAIN
    categorical: tuple[str, ...] = ()
    text: CsvText = PLAIN_CSV
    faults: tuple[DataError, ...] = ()

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """The same columns, some of the rows."""
        return replace(self, columns=tuple(column.take(rows) for column in self.columns))


def build_table(
    cells: Mapping[str, Cells],
    *,
    target: Sequence[str],
    drop: Sequence[str],
    categorical: Sequence[str],
    missing: Missing,
    where: str,
    place: Place,
    numerals: Numerals = PLAIN,
    target_names: bool = False,
    separator: str | None = None,
) -> tuple[Table, Column | Columns | None, list[str]]:
    """Sort cells into feature columns and the target.

    Args:
        cells: the cells of each column: texts (dtype str) are read as numbers where they all are.
        target: names of the target columns; none if the target comes from elsewhere.
        drop: names of columns not to use.
        categorical: names of columns of numbers to be read as names.
        missing: what to do with empty cells.
        where: the file, for errors.
        place: where a row is, for errors.
        numerals: how a text file writes its numbers.
        target_names: take a target of numbers and words as names, all of it.
        separator: what is between the labels that the target names; None: a cell is one answer.

    Returns:
        The table, with an error for each column that cannot be used, the target, and notes.

    Raises:
        DataError: a column is not there or has no name, or the target cannot be used.
    """
    notes: list[str] = []
    faults: list[DataError] = []
    known = list(cells)
    asked = [("target", name) for name in target]
    asked += [("drop", name) for name in drop] + [("categorical", name) for name in categorical]
    for option, name in asked:
        if name not in cells:
            raise DataError(f"{where}: {option} {name!r} is not a column; {choices(name, known)}")
    for name in target:
        if name in drop:
            is_one = "is the target" if len(target) == 1 else "is a target"
            raise DataError(f"{where}: column {name!r} {is_one}, it cannot be in drop too")
        if name in categorical and (len(target) > 1 or separator is not None):
            of = "labels" if separator is not None else "several targets, which are numbers, or 0 and 1"
            raise DataError(f"{where}: categorical {name!r} is a target column of {of}; take it out")
    columns = []
    for name, values in cells.items():
        if name in drop or name in target:
            continue
        named = name in categorical
        try:
            column = _read(name, values, where, place, numerals, keep_text=named or values.levels)
        except DataError as error:
            faults.append(error)
            continue
        if named:
            notes += _word_notes(name, values)
        counts_rows = _counts_rows(column)
        if not name.strip():
            if not counts_rows:
                raise DataError(
                    f'{where}: column {known.index(name) + 1} has no name in the header; name it or drop [""]'
                )
            notes.append("the column without a name counts the rows: it was left out")
            continue
        if counts_rows:
            notes.append(f"column {name!r} counts the rows: if it is an index, put it in drop")
        notes += _reading_notes(column, values)
        columns.append(replace(column, exact=None))
    if not columns and faults:
        raise together(faults)
    if not columns:
        raise DataError(f"{where}: no column is left beside the target {', '.join(map(repr, target))}")
    table = Table(
        columns=tuple(columns),
        missing=missing,
        where=where,
        numerals=numerals,
        categorical=tuple(categorical),
        faults=tuple(faults),
    )
    if not target:
        return table, None, notes
    first = target[0]
    if first in categorical:
        notes += _word_notes(first, cells[first])
        return table, _read(first, cells[first], where, place, numerals, keep_text=True), notes
    try:
        if separator is not None:
            of_labels = label_column(first, cells[first], place)
            return table, Columns(columns=(of_labels,), separator=separator), notes
        found = [_target(name, cells[name], where, place, numerals, names=target_names) for name in target]
    except DataError as error:
        raise together([*faults, error]) from None
    return table, found[0] if len(found) == 1 else Columns(columns=tuple(found)), notes


def _target(name: str, cells: Cells, where: str, place: Place, numerals: Numerals, *, names: bool) -> Column:
    """The target; one of names may contain numbers too, but one of numbers keeps their order."""
    try:
        # Where it may be one of names, a dash among numbers is a class.
        return _read(name, cells, where, place, numerals, cure=TARGET_CURE, exact=True, markers=not names)
    except DataError:
        if not names:
            raise
        return _read(name, cells, where, place, numerals, keep_text=True, words=False)


def _word_notes(name: str, cells: Cells) -> list[str]:
    words = kept_words(cells.values) if cells.values.dtype.kind == "U" else []
    if not words:
        return []
    names = "is a name" if len(words) == 1 else "are names"
    shown = " and ".join(map(repr, words))
    return [f"column {name!r} is in categorical: {shown} {names} in it, not an empty cell"]


def _reading_notes(column: Column, cells: Cells) -> list[str]:
    """What was read from the texts of a column of numbers that may be meant otherwise."""
    notes = []
    if column.markers:
        shown = " and ".join(map(repr, column.markers))
        notes.append(f"column {column.name!r}: {shown} was read as an empty cell")
    if (
        not column.text
        and cells.values.dtype.kind == "U"
        and (code := leading_zero(cells.values)) is not None
    ):
        notes.append(
            f"column {column.name!r} has leading zeros, such as {code}: if these are codes, put it in categorical"
        )
    return notes


def _counts_rows(column: Column) -> bool:
    """Whether it goes up by one from row to row, perhaps anew in a test file behind."""
    if column.text or len(column.values) < 4:
        return False
    with np.errstate(invalid="ignore"):
        return int(np.count_nonzero(np.diff(column.values) != 1)) <= 1


def _read(
    name: str,
    cells: Cells,
    where: str,
    place: Place,
    numerals: Numerals,
    *,
    keep_text: bool = False,
    cure: str = CURE,
    exact: bool = False,
    words: bool = True,
    markers: bool = True,
) -> Column:
    """A column from texts of a file or from cells that have a type."""
    if cells.values.dtype.kind == "U":
        return text_column(
            name,
            cells.values,
            place,
            numerals=numerals,
            keep_text=keep_text,
            cure=cure,
            exact=exact,
            words=words,
            markers=markers,
        )
    return typed_column(name, cells, where, keep_text=keep_text)


def _empty_cells(column: Column, place: Place, cure: str) -> DataError:
    """The first empty cell of a column that has one, and how many there are."""
    missing = column.missing
    cells = f"{count(int(missing.sum()), 'cell')} in all"
    if column.markers:
        cells += f"; {' and '.join(map(repr, column.markers))} is read as one"
    return DataError(
        f"{place(int(missing.argmax()))}: column {column.name!r} is empty ({cells}); use {cure}, or fill it in"
    )


def refused_cells(table: Table, place: Place) -> dict[str, DataError]:
    """An error for each column that has an empty cell, by name, where such are refused."""
    if table.missing != "refuse":
        return {}
    cure = 'missing = "drop" or "impute"'
    return {
        column.name: _empty_cells(column, place, cure) for column in table.columns if column.missing.any()
    }


def complete_rows(
    table: Table, target: Column | Columns, place: Place
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Rows that can be used, by what is to be done with empty cells.

    Returns:
        Indices of the rows to keep, and notes.

    Raises:
        DataError: an empty cell, by column and row, if it is refused.
    """
    faults = list(refused_cells(table, place).values())
    targets = target.columns if isinstance(target, Columns) else (target,)
    if table.missing != "drop":
        faults += [_empty_cells(each, place, 'missing = "drop"') for each in targets if each.missing.any()]
    if faults:
        raise together(faults)
    empty = np.zeros(len(target.values), dtype=bool)
    if table.missing == "drop":
        for column in (*table.columns, *targets):
            empty |= column.missing
    kept = np.flatnonzero(~empty)
    dropped = len(empty) - len(kept)
    if not len(kept):
        worst = max((*table.columns, *targets), key=lambda column: int(column.missing.sum()))
        raise DataError(
            f'{table.where}: every row has an empty cell: missing = "drop" leaves nothing; column {worst.name!r} is '
            f"empty in {worst.missing.sum():,} of {count(len(empty), 'row')}"
        )
    was = "was" if dropped == 1 else "were"
    rows = f"{dropped:,} of {count(len(empty), 'row')}, with an empty cell, {was} dropped"
    return kept, [rows] if dropped else []
