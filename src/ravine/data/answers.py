"""What became of the answers: classes by index, or standardized numbers; and the way back.

A model's outputs are (..., K). What is stored of them, and shown, are *predictions*: logits of classes, or values in
the target's own units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, typed_column
from ravine.data.frames import series_cells
from ravine.data.inputs import number_cells
from ravine.data.labels import label_texts, usual
from ravine.data.numerals import Numerals
from ravine.data.spec import Task
from ravine.data.texts import MISSING, PLAIN
from ravine.data.written import as_written
from ravine.errors import DataError, choices

_COARSE = 2.0**-7  # of the target's deviation: so far apart float32 numbers may be

UNKNOWN, EMPTY = -1, -2  # in place of a class: a label that no class has, and no label


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTarget:
    """Classes by index.

    Args:
        labels: as the raw data write them.
        names: as people call them; the same where the data have no other names.
        numeric: the labels are the usual forms of numbers: "2" of 2.0 and of the text "2.0".
        column: what the data call the target; empty where each class has a column of 0 and 1.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    numeric: bool = False
    column: str = ""
    kind: Literal["classes"] = "classes"

    @property
    def task(self) -> Task:
        """What is learned."""
        return "classification"

    @property
    def columns(self) -> tuple[str, ...]:
        """What the data call the columns of the target: one, or a column of 0 and 1 for each class."""
        return (self.column,) if self.column else self.labels

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs."""
        return len(self.names)

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is stored of a model's outputs (..., K): these, which are logits."""
        return outputs

    def apply(self, raw: Any) -> npt.NDArray[np.int64]:
        """Labels as indices of classes.

        Raises:
            DataError: a label that no class has.
        """
        index = {label: at for at, label in enumerate(self.labels)}
        column = known_column(raw)
        if not column.text and not self.numeric:
            written = as_written("y", series_cells(raw, "y"), "y", self.labels, PLAIN)
            if written.doubtful.any():
                row = int(written.doubtful.argmax())
                raise DataError(f"y, row {row}: {column.values[row]:g} may be two classes; give texts")
            column = written.column
        texts = label_texts(column, numeric=self.numeric)
        for row, text in enumerate(texts):
            if text not in index:
                raise DataError(f"y, row {row}: {text!r} is no class; {choices(text, self.labels)}")
        return np.array([index[text] for text in texts], dtype=np.int64)

    def find(self, cells: Cells, numerals: Numerals) -> npt.NDArray[np.int64]:
        """The class of each cell, each for itself; UNKNOWN where no class has the label, or two may, EMPTY for none.

        Args:
            cells: labels as the data write them, or names of classes.
            numerals: how a text file writes its numbers.
        """
        index = {name: at for at, name in enumerate(self.names)} | {
            label: at for at, label in enumerate(self.labels)
        }
        name = self.column or "y"
        written = as_written(name, cells, name, tuple(index), numerals)

        def of(cell: str | None) -> int:
            if cell is None:
                return EMPTY
            text = cell if cell in index else cell.strip()
            if text not in index and text.lower() in MISSING:
                return EMPTY
            plain = numerals.plain(text) if self.numeric and text not in index else None
            return index.get(text if plain is None else usual(plain), UNKNOWN)

        names = written.column.values.tolist()
        known = {cell: of(cell) for cell in set(names)}
        classes = np.array([known[cell] for cell in names], dtype=np.int64)
        return np.where(written.doubtful, UNKNOWN, classes)

    def undo(self, indices: npt.NDArray[Any]) -> tuple[str, ...]:
        """Names of classes."""
        return tuple(self.names[int(index)] for index in indices)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTarget:
    """Numbers to predict, (raw - mean) / scale.

    Args:
        mean, scale: of the training part.
        column: what the data call the target.
        counts: whether outputs are logarithms of ``raw / scale``.
    """

    mean: float
    scale: float
    column: str = ""
    kind: Literal["numbers"] = "numbers"
    counts: bool = False

    @property
    def task(self) -> Task:
        """What is learned."""
        return "regression"

    @property
    def columns(self) -> tuple[str, ...]:
        """What the data call the columns of the target."""
        return (self.column,)

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs."""
        return 1

    def predictions(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is stored of a model's outputs (..., 1): values (...) in the target's own units."""
        if self.counts:
            with np.errstate(over="ignore"):
                outputs = np.exp(outputs)
        return self.undo(outputs[..., 0])

    def apply(self, raw: Any) -> npt.NDArray[np.float32]:
        """Numbers as a model learns them."""
        column = known_column(raw)
        if column.text:
            raise DataError(f"y, row 0: {column.values[0]!r} is not a number")
        return np.asarray((column.values - self.mean) / self.scale, dtype=np.float32)

    def find(self, cells: Cells, numerals: Numerals) -> npt.NDArray[np.float64]:
        """The number in each cell, as the data write it; NaN where a cell is empty or no number.

        Args:
            cells: numbers, or texts of a file.
            numerals: how it writes its numbers.
        """
        if cells.values.dtype.kind == "U":
            return number_cells(cells.values, numerals)[0]
        column = typed_column(self.column or "y", cells, self.column or "y")
        return np.full(len(cells), np.nan) if column.text else np.asarray(column.values, dtype=np.float64)

    def undo(self, standardized: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """Predictions in the target's own units.

        They are float32; but float64 where the numbers are so large, and differ by so little, that float32 would round
        their differences away, as around a billion, where its numbers are 64 apart, and where the predictions are.
        Beyond float32 they are infinite.
        """
        double = standardized.dtype == np.float64
        if double or np.spacing(np.float32(abs(self.mean))) > _COARSE * self.scale:
            return np.asarray(standardized.astype(np.float64) * self.scale + self.mean)
        with np.errstate(over="ignore"):
            return np.asarray(standardized * np.float32(self.scale) + np.float32(self.mean))


def known_column(raw: Any) -> Column:
    """A target without missing cells."""
    column = typed_column("y", series_cells(raw, "y"), "y")
    if column.missing.any():
        raise DataError(f"y, row {int(column.missing.argmax())} is missing")
    return column
