"""Several columns to predict, or one that names any number of labels: what they are, and if they can be learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, Place, absent, number_name, objects
from ravine.data.several import TRUTHS, labels_in
from ravine.data.spec import Task
from ravine.data.target import Target, check_numbers, encode_target, nothing_to_learn
from ravine.errors import DataError
from ravine.messages import count

_SAY = 'if these are numbers, say task = "regression"'
_NAMED = 3  # labels or columns that an error names


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Target columns of equal length.

    Args:
        columns: each of them.
        separator: what is between the labels that a single one names; empty: the columns are values themselves.
    """

    columns: tuple[Column, ...]
    separator: str = ""

    @property
    def name(self) -> str:
        """The names of all, for people."""
        names = [each.name for each in self.columns]
        return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")

    @property
    def values(self) -> npt.NDArray[Any]:
        """Of the first, which are as many as of each."""
        return self.columns[0].values

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which rows have an empty cell."""
        return np.asarray(np.logical_or.reduce([each.missing for each in self.columns]))

    def take(self, rows: npt.NDArray[Any]) -> Columns:
        """The same columns, some of the rows."""
        return replace(self, columns=tuple(each.take(rows) for each in self.columns))


def label_column(name: str, cells: Cells, place: Place) -> Column:
    """A column that names labels: texts as they are; an empty text names none, a missing cell is missing.

    Raises:
        DataError: its cells are no texts.
    """
    if cells.values.dtype.kind not in "UOST":
        raise DataError(f"{place(0)}: target {name!r} is a number, and separator is for texts such as 'a; b'")
    texts = [None if labels_in(cell, ";") is None else str(cell) for cell in cells.values]
    return Column(name=name, values=objects(texts))


def truths(column: Column) -> Column:
    """A column of the texts true and false as one of 1 and 0; any other as it is."""
    if not column.text:
        return column
    if any(cell is not None and str(cell).strip().lower() not in TRUTHS for cell in column.values):
        return column
    texts = ["nan" if absent(cell) else TRUTHS[str(cell).strip().lower()] for cell in column.values]
    return Column(name=column.name, values=np.array(texts, dtype=np.float64), whole=True)


def encode_answers(
    given: Column | Columns, task: Task | None, place: Place, where: str, class_names: tuple[str, ...] = ()
) -> Target:
    """What a target is, of one column or of several; as `encode_target` and `encode_columns`."""
    if isinstance(given, Columns):
        return encode_columns(given, task, place, where, class_names)
    return encode_target(given, task, place, where, class_names)


def encode_columns(
    given: Columns, task: Task | None, place: Place, where: str, names: tuple[str, ...] = ()
) -> Target:
    """Decide the task where it is not given: labels are 0 or 1, exactly one of which makes classes of them.

    Args:
        given: the target, no cell of it missing.
        task: what the user said, or None.
        place: where a row is, for errors.
        where: the file, for errors.
        names: for the columns, if the data set has them.

    Raises:
        DataError: there is nothing to learn, or the columns may mean several things.
    """
    if not len(given.values):
        raise DataError(f"{where}: there are no examples in it")
    if given.separator:
        return _named_labels(given.columns[0], given.separator, where)
    columns = [truths(each) for each in given.columns]
    if names:
        columns = [replace(each, name=name) for each, name in zip(columns, names, strict=True)]
    _check_texts(columns, place)
    values = np.stack([each.values for each in columns], axis=1).astype(np.float64)
    binary = (values == 0) | (values == 1)
    if task == "regression" or (task is None and not _are_labels(columns, binary, place)):
        return _numbers(columns, values, place, where)
    if not binary.all():
        row, at = np.argwhere(~binary)[0]
        words = "" if task else f"; {_SAY}"
        raise DataError(
            f"{place(int(row))}: target {columns[at].name!r} is {values[row, at]:g}; a label must be 0 or 1{words}"
        )
    ones = values.sum(axis=1)
    if task != "multilabel" and (ones == 1).all():
        return _one_hot(columns, values, where)
    if task == "classification":
        row = int((ones != 1).argmax())
        raise DataError(
            f"{place(row)}: {count(int(ones[row]), 'target')} of {len(columns)} are 1; classes in columns of 0 and 1 "
            'have exactly one 1 in each row; labels of which an example may have any are task = "multilabel"'
        )
    return _labels(columns, values, where)


def _are_labels(columns: Sequence[Column], binary: npt.NDArray[np.bool_], place: Place) -> bool:
    """Whether columns are labels, and not numbers.

    Raises:
        DataError: they may be either.
    """
    if binary.all():
        return True
    alone = next((at for at, each in enumerate(binary.T) if each.all()), None)
    if alone is None and 2 * binary.sum() <= binary.size:
        return False
    row, at = (int(each) for each in np.argwhere(~binary)[0])
    value, name = columns[at].values[row], columns[at].name
    only = f"target {columns[alone].name!r} is 0 or 1 everywhere" if alone is not None else "most are 0 or 1"
    raise DataError(
        f"{place(row)}: target {name!r} is {value:g}, and {only}: labels must all be 0 or 1; {_SAY}"
    )


def _check_texts(columns: Sequence[Column], place: Place) -> None:
    texts = [each for each in columns if each.text]
    if not texts:
        return
    name, cell = texts[0].name, texts[0].values[0]
    if len(texts) < len(columns):
        numbers = next(each.name for each in columns if not each.text)
        raise DataError(
            f"{place(0)}: target {name!r} is {cell!r}, and target {numbers!r} is numbers; several targets must all be "
            "numbers, or all 0 or 1"
        )
    raise DataError(
        f"{place(0)}: target {name!r} is {cell!r}; several targets must be numbers, or 0 or 1; name one column of "
        "classes"
    )


def _numbers(columns: Sequence[Column], values: npt.NDArray[np.float64], place: Place, where: str) -> Target:
    for each in columns:
        check_numbers(each, "regression", place)
        if (each.values == each.values[0]).all():
            raise nothing_to_learn(each.name, number_name(each.values[0]), len(values), "value", where)
    return Target(
        task="regression",
        labels=np.zeros(len(values), dtype=np.int64),
        values=values,
        names=tuple(each.name for each in columns),
    )


def _one_hot(columns: Sequence[Column], values: npt.NDArray[np.float64], where: str) -> Target:
    indices = values.argmax(axis=1).astype(np.int64)
    names = tuple(each.name for each in columns)
    absent_one = np.flatnonzero(np.bincount(indices, minlength=len(names)) == 0)
    if len(absent_one):
        name = names[absent_one[0]]
        raise DataError(f"{where}: class {name!r} has no example: its column is 0 everywhere; leave it out")
    note = (
        f"the {len(names)} target columns are 0 and 1, with exactly one 1 in each row: they are the classes of one "
        'target; task = "multilabel" makes labels of them'
    )
    return Target(
        task="classification",
        labels=indices,
        values=indices.astype(np.float64),
        classes=names,
        written=names,
        names=names,
        notes=(note,),
    )


def _labels(columns: Sequence[Column], values: npt.NDArray[np.float64], where: str) -> Target:
    for each in columns:
        if (each.values == each.values[0]).all():
            raise nothing_to_learn(each.name, number_name(each.values[0]), len(values), "value", where)
    names = tuple(each.name for each in columns)
    return Target(
        task="multilabel", labels=values.astype(np.int64), values=values, classes=names, names=names
    )


def _named_labels(column: Column, separator: str, where: str) -> Target:
    """Labels of a column that names them, sorted by name."""
    each = [labels_in(cell, separator) or [] for cell in column.values]
    names = tuple(sorted({label for labels in each for label in labels}))
    if not any(len(labels) > 1 for labels in each):
        raise DataError(
            f"{where}: no cell of target {column.name!r} has two labels with {separator!r} between them; leave "
            "separator out for one class per row, or give the right one"
        )
    index = {name: at for at, name in enumerate(names)}
    truth = np.zeros((len(each), len(names)), dtype=np.int64)
    for row, labels in enumerate(each):
        truth[row, [index[label] for label in labels]] = 1
    everywhere = np.flatnonzero(truth.all(axis=0))
    if len(everywhere):
        raise DataError(
            f"{where}: label {names[everywhere[0]]!r} of target {column.name!r} is in all "
            f"{count(len(each), 'example')}: "
            "there is nothing to learn of it; take it out"
        )
    without = int((truth.sum(axis=1) == 0).sum())
    have = "has" if without == 1 else "have"
    notes = (f"{count(without, 'example')} {have} no label",) if without else ()
    return Target(
        task="multilabel",
        labels=truth,
        values=truth.astype(np.float64),
        classes=names,
        names=(column.name,),
        separator=separator,
        notes=notes,
    )
