"""Targets of several columns, or of several labels in one: numbers each in its own unit, and labels of which an example
may have any.

Shapes: N example, T target, K label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.answers import EMPTY, UNKNOWN, NumberTarget
from ravine.data.column import Cells, absent
from ravine.data.containers import as_numpy
from ravine.data.frames import columns_of, is_frame, series_cells
from ravine.data.inputs import number_cells
from ravine.data.numerals import Numerals
from ravine.data.spec import Task
from ravine.data.texts import MISSING, PLAIN
from ravine.errors import DataError, choices

JOINED = ";"
"""What is between labels in one text, where the data have a column for each."""
TRUTHS = {"true": "1", "false": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersTarget:
    """Several numbers to predict, each standardized by itself.

    Args:
        targets: each of them, named by its column.
    """

    targets: tuple[NumberTarget, ...]
    kind: Literal["several numbers"] = "several numbers"

    @property
    def task(self) -> Task:
        """What is learned."""
        return "regression"

    @property
    def names(self) -> tuple[str, ...]:
        """What the targets are called."""
        return tuple(each.column for each in self.targets)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the data call the columns of the target."""
        return self.names

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs."""
        return len(self.targets)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(T,) standard deviation of each in training."""
        return np.array([each.scale for each in self.targets])

    def apply(self, raw: Any) -> npt.NDArray[np.float32]:
        """(N, T) numbers as a model learns them."""
        columns = columns_in(raw, self.names)
        return np.stack([of.apply(each) for of, each in zip(self.targets, columns, strict=True)], axis=1)

    def find(self, cells: Sequence[Cells], numerals: Numerals) -> npt.NDArray[np.float64]:
        """(N, T) the number in each cell of the columns; NaN where a cell is empty or no number."""
        return np.stack(
            [of.find(each, numerals) for of, each in zip(self.targets, cells, strict=True)], axis=1
        )

    def undo(self, standardized: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(..., T) in the targets' own units; float64 where one of them needs it, as `NumberTarget.undo` says."""
        return np.stack([of.undo(standardized[..., at]) for at, of in enumerate(self.targets)], axis=-1)

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is stored of a model's outputs (..., T): values in the targets' own units."""
        return self.undo(outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsTarget:
    """Labels of which an example has any number, none included.

    Args:
        names: of the labels; where each has a column of its own, those of the columns.
        column: the one that names an example's labels; empty where each label has its own, of 0 and 1.
        separator: what is between the labels of the one column.
    """

    names: tuple[str, ...]
    column: str = ""
    separator: str = ""
    kind: Literal["labels"] = "labels"

    @property
    def task(self) -> Task:
        """What is learned."""
        return "multilabel"

    @property
    def columns(self) -> tuple[str, ...]:
        """What the data call the columns of the target."""
        return (self.column,) if self.separator else self.names

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs."""
        return len(self.names)

    def apply(self, raw: Any) -> npt.NDArray[np.float32]:
        """(N, K) 1 where an example has a label, else 0, as a model learns it.

        Raises:
            DataError: a cell is empty, is neither 0 nor 1, or has a label that training did not know.
        """
        found = self.find([series_cells(raw, "y")] if self.separator else columns_in(raw, self.names), PLAIN)
        if (found < 0).any():
            row, at = (int(each) for each in np.argwhere(found < 0)[0])
            if not self.separator:
                raise DataError(f"y, row {row}: label {self.names[at]!r} must be 0 or 1")
            raise DataError(
                f"y, row {row}: is missing, or has a label that training did not know; {choices('', self.names)}"
            )
        return found.astype(np.float32)

    def find(self, cells: Sequence[Cells], numerals: Numerals) -> npt.NDArray[np.int64]:
        """(N, K) 1 where an example has a label, else 0; UNKNOWN where nobody can say, EMPTY where nothing is said.

        Args:
            cells: of `columns`, as the data write them.
            numerals: how a text file writes its numbers.
        """
        if not self.separator:
            return np.stack([_truth_values(each, numerals) for each in cells], axis=1)
        index = {name: at for at, name in enumerate(self.names)}
        found = np.zeros((len(cells[0]), len(self.names)), dtype=np.int64)
        for row, cell in enumerate(cells[0].values):
            labels = labels_in(cell, self.separator)
            if labels is None:
                found[row] = EMPTY
            elif any(label not in index for label in labels):
                found[row] = UNKNOWN
            else:
                found[row, [index[label] for label in labels]] = 1
        return found

    def undo(self, truths: npt.NDArray[Any]) -> tuple[str, ...]:
        """The labels of each example as one text."""
        joined = self.separator or JOINED
        names = np.array(self.names, dtype=object)
        return tuple(joined.join(names[np.asarray(row, dtype=bool)]) for row in truths)

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is stored of a model's outputs (..., K): these, which are logits."""
        return outputs


def labels_in(cell: object, separator: str) -> list[str] | None:
    """The labels that a cell names; none in an empty text, None for a missing cell.

    Example:
        >>> labels_in("news; sports;", ";"), labels_in("", ";"), labels_in("NA", ";")
        (['news', 'sports'], [], None)
    """
    if absent(cell):
        return None
    text = str(cell).strip()
    if text and text.lower() in MISSING:
        return None
    return list(dict.fromkeys(part for each in text.split(separator) if (part := each.strip())))


def columns_in(raw: Any, names: Sequence[str]) -> list[Cells]:
    """The columns of a raw target: by name out of a frame, in order out of an array.

    Raises:
        DataError: there are others, or another number of them.
    """
    if is_frame(raw):
        found: Mapping[str, Cells] = columns_of(raw, "y")
        missing = next((name for name in names if name not in found), None)
        if missing is not None:
            raise DataError(f"y: there is no column {missing!r} in it; {choices(missing, found)}")
        return [found[name] for name in names]
    array = as_numpy(raw, "y", exact=True)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise DataError(f"y has shape {array.shape}; (N, {len(names)}) is needed, for {', '.join(names)}")
    return [Cells(values=array[:, at]) for at in range(len(names))]


def _truth_values(cells: Cells, numerals: Numerals) -> npt.NDArray[np.int64]:
    """0 or 1, UNKNOWN for any other cell, EMPTY for an empty one."""
    values = cells.values
    if values.dtype.kind in "iubf":
        numbers = values.astype(np.float64)
        empty = np.isnan(numbers)
    else:
        texts = ["" if absent(cell) else str(cell).strip() for cell in values]
        empty = np.array([text.lower() in MISSING for text in texts])
        plain = np.array([TRUTHS.get(text.lower(), text) for text in texts], dtype=np.str_)
        numbers = number_cells(plain, numerals)[0]
    known = np.where(numbers == 0, 0, np.where(numbers == 1, 1, UNKNOWN))
    return np.where(empty, EMPTY, known).astype(np.int64)
