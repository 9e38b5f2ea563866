"""Weights of examples: how much each counts in the loss of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Place, absent, typed_column
from ravine.data.containers import as_numpy
from ravine.data.numerals import Numerals, advice, looks_like
from ravine.data.texts import MARKERS, MISSING, PLAIN
from ravine.errors import DataError, choices
from ravine.messages import count, shown

Weights = npt.NDArray[np.float32]
_SMALLEST = np.float32(1e-30)  # one over a mean of weights must be a float32


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
        return checked(_numbers_of(given.values, numerals, what, place), what, place)
    column = typed_column(name, given, where)
    if column.text:
        row = next(row for row, cell in enumerate(column.values) if cell is not None)
        raise DataError(_no_number(what, column.values[row], place(row)))
    return checked(np.where(column.missing, np.nan, column.values), what, place)


def _numbers_of(
    cells: npt.NDArray[Any], numerals: Numerals, what: str, place: Place
) -> npt.NDArray[np.float64]:
    """Texts of a file as numbers; NaN where a cell is empty."""
    texts = cells.tolist()
    plain = {cell: numerals.plain(cell) for cell in set(texts)}
    empty = {cell for cell in plain if plain[cell] is None and cell.strip().lower() in MISSING | MARKERS}
    bad = {cell for cell in plain if plain[cell] is None} - empty
    if bad:
        row = next(row for row, cell in enumerate(texts) if cell in bad)
        reason = numerals.contradicts(texts[row])
        like = looks_like(bad)
        if reason is None and like.get(texts[row]) == "comma":
            written = [cell for cell, kind in like.items() if kind == "comma"]
            reason = advice(written, [text for text in plain.values() if text is not None])
        raise DataError(_no_number(what, texts[row].strip(), place(row), reason))
    known = {cell: math.nan if text is None else float(text) for cell, text in plain.items()}
    return np.array([known[cell] for cell in texts], dtype=np.float64)


def _no_number(what: str, cell: object, place: str, reason: str | None = None) -> str:
    if reason is not None:
        return f"{place}: {what}: {shown(cell)} {reason}"
    return f"{place}: {what} is {shown(cell)}; weights must be numbers of at least 0"


def given_weights(weights: Any, num: int, name: str, called: str = "weights") -> Weights | None:
    """What a program gives beside its examples; None: nothing.

    Args:
        weights: (N,) numbers.
        num: N, of the examples that they are for.
        name: of the data.
        called: what they are given by.

    Raises:
        DataError: they are no weights, or not one for each example.
    """
    if weights is None:
        return None
    array = as_numpy(weights, f"{name}: {called}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (num,):
        raise DataError(
            f"{name}: {called} has shape {array.shape}, x has {count(num, 'example')}; one for each is needed"
        )

    def place(row: int) -> str:
        return f"{name}, x, row {row}"

    what = "its weight"
    if array.dtype.kind not in "biuf":
        cells = array.tolist() if array.dtype.kind in "OUST" else []
        for row, cell in enumerate(cells):
            if not absent(cell) and not isinstance(cell, Real | np.bool_):
                raise DataError(_no_number(what, cell, place(row)))
        if not cells:
            raise DataError(f"{name}: {called} has no numbers, but {array.dtype}")
        array = np.array([math.nan if absent(cell) else cell for cell in cells])
    return checked(array.astype(np.float64), what, place)


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
        large = " that fits into float32" if np.isfinite(values[row]) and values[row] > 0 else ""
        raise DataError(f"{place(row)}: {what} {is_what}; a weight is a finite number of at least 0{large}")
    return found


def check_part(weights: Weights, part: str, where: str) -> None:
    """See that something is learned from, or scored: of all weights of a part some are above 0, and not nearly 0.

    Args:
        weights: of its examples; a part without examples is fine.
        part: "train", "validation" or "test".
        where: the file, for errors.

    Raises:
        DataError: none is.
    """
    if not len(weights):
        return
    name, lost = ("training", "learn") if part == "train" else (part, "score")
    if not weights.any():
        raise DataError(
            f"{where}: all {count(len(weights), 'weight')} of the {name} part are 0: nothing to {lost}"
        )
    if weights.max() < _SMALLEST:
        raise DataError(
            f"{where}: the largest weight of the {name} part is {weights.max():g}; allowed: {_SMALLEST:g} or more; "
            "only ratios of weights count, so multiply them"
        )
