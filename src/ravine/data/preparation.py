"""Everything that was done to the raw values of a data set, as data: for new examples, for export, for a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, typed_column
from ravine.data.frames import series_cells
from ravine.data.inputs import ArrayInputs, ImageInputs, TableInputs, number_cells
from ravine.data.labels import label_texts, usual
from ravine.data.numerals import Numerals
from ravine.data.spec import Task
from ravine.data.texts import MISSING, PLAIN
from ravine.data.written import as_written
from ravine.errors import DataError, choices
from ravine.forms import Refused, plain, read

_COARSE = 2.0**-7  # of the target's deviation: so far apart float32 numbers may be

UNKNOWN, EMPTY = -1, -2  # in place of a class: a label that no class has, and no label


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTarget:
    """Classes by index.

    Args:
        labels: as the raw data write them.
        names: as people call them; the same where the data have no other names.
        numeric: the labels are the usual forms of numbers: "2" of 2.0 and of the text "2.0".
        column: what the data call the target.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    numeric: bool = False
    column: str = ""
    kind: Literal["classes"] = "classes"

    def apply(self, raw: Any) -> npt.NDArray[np.int64]:
        """Labels as indices of classes.

        Raises:
            DataError: a label that no class has.
        """
        index = {label: at for at, label in enumerate(self.labels)}
        column = _known(raw)
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
    """

    mean: float
    scale: float
    column: str = ""
    kind: Literal["numbers"] = "numbers"

    def apply(self, raw: Any) -> npt.NDArray[np.float32]:
        """Numbers as a model learns them."""
        column = _known(raw)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a data set did to raw inputs and to the target.

    Args:
        inputs: raw values to what a model takes.
        target: classes or numbers to what a model learns, and back.

    Example:
        >>> from ravine.data import from_arrays
        >>> x = np.arange(40.0).reshape(20, 2)
        >>> data = from_arrays(x, np.where(x[:, 0] % 4 == 0, "a", "b"))
        >>> again = Preparation.of(data.preparation.content())
        >>> again == data.preparation, again.inputs.apply([[19.0, 20.0]]).shape, again.target.apply(["b"])
        (True, (1, 2), array([1]))
    """

    inputs: TableInputs | ArrayInputs | ImageInputs
    target: ClassTarget | NumberTarget

    @property
    def task(self) -> Task:
        """What is learned."""
        return "classification" if isinstance(self.target, ClassTarget) else "regression"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by index; empty for a regression."""
        return self.target.names if isinstance(self.target, ClassTarget) else ()

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs: one per class, or one."""
        return len(self.classes) or 1

    def content(self) -> dict[str, Any]:
        """As JSON has it; every number comes back to the last bit."""
        content: dict[str, Any] = plain(self)
        return content

    @staticmethod
    def of(content: object, where: str = "preparation") -> Preparation:
        """Out of what `content` gave.

        Raises:
            DataError: it is something else.
        """
        try:
            prepared: Preparation = read(Preparation, content)
            return prepared
        except Refused as fault:
            raise DataError(fault.line(where)) from None


def _known(raw: Any) -> Column:
    """A target without missing cells."""
    column = typed_column("y", series_cells(raw, "y"), "y")
    if column.missing.any():
        raise DataError(f"y, row {int(column.missing.argmax())} is missing")
    return column
