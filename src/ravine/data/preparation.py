"""Everything that was done to the raw values of a data set, as data: for new examples, for export, for a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column, typed_column
from ravine.data.frames import series_cells
from ravine.data.inputs import ArrayInputs, ImageInputs, TableInputs
from ravine.data.labels import label_texts
from ravine.data.spec import Task
from ravine.errors import DataError, choices
from ravine.forms import Refused, plain, read


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTarget:
    """Classes by index.

    Args:
        labels: as the raw data write them.
        names: as people call them; the same where the data have no other names.
        numeric: the labels are the usual forms of numbers: "2" of 2.0 and of the text "2.0".
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    numeric: bool = False
    kind: Literal["classes"] = "classes"

    def apply(self, raw: Any) -> npt.NDArray[np.int64]:
        """Labels as indices of classes.

        Raises:
            DataError: a label that no class has.
        """
        index = {label: at for at, label in enumerate(self.labels)}
        texts = label_texts(_known(raw), numeric=self.numeric)
        for row, text in enumerate(texts):
            if text not in index:
                raise DataError(f"y, row {row}: {text!r} is no class; {choices(text, self.labels)}")
        return np.array([index[text] for text in texts], dtype=np.int64)

    def undo(self, indices: npt.NDArray[Any]) -> tuple[str, ...]:
        """Names of classes."""
        return tuple(self.names[int(index)] for index in indices)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTarget:
    """Numbers to predict, (raw - mean) / scale.

    Args:
        mean, scale: of the training part.
    """

    mean: float
    scale: float
    kind: Literal["numbers"] = "numbers"

    def apply(self, raw: Any) -> npt.NDArray[np.float32]:
        """Numbers as a model learns them."""
        column = _known(raw)
        if column.text:
            raise DataError(f"y, row 0: {column.values[0]!r} is not a number")
        return np.asarray((column.values - self.mean) / self.scale, dtype=np.float32)

    def undo(self, standardized: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Predictions in the target's own units."""
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
