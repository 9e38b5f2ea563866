"""The target: classes by index, or numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column, Place, number_name
from ravine.data.spec import Task
from ravine.errors import DataError

MOST_CLASSES = 50  # more different whole numbers than this may well be quantities


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What to predict.

    Args:
        task: classification or regression.
        labels: int64 (N,) class indices; zeros for regression.
        values: float64 (N,) numbers; class indices for classification.
        classes: names of the classes; empty for regression.
    """

    task: Task
    labels: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    classes: tuple[str, ...]


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
        DataError: nothing to learn, or the task cannot be told from the numbers.
    """
    if not len(column.values):
        raise DataError(f"{where}: there are no examples in it")
    _check_numbers(column, place)
    different = np.unique(column.values)
    task = task or _task(column, different, where)
    if len(different) == 1:
        what = "class" if task == "classification" else "value"
        raise DataError(
            f"{where}: target {column.name!r} is {_name(different[0])!r} in all {len(column.values):,} examples: with "
            f"only one {what} there is nothing to learn"
        )
    if task == "regression":
        if column.text:
            raise DataError(
                f"{place(0)}: target {column.name!r} is {column.values[0]!r}, regression needs numbers; names are "
                'for task = "classification"'
            )
        return Target(
            task=task, labels=np.zeros(len(column.values), dtype=np.int64), values=column.values, classes=()
        )
    labels = np.searchsorted(different, column.values).astype(np.int64)
    classes = tuple(_name(value) for value in different)
    named = [str(number) for number in range(len(class_names))]
    if class_names and set(classes) <= set(named):
        classes = tuple(class_names[int(number)] for number in classes)
    return Target(task=task, labels=labels, values=labels.astype(np.float64), classes=classes)


def _check_numbers(column: Column, place: Place) -> None:
    if column.text:
        return
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(column.values) <= np.finfo(np.float32).max)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{place(row)}: target {column.name!r} is {column.values[row]:g}; it must be a finite float32 number"
        )


def _task(column: Column, different: npt.NDArray[np.generic], where: str) -> Task:
    if column.text:
        return "classification"
    if column.whole:
        if len(different) > MOST_CLASSES:
            raise DataError(
                f"{where}: target {column.name!r} has {len(different)} different whole numbers: "
                f'say task = "classification" or task = "regression"'
            )
        return "classification"
    if len(different) <= MOST_CLASSES and np.all(np.asarray(different, dtype=np.float64) % 1 == 0):
        raise DataError(
            f"{where}: target {column.name!r} holds {len(different)} different whole numbers "
            f'written as decimals: say task = "classification" or task = "regression"'
        )
    return "regression"


def _name(value: object) -> str:
    return number_name(value) if isinstance(value, float) else str(value)
