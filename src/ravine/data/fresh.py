"""New examples for a predictor: read as the training examples were, row by row, with notes about what is unusual.

A row that cannot be decided (an empty cell where none may be, a picture that cannot be read) is left out of the
prepared examples and keeps its place; nothing that one row contains changes how another is read.

Shapes: N all new examples, M those of a part that can be decided, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.answers import EMPTY, UNKNOWN, ClassTarget, NumberTarget
from ravine.data.column import Cells, Place
from ravine.data.inputs import ArrayInputs, ImageInputs, NamesInput, NumberInput, ReadCells, TableInputs
from ravine.data.numerals import Numerals
from ravine.data.preparation import Preparation
from ravine.data.scale import Floats
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.data.texts import PLAIN
from ravine.errors import DataError, choices
from ravine.messages import count

Rows = npt.NDArray[np.int64]
Part = tuple[Rows, Floats]
Answers = npt.NDArray[np.int64] | npt.NDArray[np.float64]

_NAMED = 3  # columns, levels or rows that a note names


@dataclass(slots=True, kw_only=True, eq=False)
class Fresh:
    """New examples.

    Args:
        where: the file, for people.
        num: N.
        place: where a row is, for people.
        parts: prepared examples, (rows (M,), x (M, ...)) after each other; it fills `undecided`.
        answers: (N,) the right classes, UNKNOWN or EMPTY where there is none; of a regression numbers in the target's
            own units, and NaN, (N, T) of several targets; of labels (N, K) 0 or 1, a row of UNKNOWN or EMPTY where not
            all are known; None where the data have no target.
        files: of pictures, one for each row.
        notes: what is unusual, a sentence each.
        undecided: why rows cannot be decided, by row.
    """

    where: str
    num: int
    place: Place
    parts: Callable[[], Iterator[Part]]
    answers: Answers | None = None
    files: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    undecided: dict[int, str] = field(default_factory=dict)

    def check_any(self) -> None:
        """See that some row can be decided, once `parts` are through.

        Raises:
            DataError: none can; it says why the first cannot.
        """
        if self.num and len(self.undecided) == self.num:
            row = min(self.undecided)
            raise DataError(f"{self.place(row)}: {self.undecided[row]}; no other row can be predicted either")

    def all_notes(self) -> tuple[str, ...]:
        """The notes, with those about rows that could not be decided, once `parts` are through."""
        if not self.undecided:
            return tuple(self.notes)
        rows = sorted(self.undecided)
        first = "; ".join(f"{self.place(row)}: {self.undecided[row]}" for row in rows[:_NAMED])
        more = "; ..." if len(rows) > _NAMED else ""
        are = "is" if len(rows) == 1 else "are"
        return (*self.notes, f"{count(len(rows), 'row')} {are} left empty: {first}{more}")


def of_table(
    preparation: Preparation,
    inputs: TableInputs,
    cells: Mapping[str, Cells],
    where: str,
    place: Place,
) -> Fresh:
    """New rows of a table.

    Args:
        preparation: what training did to raw values.
        inputs: its columns.
        cells: of each column by name, in any order; those that are not needed are noted.
        where: the file, for people.
        place: where a row is, for people.

    Raises:
        DataError: a column is missing, there are no rows, or a column has a type that cannot be used.
    """
    missing = [of.name for of in inputs.columns if of.name not in cells]
    if missing:
        names = ", ".join(map(repr, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
        hint = choices(missing[0], cells, "its columns")
        raise DataError(
            f"{where}: {'column' if len(missing) == 1 else 'columns'} {names} {'is' if len(missing) == 1 else 'are'} "
            f"missing, which the model needs; {hint}"
        )
    num = len(cells[inputs.columns[0].name])
    if not num:
        raise DataError(f"{where}: there are no rows in it, only a header")
    found = [inputs.read(of, cells, where) for of in inputs.columns]
    fresh = Fresh(where=where, num=num, place=place, parts=lambda: iter(()))
    target = preparation.target.columns
    _note_extra(fresh, inputs, cells, target)
    for of, each in zip(inputs.columns, found, strict=True):
        for row in np.flatnonzero(each.wrong):
            fresh.undecided.setdefault(int(row), each.why(int(row)))
        if of.fill is None:
            for row in np.flatnonzero(each.column.missing & ~each.wrong):
                fresh.undecided.setdefault(int(row), f"column {of.name!r} is empty")
    matrix = inputs.encoded([each.column for each in found])
    _leave_out_infinite(fresh, matrix, [each.column.name for each in found], inputs)
    rows = np.array([row for row in range(num) if row not in fresh.undecided], dtype=np.int64)
    _note_filled(fresh, inputs, found, rows)
    _note_unseen(fresh, inputs, found, rows)
    _note_outside(fresh, inputs, found, rows)
    x = inputs.scaling(matrix[rows])
    fresh.parts = lambda: iter(((rows, x),))
    if all(name in cells for name in target) and not any(of.name in target for of in inputs.columns):
        fresh.answers = answers(fresh, preparation, [cells[name] for name in target], inputs.numerals)
    elif some := [name for name in target if name in cells]:
        lacking = next(name for name in target if name not in cells)
        fresh.notes.append(f"target {some[0]!r} is there, and target {lacking!r} is not: nothing is scored")
    return fresh


def of_array(inputs: ArrayInputs, x: npt.NDArray[Any], where: str) -> Fresh:
    """New examples of an array, as `ArrayInputs.array` gives it."""
    fresh = Fresh(where=where, num=len(x), place=lambda row: f"{where}, row {row}", parts=lambda: iter(()))
    if not fresh.num:
        raise DataError(f"{where}: there are no examples in it")
    if x.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            fine = (np.abs(x) <= np.finfo(np.float32).max).reshape(len(x), -1).all(axis=1)
        for row in np.flatnonzero(~fine):
            fresh.undecided[int(row)] = "a number in it is missing, infinite or beyond float32"
    rows = np.array([row for row in range(len(x)) if row not in fresh.undecided], dtype=np.int64)
    if inputs.low and inputs.high:
        known = x[rows]
        outside = (known < np.array(inputs.low)) | (known > np.array(inputs.high))
        names = inputs.features or tuple(f"feature {place}" for place in range(x.shape[1]))
        counted = {name: int(of.sum()) for name, of in zip(names, outside.T, strict=True) if of.any()}
        _note_ranges(fresh, counted)
    prepared = inputs.scaling(x[rows])
    fresh.parts = lambda: iter(((rows, prepared),))
    return fresh


def of_pictures(inputs: ImageInputs, pixels: npt.NDArray[np.uint8], where: str) -> Fresh:
    """New pictures of an array, as a sheet has made them."""
    if not len(pixels):
        raise DataError(f"{where}: there are no examples in it")
    rows = np.arange(len(pixels))
    return Fresh(
        where=where,
        num=len(pixels),
        place=lambda row: f"{where}, row {row}",
        parts=lambda: iter(((rows, inputs.scaling(pixels)),)),
    )


def answers(
    fresh: Fresh, preparation: Preparation, given: Sequence[Cells], numerals: Numerals = PLAIN
) -> Answers:
    """The right answers among new examples, with notes on those that cannot be used.

    Args:
        fresh: gets the notes.
        preparation: what training did to raw values.
        given: the cells of each column of the target.
        numerals: how a text file writes its numbers.
    """
    target = preparation.target
    if isinstance(target, NumbersTarget):
        return _several_numbers(fresh, target, given, numerals)
    if isinstance(target, LabelsTarget) or len(given) > 1:
        return _labels(fresh, target, given, numerals)
    cells = given[0]
    if isinstance(target, NumberTarget):
        numbers = target.find(cells, numerals)
        _note_target(
            fresh, int((~np.isfinite(numbers)).sum()), target.column, "has no number", "have no number"
        )
        return np.where(np.isfinite(numbers), numbers, np.nan)
    assert isinstance(target, ClassTarget), "the other kinds have been read"
    classes = target.find(cells, numerals)
    _note_target(fresh, int((classes == EMPTY).sum()), target.column, "is empty", "are empty")
    unknown = np.flatnonzero(classes == UNKNOWN)
    if len(unknown):
        label = str(cells.values[unknown[0]]).strip()
        what = "may be two" if label in target.labels else "is none"
        words = f"a label that {what} of the model's classes, such as {label!r}"
        _note_target(fresh, len(unknown), target.column, f"has {words}", f"have {words}")
    return classes


def _several_numbers(
    fresh: Fresh, target: NumbersTarget, given: Sequence[Cells], numerals: Numerals
) -> Answers:
    """(N, T) numbers, NaN where there is none."""
    numbers = target.find(given, numerals)
    fine = np.isfinite(numbers)
    for name, known in zip(target.names, fine.T, strict=True):
        _note_target(fresh, int((~known).sum()), name, "has no number", "have no number")
    return np.where(fine, numbers, np.nan)


def _labels(
    fresh: Fresh,
    target: LabelsTarget | ClassTarget | NumberTarget,
    given: Sequence[Cells],
    numerals: Numerals,
) -> Answers:
    """(N, K) 0 or 1, a row of UNKNOWN or EMPTY where not all are known; of classes in columns (N,) their indices."""
    of = target if isinstance(target, LabelsTarget) else LabelsTarget(names=target.columns)
    found = of.find(given, numerals)
    unknown, empty = (found == UNKNOWN).any(axis=1), (found == EMPTY).any(axis=1)
    if not isinstance(target, LabelsTarget):
        unknown |= ~empty & (found.sum(axis=1) != 1)
    name = of.columns[0] if len(of.columns) == 1 else f"{of.columns[0]}, ..."
    _note_target(fresh, int(empty.sum()), name, "is empty", "are empty")
    words = "no known labels" if of.separator else "something else than 0 or 1"
    if not isinstance(target, LabelsTarget):
        words = "not exactly one 1 in its row"
    _note_target(fresh, int((unknown & ~empty).sum()), name, f"has {words}", f"have {words}")
    if not isinstance(target, LabelsTarget):
        return np.where(empty, EMPTY, np.where(unknown, UNKNOWN, found.argmax(axis=1)))
    found[unknown], found[empty] = UNKNOWN, EMPTY
    return found


def _note_target(fresh: Fresh, number: int, column: str, one: str, several: str) -> None:
    if number:
        words = f"{count(number, 'cell')} {one if number == 1 else several}"
        fresh.notes.append(f"target {column or 'y'!r}: {words}; left out of the score")


def _note_extra(fresh: Fresh, inputs: TableInputs, cells: Mapping[str, Cells], target: Sequence[str]) -> None:
    needed = {of.name for of in inputs.columns} | {*target}
    extra = [name for name in cells if name not in needed]
    if extra:
        names = ", ".join(map(repr, extra[:_NAMED])) + (", ..." if len(extra) > _NAMED else "")
        is_not = "is" if len(extra) == 1 else "are"
        fresh.notes.append(f"{count(len(extra), 'column')} {is_not} not used: {names}")


def _leave_out_infinite(
    fresh: Fresh, matrix: npt.NDArray[np.float64], names: list[str], inputs: TableInputs
) -> None:
    """A number beyond float32 cannot be scaled; missing ones are left out already."""
    at = 0
    for of, name in zip(inputs.columns, names, strict=True):
        if isinstance(of, NamesInput):
            at += len(of.levels)
            continue
        values = matrix[:, at]
        with np.errstate(invalid="ignore"):
            bad = ~np.isnan(values) & ~(np.abs(values) <= np.finfo(np.float32).max)
        for row in np.flatnonzero(bad):
            why = f"column {name!r} is {values[row]:g}; it must be a finite float32 number"
            fresh.undecided.setdefault(int(row), why)
        at += 1


def _note_filled(fresh: Fresh, inputs: TableInputs, found: list[ReadCells], rows: Rows) -> None:
    counted = {
        of.name: int(each.column.missing[rows].sum())
        for of, each in zip(inputs.columns, found, strict=True)
        if of.fill is not None and not _is_new(of)
    }
    counted = {name: number for name, number in counted.items() if number}
    if counted:
        cells = count(sum(counted.values()), "empty cell")
        fresh.notes.append(f"{cells} {_were(counted)} filled in as in training: {_listed(counted)}")


def _is_new(of: NumberInput | NamesInput) -> bool:
    """Whether an empty cell is a level that training never saw: no cell of the column was empty there."""
    return isinstance(of, NamesInput) and of.fill is not None and of.fill not in of.levels


def _note_unseen(fresh: Fresh, inputs: TableInputs, found: list[ReadCells], rows: Rows) -> None:
    for of, each in zip(inputs.columns, found, strict=True):
        if not isinstance(of, NamesInput):
            continue
        known = {*of.levels} if _is_new(of) else {*of.levels, None}
        unseen: dict[str, int] = {}
        for name in each.column.values[rows]:
            if name not in known:
                level = "" if name is None else str(name)
                unseen[level] = unseen.get(level, 0) + 1
        if unseen:
            number = sum(unseen.values())
            names = dict(sorted(unseen.items(), key=lambda pair: (-pair[1], pair[0])))
            fresh.notes.append(
                f"column {of.name!r}: {count(number, 'cell')} with {'a level' if len(unseen) == 1 else 'levels'} that "
                f"training never saw, all zeros: {_listed(names)}"
            )


def _note_outside(fresh: Fresh, inputs: TableInputs, found: list[ReadCells], rows: Rows) -> None:
    counted = {}
    for of, each in zip(inputs.columns, found, strict=True):
        if isinstance(of, NamesInput) or of.low is None or of.high is None:
            continue
        values = np.asarray(each.column.values, dtype=np.float64)[rows]
        with np.errstate(invalid="ignore"):
            outside = int(((values < of.low) | (values > of.high)).sum())
        if outside:
            counted[f"{of.name} ({of.low:.6g} to {of.high:.6g})"] = outside
    _note_ranges(fresh, counted)


def _note_ranges(fresh: Fresh, counted: Mapping[str, int]) -> None:
    if counted:
        number = sum(counted.values())
        lie = "lies" if number == 1 else "lie"
        fresh.notes.append(
            f"{count(number, 'value')} {lie} outside the range of training: {_listed(counted)}"
        )


def _listed(counted: Mapping[str, int]) -> str:
    """Names with their counts, the first few."""
    parts = [f"{name!r} {number:,}" for name, number in list(counted.items())[:_NAMED]]
    return ", ".join(parts) + (", ..." if len(counted) > _NAMED else "")


def _were(counted: Mapping[str, int]) -> str:
    return "was" if sum(counted.values()) == 1 else "were"
