"""A table becomes one matrix, by what the training part knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column
from ravine.data.inputs import MISSING_LEVEL, NamesInput, NumberInput, encode_column
from ravine.data.table import Table
from ravine.errors import DataError, together
from ravine.messages import count

MOST_LEVELS = 100  # one-hot columns out of one column
FEW_LEVELS = 10  # so many are never taken for an identifier

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?\b.*|\d\d?([./-])\d\d?\1\d{2,4}\b.*|\d{4}([./])\d\d?\2\d\d?\b.*")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """A table as numbers.

    Args:
        values: float64 (N, D).
        inputs: how each column became numbers.
        features: names of the D features.
        numeric: which of them are plain numbers.
        notes: what was done.
    """

    values: npt.NDArray[np.float64]
    inputs: tuple[NumberInput | NamesInput, ...]
    features: tuple[str, ...]
    numeric: npt.NDArray[np.bool_]
    notes: tuple[str, ...]

    @property
    def fills(self) -> npt.NDArray[np.float64]:
        """What takes the place of an empty number, (D,); 0 in columns of levels, where a cell is never empty."""
        of_columns = [
            [of.fill or 0.0] if isinstance(of, NumberInput) else [0.0] * len(of.levels) for of in self.inputs
        ]
        return np.array([fill for fills in of_columns for fill in fills])


def encode(table: Table, train: npt.NDArray[np.int64], *, all_levels: bool = False) -> Matrix:
    """Numbers as they are, names as one column per level; means and levels come from the training rows.

    A level that training never saw is all zeros. An empty number becomes the training mean, an empty name the
    level "missing". With `all_levels` such a level has a column all the same, of zeros: then folds have one shape.

    Raises:
        DataError: a column has no training value, or so many levels that it looks like an identifier.
    """
    blocks: list[npt.NDArray[np.float64]] = []
    inputs: list[NumberInput | NamesInput] = []
    features: list[str] = []
    notes: list[str] = []
    faults: list[DataError] = []
    for column in table.columns:
        try:
            of = _input(column, table, train, notes)
        except DataError as error:
            faults.append(error)
            continue
        block = encode_column(of, column)
        if all_levels and isinstance(of, NamesInput):
            of, block = _of_all_levels(of, block, column)
        blocks.append(block)
        inputs.append(of)
        features += (
            [f"{column.name}={level}" for level in of.levels] if isinstance(of, NamesInput) else [column.name]
        )
    if faults:
        raise together(faults)
    numeric = [
        isinstance(of, NumberInput)
        for of, block in zip(inputs, blocks, strict=True)
        for _ in range(block.shape[1])
    ]
    return Matrix(
        values=np.concatenate(blocks, axis=1),
        inputs=tuple(inputs),
        features=tuple(features),
        numeric=np.array(numeric),
        notes=tuple(notes),
    )


def unfilled(table: Table, matrix: Matrix) -> npt.NDArray[np.float64]:
    """The values of a table's columns, (N, D), before a fold has filled in empty numbers, which are NaN.

    Args:
        table: the table.
        matrix: what some fold makes of it, with all levels.
    """
    blocks = [
        encode_column(replace(of, fill=None) if isinstance(of, NumberInput) else of, column)
        for of, column in zip(matrix.inputs, table.columns, strict=True)
    ]
    return np.concatenate(blocks, axis=1)


def _input(
    column: Column, table: Table, train: npt.NDArray[np.int64], notes: list[str]
) -> NumberInput | NamesInput:
    if column.missing[train].all():
        raise DataError(
            f"{table.where}: column {column.name!r} is empty in all training rows; put it in drop"
        )
    return (_names_input if column.text else _number_input)(column, table, train, notes)


def _number_input(
    column: Column, table: Table, train: npt.NDArray[np.int64], notes: list[str]
) -> NumberInput:
    known = column.values[train]
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    if table.missing != "impute":
        return NumberInput(name=column.name, low=low, high=high)
    mean, missing = float(np.nanmean(known)), column.missing
    if missing.any():
        cells = count(int(missing.sum()), "empty cell")
        notes.append(f"column {column.name!r}: {cells} became the training mean, {mean:g}")
    return NumberInput(name=column.name, fill=mean, low=low, high=high)


def _names_input(column: Column, table: Table, train: npt.NDArray[np.int64], notes: list[str]) -> NamesInput:
    fill = MISSING_LEVEL if table.missing == "impute" else None
    values = [fill if name is None else name for name in column.values]
    levels = sorted({values[row] for row in train})
    many = len(levels) > FEW_LEVELS and len(levels) > len(train) / 2
    if many or len(levels) > MOST_LEVELS:
        raise DataError(
            f"{table.where}: column {column.name!r} has {count(len(levels), 'different text')} in "
            f"{count(len(train), 'training row')} (at most {MOST_LEVELS}, or half of the rows): {_guess(levels)}"
        )
    what = count(len(levels), "level")
    notes.append(
        f"column {column.name!r}: one column for {'each of its ' if len(levels) > 1 else 'its '}{what}"
    )
    dates = [level for level in levels if level != fill]
    if dates and all(map(_DATE.fullmatch, dates)):
        notes.append(
            f"column {column.name!r}: its texts look like dates, but are names here, without an order; turn it into "
            "numbers, such as the year or days since a start, to keep the order"
        )
    seen = set(levels)
    new = Counter(value for value in values if value not in seen)
    if new:
        some = sorted(map(str, new))
        shown = ", ".join(map(repr, some[:3])) + (", ..." if len(some) > 3 else "")
        rows = count(new.total(), "held-out row")
        notes.append(f"column {column.name!r}: {shown} in {rows} was never seen in training: all zeros")
    return NamesInput(
        name=column.name,
        levels=tuple(levels),
        fill=fill,
        words=column.name in table.categorical,
    )


def _of_all_levels(
    of: NamesInput, block: npt.NDArray[np.float64], column: Column
) -> tuple[NamesInput, npt.NDArray[np.float64]]:
    """With a column for each level that there is; those that training never saw stay 0."""
    values = {of.fill if value is None else value for value in column.values}
    levels = tuple(sorted({*(value for value in values if value is not None), *of.levels}))
    wide = np.zeros((len(block), len(levels)))
    wide[:, [levels.index(level) for level in of.levels]] = block
    return replace(of, levels=levels), wide


def _guess(levels: Sequence[str]) -> str:
    """What a column of so many texts may be, and what to do with it."""
    if all(_DATE.fullmatch(level) for level in levels):
        return "they look like dates; put it in drop, or turn it into numbers, such as the year or days since a start"
    return "like an identifier; put it in drop"
