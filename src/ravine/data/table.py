"""Tables: columns of numbers and names become one matrix, by what the training part knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import CURE, TARGET_CURE, Column, Place, text_column, typed_column
from ravine.errors import DataError, choices

MOST_LEVELS = 100  # one-hot columns out of one column
FEW_LEVELS = 10  # so many are never taken for an identifier
MISSING_LEVEL = "missing"

Missing = Literal["refuse", "drop", "impute"]
Cells = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Feature columns of equal length.

    Args:
        columns: the columns.
        missing: what to do with empty cells.
        where: the file, for errors about a whole column.
    """

    columns: tuple[Column, ...]
    missing: Missing
    where: str

    def take(self, rows: npt.NDArray[np.generic]) -> Table:
        """The same columns, some of the rows."""
        columns = tuple(column.take(rows) for column in self.columns)
        return Table(columns=columns, missing=self.missing, where=self.where)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """A table as numbers: float64 (N, D), the names of its columns, and which of them are plain numbers."""

    values: npt.NDArray[np.float64]
    features: tuple[str, ...]
    numeric: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def build_table(
    cells: Cells,
    *,
    target: str | None,
    drop: Sequence[str],
    categorical: Sequence[str],
    missing: Missing,
    where: str,
    place: Place,
    target_names: bool = False,
) -> tuple[Table, Column | None, list[str]]:
    """Sort cells into feature columns and the target.

    Args:
        cells: the cells of each column: texts (dtype str) are read as numbers where they all are.
        target: name of the target column, None if the target comes from elsewhere.
        drop: names of columns not to use.
        categorical: names of columns of numbers to be read as names.
        missing: what to do with empty cells.
        where: the file, for errors.
        place: where a row is, for errors.
        target_names: take a target of numbers and words as names, all of it.

    Returns:
        The table, the target column, and notes.

    Raises:
        DataError: a column is not there, has no name, or holds what cannot be used.
    """
    notes: list[str] = []
    known = list(cells)
    asked = [*((("target", target),) if target is not None else ())]
    asked += [("drop", name) for name in drop] + [("categorical", name) for name in categorical]
    for option, name in asked:
        if name not in cells:
            raise DataError(f"{where}: {option} {name!r} is not a column; {choices(name, known)}")
    if target in drop or target in categorical:
        option = "drop" if target in drop else "categorical"
        raise DataError(f"{where}: column {target!r} is the target, it cannot stand in {option} too")
    columns = []
    for name, values in cells.items():
        if name in drop or name == target:
            continue
        column = read_column(name, values, where, place, keep_text=name in categorical)
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
        columns.append(column)
    if not columns:
        raise DataError(f"{where}: no column is left beside the target {target!r}")
    table = Table(columns=tuple(columns), missing=missing, where=where)
    if target is None:
        return table, None, notes
    return table, _target(target, cells[target], where, place, names=target_names), notes


def _target(name: str, cells: npt.NDArray[np.generic], where: str, place: Place, *, names: bool) -> Column:
    """The target; one of names may hold numbers too, but one of numbers keeps their order."""
    try:
        return read_column(name, cells, where, place, cure=TARGET_CURE)
    except DataError:
        if not names:
            raise
        return read_column(name, cells, where, place, keep_text=True)


def _counts_rows(column: Column) -> bool:
    """Whether it goes up by one from row to row, perhaps anew in a test file behind."""
    if column.text or len(column.values) < 4:
        return False
    with np.errstate(invalid="ignore"):
        return int(np.count_nonzero(np.diff(column.values) != 1)) <= 1


def read_column(
    name: str,
    cells: npt.NDArray[np.generic],
    where: str,
    place: Place,
    *,
    keep_text: bool = False,
    cure: str = CURE,
) -> Column:
    """A column from texts of a file or from cells that have a type."""
    if cells.dtype.kind == "U":
        return text_column(name, cells.astype(str), place, keep_text=keep_text, cure=cure)
    return typed_column(name, cells, where, keep_text=keep_text)


