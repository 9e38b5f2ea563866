"""Weights of examples: how much each counts in the loss of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Place, typed_column
from ravine.data.containers import as_numpy
from ravine.data.numerals import Numerals
from ravine.data.texts import PLAIN, text_column
from ravine.errors import DataError, choices
from ravine.messages import count

Weights = npt.NDArray[np.float32]


def weights_of(
    cells: Mapping[str, Cells],
    name: str | None,
    *,
    taken: Mapping[str, str],
    where: str,
    place: Place,
    numerals: Numerals = PLAIN,
) -> Weights | None:
    """What a column of a table says; None: no column is named.

    Args:
        cells: the columns.
        name: of the column with weights.
        taken: columns that are something else, each with its option.
        where: the file, for errors.
        place: where a row is, for errors.
        numerals: how a text file writes its numbers.

    Raises:
        DataError: there is no such column, or a cell is no weight.
    """
    if name is None:
        return None
    if name in taken:
        raise DataError(f"{where}: weight = {name!r} is the {taken[name]}; name another column")
    if name not in cells:
        raise DataError(f"{where}: weight = {name!r} is not a column; {choices(name, cells)}")
    what = f"column {name!r}"
    given = cells[name]
    if given.values.dtype.kind == "U":
        column = text_column(name, given.values, place, numerals=numerals)
    else:
        column = typed_column(name, given, where)
    if column.text:
        raise DataError(f"{place(0)}: {what} is {column.values[0]!r}; a weight is a number of at least 0")
    return checked(np.where(column.missing, np.nan, column.values), what, place)


def given_weights(weights: Any, num: int, name: str) -> Weights | None:
    """What a program gives beside its examples; None: nothing.

    Args:
        weights: (N,) numbers.
        num: N, of the examples that they are for.
        name: of the data.

    Raises:
        DataError: they are no weights, or not one for each example.
    """
    if weights is None:
        return None
    array = as_numpy(weights, f"{name}: weights")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (num,):
        raise DataError(
            f"{name}: weights has shape {array.shape}, x has {count(num, 'example')}; one for each is needed"
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: weights has no numbers, but {array.dtype}")
    return checked(array.astype(np.float64), "its weight", lambda row: f"{name}, x, row {row}")


def checked(values: npt.NDArray[np.float64], what: str, place: Place) -> Weights:
    """Weights, each of which is a finite number of at least 0.

    Raises:
        DataError: one is not.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        found = values.astype(np.float32)
        bad = ~((found >= 0.0) & (found < np.inf))
    if bad.any():
        row = int(bad.argmax())
        is_what = "is empty or no number" if np.isnan(values[row]) else f"is {values[row]:g}"
        raise DataError(f"{place(row)}: {what} {is_what}; a weight is a finite number of at least 0")
    return found


def check_part(weights: Weights, part: str, where: str) -> None:
    """See that something is learned from, or scored: of all weights of a part some are above 0.

    Args:
        weights: of its examples; a part without examples is fine.
        part: "train", "validation" or "test".
        where: the file, for errors.

    Raises:
        DataError: none is.
    """
    if len(weights) and not weights.any():
        name, lost = ("training", "learn") if part == "train" else (part, "score")
        raise DataError(
            f"{where}: all {count(len(weights), 'weight')} of the {name} part are 0: nothing to {lost}"
        )
