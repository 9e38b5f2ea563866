"""Columns of data frames and series: pandas, Polars and PyArrow, none of which is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, absent, objects
from ravine.data.containers import as_numpy
from ravine.errors import DataError
from ravine.messages import count


def is_frame(value: object) -> bool:
    """Whether something has named columns: a frame, or a mapping of names to columns."""
    return (
        (
            isinstance(value, Mapping) and not hasattr(value, "toarray")
        )  # SciPy's dok matrices are mappings too
        or _is_arrow(value, "column_names")
        or (hasattr(type(value), "to_numpy") and hasattr(value, "columns"))
    )


def is_series(value: object) -> bool:
    """Whether something is one column of a frame, or what such a column is made of."""
    return not isinstance(value, np.ndarray | type) and (
        _is_arrow(value, "to_pylist")
        or hasattr(value, "categories")
        or (hasattr(value, "to_numpy") and hasattr(value, "dtype"))
    )


def columns_of(frame: Any, where: str) -> dict[str, Cells]:
    """The columns of a frame, or of a mapping of names to columns.

    Raises:
        DataError: two of them have one name, or one cannot be read.
    """
    if isinstance(frame, Mapping):
        names, columns = list(frame), list(frame.values())
    elif _is_arrow(frame, "column_names"):
        names = list(frame.column_names)
        columns = [frame.column(at) for at in range(len(names))]
    elif hasattr(frame, "iloc"):
        names = list(frame.columns)
        columns = [frame.iloc[:, at] for at in range(len(names))]
    elif hasattr(frame, "get_columns"):
        names, columns = list(frame.columns), frame.get_columns()
    else:
        raise DataError(
            f"{where} is a {type(frame).__name__}, whose columns cannot be read: collect it first"
        )
    found: dict[str, Cells] = {}
    for own, column in zip(names, columns, strict=True):
        name = str(own)
        if name in found:
            raise DataError(f"{where} has two columns named {name!r}; give each a name of its own")
        found[name] = cells = series_cells(column, f"{where}: column {name!r}")
        if cells.values.ndim != 1:
            shape = cells.values.shape[1:]
            raise DataError(f"{where}: column {name!r} has cells of shape {shape}; give each number a column")
    first = next(iter(found), "")
    for name, cells in found.items():
        if len(cells) != len(found[first]):
            raise DataError(
                f"{where}: column {name!r} has {count(len(cells), 'cell')}, {first!r} has {len(found[first]):,}"
            )
    return found


def series_cells(series: Any, where: str) -> Cells:
    """The cells of a series, with whole numbers exact and categories known as such.

    Raises:
        DataError: it cannot be read.
    """
    if isinstance(series, Cells):
        return series
    if not is_series(series):
        return Cells(values=as_numpy(series, where, exact=True))
    try:
        return _arrow(series) if _is_arrow(series, "to_pylist") else _series(series)
    except Exception as error:  # noqa: BLE001 (whatever a library raises of a type that it cannot convert)
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        kind = getattr(series, "dtype", getattr(series, "type", type(series).__name__))
        raise DataError(f"{where} has type {kind}, which cannot be read: {reason}") from None


def _arrow(series: Any) -> Cells:
    kind = str(series.type)
    levels = kind.startswith("dictionary")
    whole = kind.startswith(("int", "uint"))
    if levels or kind.startswith(("decimal", "run_end_encoded")) or (whole and series.null_count):
        return (
            _categories(objects(series.to_pylist())) if levels else Cells(values=objects(series.to_pylist()))
        )
    return Cells(values=np.asarray(series.to_numpy(zero_copy_only=False)))


def _series(series: Any) -> Cells:
    kind = str(series.dtype)
    if kind == "category":
        categories = getattr(series, "cat", series)
        return _taken(series_cells(categories.categories, "categories").values, np.asarray(categories.codes))
    if hasattr(series, "null_count") and callable(series.null_count):  # Polars
        if kind.startswith(("Categorical", "Enum")):
            return _categories(objects(series.to_list()))
        exact = kind.startswith(("Int", "UInt", "Decimal")) and (series.null_count() or "128" in kind)
        return Cells(values=objects(series.to_list()) if exact else np.asarray(series.to_numpy()))
    values = np.asarray(series.to_numpy())
    if kind.startswith("dictionary"):
        return _categories(values.astype(object))
    if values.dtype.kind == "f" and kind.lower().startswith(("int", "uint")):
        values = np.asarray(series.to_numpy(dtype=object))
    return Cells(values=values)


def _taken(categories: npt.NDArray[Any], codes: npt.NDArray[Any]) -> Cells:
    """What codes stand for; -1 is a missing cell. Categories that are neither texts nor numbers have a text."""
    values = categories
    if values.dtype.kind not in "iubfUOT":
        values = objects([str(value) for value in values])
    if (codes < 0).any():
        known = [*(values.tolist() if values.dtype.kind in "iub" else list(values)), None]
        return _categories(objects([known[code] for code in codes]))
    return _categories(values[codes])


def _categories(values: npt.NDArray[Any]) -> Cells:
    """Cells that are names by their type: numbers stay numbers, for their order, and all else becomes texts."""
    if values.dtype != object or all(_is_number(cell) for cell in values):
        return Cells(values=values, levels=True)
    return Cells(values=objects([None if absent(cell) else str(cell) for cell in values]), levels=True)


def _is_number(cell: Any) -> bool:
    return absent(cell) or isinstance(cell, Real | Decimal | np.bool_)


def _is_arrow(value: object, attribute: str) -> bool:
    return type(value).__module__.split(".", 1)[0] == "pyarrow" and hasattr(value, attribute)