def complete_rows(table: Table, target: Column, place: Place) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Rows that can be used, by what is to be done with empty cells.

    Returns:
        Indices of the rows to keep, and notes.

    Raises:
        DataError: the first empty cell, by column and row, if it is refused.
    """
    empty = np.zeros(len(target.values), dtype=bool)
    for column in (*table.columns, target):
        missing = column.missing
        if not missing.any():
            continue
        row, count = int(missing.argmax()), int(missing.sum())
        cells = f"{count} cell{'' if count == 1 else 's'}"
        if column is not target and table.missing == "impute":
            continue
        if table.missing != "drop":
            cure = 'missing = "drop"' if column is target else 'missing = "drop" or "impute"'
            raise DataError(
                f"{place(row)}: column {column.name!r} is empty ({cells} in all); use {cure}, or fill it in"
            )
        empty |= missing
    kept = np.flatnonzero(~empty)
    dropped = len(empty) - len(kept)
    if not len(kept):
        worst = max((*table.columns, target), key=lambda column: int(column.missing.sum()))
        raise DataError(
            f'{table.where}: every row has an empty cell: missing = "drop" leaves nothing; column {worst.name!r} is '
            f"empty in {worst.missing.sum():,} of {len(empty):,} rows"
        )
    was = "was" if dropped == 1 else "were"
    return kept, [f"{dropped} of {len(empty)} rows, with an empty cell, {was} dropped"] if dropped else []


def encode(table: Table, train: npt.NDArray[np.int64]) -> Matrix:
    """Numbers as they are, names as one column per level; means and levels come from the training rows.

    A level that training never saw is all zeros. An empty number becomes the training mean, an empty name the
    level "missing".

    Raises:
        DataError: a column has no training value, or so many levels that it looks like an identifier.
    """
    blocks: list[npt.NDArray[np.float64]] = []
    features: list[str] = []
    numeric: list[bool] = []
    notes: list[str] = []
    for column in table.columns:
        if column.missing[train].all():
            raise DataError(
                f"{table.where}: column {column.name!r} is empty in all training rows; put it in drop"
            )
        if column.text:
            block, levels = _one_hot(column, train, table.where, notes)
            features += [f"{column.name}={level}" for level in levels]
        else:
            block = _filled(column, train, notes)[:, None]
            features.append(column.name)
        numeric += [not column.text] * block.shape[1]
        blocks.append(block)
    return Matrix(
        values=np.concatenate(blocks, axis=1),
        features=tuple(features),
        numeric=np.array(numeric),
        notes=tuple(notes),
    )


def _filled(column: Column, train: npt.NDArray[np.int64], notes: list[str]) -> npt.NDArray[np.float64]:
    missing = column.missing
    if not missing.any():
        return np.asarray(column.values, dtype=np.float64)
    mean = float(np.nanmean(column.values[train]))
    notes.append(f"column {column.name!r}: {missing.sum()} empty cells became the training mean, {mean:g}")
    return np.where(missing, mean, column.values)


def _one_hot(
    column: Column, train: npt.NDArray[np.int64], where: str, notes: list[str]
) -> tuple[npt.NDArray[np.float64], list[str]]:
    values = np.where(column.missing, MISSING_LEVEL, column.values).astype(str)
    levels = np.unique(values[train])
    many = len(levels) > FEW_LEVELS and len(levels) > len(train) / 2
    if many or len(levels) > MOST_LEVELS:
        raise DataError(
            f"{where}: column {column.name!r} has {len(levels)} different texts in {len(train)} "
            f"training rows (at most {MOST_LEVELS}, or half of the rows): like an identifier; put it in drop"
        )
    index = np.searchsorted(levels, values).clip(max=len(levels) - 1)
    seen = levels[index] == values
    notes.append(f"column {column.name!r}: one column for each of its {len(levels)} levels")
    if not seen.all():
        new = np.unique(values[~seen])
        shown = ", ".join(repr(str(level)) for level in new[:3]) + (", ..." if len(new) > 3 else "")
        rows = f"{(~seen).sum()} held-out row{'' if (~seen).sum() == 1 else 's'}"
        notes.append(f"column {column.name!r}: {shown} in {rows} was never seen in training: all zeros")
    block = np.zeros((len(values), len(levels)))
    block[np.flatnonzero(seen), index[seen]] = 1.0
    return block, [str(level) for level in levels]
