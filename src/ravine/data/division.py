"""What is known of examples beside inputs and target by which they are cut: what belongs together, and when it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Place, absent, number_name
from ravine.data.deal import TEST, Indices
from ravine.data.image_folders import split_of
from ravine.data.numerals import Numerals
from ravine.data.split import Split
from ravine.data.texts import MISSING, PLAIN
from ravine.errors import DataError, choices
from ravine.messages import count, shown

_DATES = "numbers, or dates such as 2024-01-31 or 2024-01-31T12:00"
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Division:
    """What examples are cut by.

    Args:
        groups: (N,) which group an example belongs to; None: each is by itself.
        names: of the groups.
        times: (N,) places in time, equal for equal times; None: there is no order.
        marks: (N,) OPEN, VALIDATION or TEST, as a column says; None: there is no such column.
    """

    groups: Indices | None = None
    names: tuple[str, ...] = ()
    times: Indices | None = None
    marks: npt.NDArray[np.int8] | None = None

    def take(self, rows: Indices) -> Division:
        """Of some of the examples."""
        return replace(
            self,
            groups=None if self.groups is None else self.groups[rows],
            times=None if self.times is None else self.times[rows],
            marks=None if self.marks is None else self.marks[rows],
        )


ALONE = Division()


def without(cells: Mapping[str, Cells], split: Split | None) -> dict[str, Cells]:
    """Columns without those that examples are cut by, which are no features."""
    named = () if split is None else split.columns
    return {name: column for name, column in cells.items() if name not in named}


def division_of(
    cells: Mapping[str, Cells],
    split: Split | None,
    *,
    target: Sequence[str],
    where: str,
    place: Place,
    numerals: Numerals = PLAIN,
) -> Division:
    """What the columns of a table say that a split names.

    Args:
        cells: the columns.
        split: which of them.
        target: the columns to predict.
        where: the file, for errors.
        place: where a row is, for errors.
        numerals: how a text file writes its numbers.

    Raises:
        DataError: a column is not there, or has a cell that says nothing.
    """
    if split is None:
        return ALONE
    for key in ("column", "group", "time"):
        name = getattr(split, key)
        if name is not None and name in target:
            one = "the target" if len(target) == 1 else "a target"
            raise DataError(f"{where}: split.{key} = {name!r} is {one}; name another column")
        if name is not None and name not in cells:
            raise DataError(f"{where}: split.{key} = {name!r} is not a column; {choices(name, cells)}")
    names: tuple[str, ...] = ()
    groups, times, marks = None, None, None
    if split.group is not None:
        groups, names = grouped(cells[split.group], f"column {split.group!r}", place)
    if split.time is not None:
        times = in_order(cells[split.time], f"column {split.time!r}", place, numerals)
    if split.column is not None:
        marks = marked(cells[split.column], f"column {split.column!r}", where, place)
    return Division(groups=groups, names=names, times=times, marks=marks)


def grouped(cells: Cells, what: str, place: Place) -> tuple[Indices, tuple[str, ...]]:
    """Which group each example belongs to, and the names of the groups in order.

    Raises:
        DataError: a cell is empty.
    """
    names = _names(cells)
    for row, name in enumerate(names):
        if name is None:
            raise DataError(f"{place(row)}: {what} is empty; every example needs a group")
    different = sorted({str(name) for name in names})
    index = {name: at for at, name in enumerate(different)}
    return np.array([index[str(name)] for name in names], dtype=np.int64), tuple(different)


def marked(cells: Cells, what: str, where: str, place: Place) -> npt.NDArray[np.int8]:
    """What a column of words says: OPEN for training, VALIDATION or TEST.

    Raises:
        DataError: a word is none of these, or no example is for training or for test.
    """
    names = _names(cells)
    known = {name: None if name is None else split_of(name) for name in set(names)}
    for row, name in enumerate(names):
        if known[name] is None:
            is_now = "is empty" if name is None else f"is {shown(name)}"
            raise DataError(f"{place(row)}: {what} {is_now}; allowed: train, validation, test")
    marks = np.array([known[name] for name in names], dtype=np.int8)
    for mark, word in ((0, "train"), (TEST, "test")):
        if not (marks == mark).any():
            raise DataError(f"{where}: {what} is {word!r} nowhere; some examples must be for {word}")
    return marks


def in_order(cells: Cells, what: str, place: Place, numerals: Numerals = PLAIN) -> Indices:
    """Places of examples in time, from 0; equal times have one place.

    Raises:
        DataError: a cell is empty, or no time.
    """
    values = cells.values
    if values.dtype.kind in "OT" and all(isinstance(cell, str) for cell in values):
        values = values.astype(np.str_)
    if values.dtype.kind in "iuf":
        _refuse_first(
            np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool), what, place
        )
        return _places(values)
    if values.dtype.kind == "M":
        _refuse_first(np.isnat(values), what, place)
        return _places(values)
    if values.dtype.kind == "U" and (numbers := numerals.numbers(values)) is not None:
        _refuse_first(np.isnan(numbers), what, place)
        return _places(numbers)
    _refuse_first(np.array([_empty(cell) for cell in values], dtype=bool), what, place)
    read: Callable[[Any], Any] = _number if all(map(_is_number, values)) else _moment
    moments = [_read(read, cell, what, row, place) for row, cell in enumerate(values)]
    zoned = [isinstance(each, tuple) for each in moments]
    if any(zoned) and not all(zoned):
        row = zoned.index(not zoned[0])
        raise DataError(
            f"{place(row)}: {what} is {shown(str(values[row]))}: some of its times have a zone and some have none; "
            "give all of them one, or none"
        )
    return _places(np.array([each[0] if isinstance(each, tuple) else each for each in moments], dtype=object))


def _places(values: npt.NDArray[Any]) -> Indices:
    different, places = np.unique(values, return_inverse=True)
    assert len(different), "there are no examples"
    return places.reshape(-1).astype(np.int64)


def _refuse_first(missing: npt.NDArray[np.bool_], what: str, place: Place) -> None:
    if missing.any():
        cells = count(int(missing.sum()), "cell")
        raise DataError(
            f"{place(int(missing.argmax()))}: {what} is empty ({cells} in all); every example needs a time"
        )


def _read(read: Callable[[Any], Any], cell: Any, what: str, row: int, place: Place) -> Any:
    try:
        return read(cell)
    except (ValueError, TypeError, OverflowError):
        raise DataError(
            f"{place(row)}: {what} is {shown(str(cell))}, which is no time; allowed: {_DATES}"
        ) from None


def _is_number(cell: Any) -> bool:
    return not isinstance(cell, str | bool | np.bool_ | date)


def _number(cell: Any) -> float:
    return float(cell)


def _moment(cell: Any) -> Any:
    """Time since 1970; in a tuple where it has a zone, since such times compare with their like alone."""
    if isinstance(cell, date):
        found = cell if isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day)
    else:
        found = datetime.fromisoformat(str(cell).strip())
    if found.tzinfo is None:
        return found - _EPOCH
    return (found.replace(tzinfo=None) - (found.utcoffset() or timedelta()) - _EPOCH,)


def _empty(cell: Any) -> bool:
    return absent(cell) or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def _names(cells: Cells) -> list[str | None]:
    """Cells as names; None for an empty one."""
    values = cells.values.tolist() if cells.values.dtype.kind in "iubU" else list(cells.values)
    found = {cell: _name(cell) for cell in set(values) if not _empty(cell)}
    return [found.get(cell) for cell in values]


def _name(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else number_name(cell)
