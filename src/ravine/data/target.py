"""The target: classes by index, numbers or labels, and what a model learns of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.data.column import Column, Place, number_name
from ravine.data.examples import Targets
from ravine.data.labels import labels_of
from ravine.data.preparation import AnyTarget
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.data.spec import Task
from ravine.errors import DataError
from ravine.messages import count

MOST_CLASSES = 50  # more different whole numbers than this may well be quantities
_SAY = 'say task = "classification" or task = "regression"'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What to predict.

    Args:
        task: classification, regression or multilabel.
        labels: int64 (N,) class indices; zeros for regression; of labels (N, K), 0 or 1.
        values: float64 (N,) numbers; of several targets (N, T); class indices, or labels, for the others.
        classes: names of the classes or labels; empty for regression.
        written: the classes as the data write them.
        numeric: those are the usual forms of numbers.
        notes: what should be known of its labels.
        names: of its columns, at least one.
        separator: what is between the labels that its one column names; else empty.
    """

    task: Task
    labels: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    classes: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    numeric: bool = False
    notes: tuple[str, ...] = ()
    names: tuple[str, ...]
    separator: str = ""

    def learned(self, train: npt.NDArray[np.int64], where: str) -> tuple[Targets, AnyTarget]:
        """What a model learns, of all examples, and how it is made of raw answers; training decides on scales.

        Args:
            train: the training examples.
            where: the file, for errors.

        Raises:
            DataError: numbers are the same in all of training.
        """
        if self.task == "classification":
            column = self.names[0] if len(self.names) == 1 else ""
            classes = ClassTarget(
                labels=self.written, names=self.classes, numeric=self.numeric, column=column
            )
            return self.labels, classes
        if self.task == "multilabel":
            column = self.names[0] if self.separator else ""
            labels = LabelsTarget(names=self.classes, column=column, separator=self.separator)
            return self.labels.astype(np.float32), labels
        several = self.values.ndim == 2
        columns = self.values.T if several else self.values[None]
        ofs = [
            _standard(values[train], name, where) for values, name in zip(columns, self.names, strict=True)
        ]
        learned = [
            ((values - of.mean) / of.scale).astype(np.float32)
            for values, of in zip(columns, ofs, strict=True)
        ]
        if several:
            return np.stack(learned, axis=1), NumbersTarget(targets=tuple(ofs))
        return learned[0], ofs[0]


def encode_target(
    column: Column, task: Task | None, place: Place, where: str, class_names: tuple[str, ...] = ()
) -> Target:
    """Decide the task where it is not given, and number the classes.

    Texts and whole numbers are classes, other numbers are a regression's target.

    Args:
        column: the target, no cell of it missing.
        task: what the user said, or None.
        place: where a row is, for errors.
        where: the file, for errors.
        class_names: names for the classes 0, 1, ... if the data set has them.

    Raises:
        DataError: there is nothing to learn, or the numbers may mean either task.
    """
    if not len(column.values):
        raise DataError(f"{where}: there are no examples in it")
    if task == "multilabel":
        raise DataError(
            f'{where}: task = "multilabel" needs several target columns of 0 and 1, target = ["a", "b"], or a '
            f"separator; {column.name!r} is one column"
        )
    if task == "regression" and column.text:
        raise DataError(
            f"{place(0)}: target {column.name!r} is {column.values[0]!r}, regression needs numbers; names are "
            'for task = "classification"'
        )
    if not column.text:
        check_numbers(column, task, place)
    task = task or _task(column, where)
    if task == "regression":
        if (column.values == column.values[0]).all():
            raise nothing_to_learn(
                column.name, number_name(column.values[0]), len(column.values), "value", where
            )
        labels_ = np.zeros(len(column.values), dtype=np.int64)
        return Target(task=task, labels=labels_, values=column.values, names=(column.name,))
    labels = labels_of(column)
    if len(labels.names) == 1:
        raise nothing_to_learn(column.name, labels.names[0], len(column.values), "class", where)
    classes = labels.names
    if class_names and set(classes) <= {str(number) for number in range(len(class_names))}:
        classes = tuple(class_names[int(number)] for number in classes)
    return Target(
        task=task,
        labels=labels.indices,
        values=labels.indices.astype(np.float64),
        classes=classes,
        written=labels.names,
        numeric=labels.numeric,
        notes=labels.notes,
        names=(column.name,),
    )


def _standard(known: npt.NDArray[np.float64], name: str, where: str) -> NumberTarget:
    """Mean and deviation of a target's training values."""
    mean, scale = float(known.mean()), float(known.std())
    if scale < np.finfo(np.float32).smallest_normal:
        same = "is the same" if scale == 0 else "differs by less than float32 can represent"
        raise DataError(
            f"{where}: target {name!r} {same} in all {count(len(known), 'training example')}, "
            f"{mean:g}: nothing to learn; name another column, or scale it up"
        )
    return NumberTarget(mean=mean, scale=scale, column=name)


def nothing_to_learn(column: str, name: str, number: int, what: str, where: str) -> DataError:
    """That a target is the same everywhere."""
    return DataError(
        f"{where}: target {column!r} is {name!r} in all {count(number, 'example')}: with "
        f"only one {what} there is nothing to learn"
    )


def check_numbers(column: Column, task: Task | None, place: Place) -> None:
    """Numbers to predict must fit into float32; whole numbers that name classes may have any length."""
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(column.values) <= np.finfo(np.float32).max)
    if column.whole and task != "regression":
        bad &= np.isnan(column.values)  # which missing cells are, and these are gone
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{place(row)}: target {column.name!r} is {column.values[row]:g}; it must be a finite float32 number"
        )


def _task(column: Column, where: str) -> Task:
    if column.text or column.levels:
        return "classification"
    exact = column.values if column.exact is None else column.exact
    num_different = len(set(exact)) if exact.dtype == object else len(np.unique(exact))
    if column.whole:
        if num_different > MOST_CLASSES:
            raise DataError(
                f"{where}: target {column.name!r} has {num_different:,} different whole numbers: {_SAY}"
            )
        return "classification"
    if num_different <= MOST_CLASSES and np.all(column.values % 1 == 0):
        numbers = count(num_different, "different whole number")
        raise DataError(f"{where}: target {column.name!r} has {numbers} written as decimals: {_SAY}")
    return "regression"
