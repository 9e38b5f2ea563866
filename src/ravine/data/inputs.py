"""What a data set does to the raw values of an example, as plain numbers that can be kept and used again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, typed_column
from ravine.data.containers import as_numpy
from ravine.data.frames import columns_of
from ravine.data.images import ImageReading, read_pictures
from ravine.data.numerals import Numerals
from ravine.data.scale import Floats, Scaling, check_finite
from ravine.data.texts import PLAIN, text_column
from ravine.errors import DataError, choices

MISSING_LEVEL = "missing"

Order = Literal["as it is", "grey", "channels last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberInput:
    """A column of numbers.

    Args:
        name: of the column.
        fill: what an empty cell becomes; None: it is refused.
    """

    name: str
    fill: float | None = None
    kind: Literal["number"] = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesInput:
    """A column of names: one feature for each level, 1 where a cell has it.

    Args:
        name: of the column.
        levels: those that training saw, in order. A cell with another is all zeros.
        fill: the level of an empty cell; None: it is refused.
        words: NA, NaN and null are names too, and no empty cells.
    """

    name: str
    levels: tuple[str, ...]
    fill: str | None = None
    words: bool = False
    kind: Literal["names"] = "names"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInputs:
    """Columns of a table become one row of numbers.

    Args:
        columns: in order.
        scaling: of the numbers that they become.
        numerals: how a text file writes its numbers.
    """

    columns: tuple[NumberInput | NamesInput, ...]
    scaling: Scaling
    numerals: Numerals = PLAIN
    kind: Literal["table"] = "table"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example as a model takes it."""
        return (sum(1 if isinstance(each, NumberInput) else len(each.levels) for each in self.columns),)

    def apply(self, raw: Any) -> Floats:
        """New rows as a model takes them.

        Args:
            raw: a frame, or a mapping of names to cells; texts are read as those of a file.

        Raises:
            DataError: a column is missing, or has a cell that cannot be used.
        """
        cells = columns_of(raw, "x")
        columns = [self._read(column, cells) for column in self.columns]
        matrix = np.concatenate(
            [encode_column(of, column) for of, column in zip(self.columns, columns, strict=True)], axis=1
        )
        check_finite(matrix, "x", _row)
        return self.scaling(matrix)

    def _read(self, of: NumberInput | NamesInput, cells: Mapping[str, Cells]) -> Column:
        if of.name not in cells:
            raise DataError(f"x has no column {of.name!r}; {choices(of.name, cells)}")
        own = cells[of.name]
        as_text = own.values.dtype.kind == "U"
        if isinstance(of, NumberInput):
            column = (
                text_column(of.name, own.values, _row, numerals=self.numerals, number=True)
                if as_text
                else typed_column(of.name, own, "x")
            )
            if column.text and not column.missing.all():
                row = int((~column.missing).argmax())
                raise DataError(f"{_row(row)}: column {of.name!r}: {column.values[row]!r} is not a number")
            if column.text:
                column = Column(name=of.name, values=np.full(len(own), np.nan))
        elif as_text:
            column = text_column(of.name, own.values, _row, keep_text=True, words=of.words)
        else:
            column = typed_column(of.name, own, "x", keep_text=True)
        if of.fill is None and column.missing.any():
            raise DataError(f"{_row(int(column.missing.argmax()))}: column {of.name!r} is empty; fill it in")
        return column


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInputs:
    """Arrays of features or images.

    Args:
        shape: of one example as a model takes it.
        order: how the axes of images came: without channels, with channels last, or as they are.
        scaling: of the numbers.
    """

    shape: tuple[int, ...]
    scaling: Scaling
    order: Order = "as it is"
    kind: Literal["array"] = "array"

    def apply(self, raw: Any) -> Floats:
        """New examples (N, ...) as a model takes them; raw as the arrays were that the data set was made of.

        Raises:
            DataError: they have another shape, or a number that cannot be used.
        """
        x = in_order(number_array(as_numpy(raw, "x"), "x"), self.order)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"x has examples of shape {tuple(x.shape[1:])}; {self.shape} is needed")
        if (self.scaling.values == "bytes") != (x.dtype == np.uint8):
            needed = "bytes (uint8)" if self.scaling.values == "bytes" else "floating numbers"
            raise DataError(f"x has type {x.dtype}; {needed} are needed, as the training examples were")
        check_finite(x, "x", _row)
        return self.scaling(x)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInputs:
    """Image files.

    Args:
        reading: how a file becomes bytes (C, H, W).
        scaling: of the bytes.
    """

    reading: ImageReading
    scaling: Scaling
    kind: Literal["images"] = "images"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example as a model takes it."""
        return self.reading.shape

    def apply(self, raw: Any) -> Floats:
        """New images as a model takes them.

        Args:
            raw: paths of image files.

        Raises:
            DataError: a file cannot be read, or has another size.
        """
        files = [raw] if isinstance(raw, str) else list(raw)
        return self.scaling(read_pictures(files, self.reading))


Inputs = TableInputs | ArrayInputs | ImageInputs


def encode_column(of: NumberInput | NamesInput, column: Column) -> npt.NDArray[np.float64]:
    """One column as features, float64 (N, 1) or (N, levels)."""
    if isinstance(of, NumberInput):
        values = np.asarray(column.values, dtype=np.float64)
        return (values if of.fill is None else np.where(column.missing, of.fill, values))[:, None]
    block = np.zeros((len(column.values), len(of.levels)))
    index = {level: at for at, level in enumerate(of.levels)}
    empty = -1 if of.fill is None else index.get(of.fill, -1)
    at = np.array([empty if name is None else index.get(name, -1) for name in column.values], dtype=np.int64)
    seen = np.flatnonzero(at >= 0)
    block[seen, at[seen]] = 1.0
    return block


def number_array(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """An array as float64 features, or as float32 or uint8 images.

    Args:
        array: (N, ...) numbers.
        where: what errors name.

    Raises:
        DataError: it has another type, or no features.
    """
    if array.dtype.kind == "O":
        array = _of_objects(array, where)
    if array.ndim < 2:
        raise DataError(f"{where} has shape {array.shape}; (N, features) or (N, C, H, W) is needed")
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{where} has type {array.dtype}; numbers are needed (a data frame may have columns of text)"
        )
    if not array[:1].size and len(array):
        raise DataError(f"{where} has shape {array.shape}: no features")
    if array.dtype == np.uint8 and array.ndim in (3, 4):
        return array
    return array.astype(np.float32 if array.ndim == 4 else np.float64)


def in_order(x: npt.NDArray[Any], order: Order) -> npt.NDArray[Any]:
    """Images with their channels first."""
    if order == "grey" and x.ndim == 3:
        return x[:, None]
    if order == "channels last" and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x


def _of_objects(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Numbers that came as Python objects, and None where one is missing."""
    try:
        column = typed_column("x", Cells(values=array.reshape(-1)), where)
    except DataError:
        column = None
    if column is None or column.text:
        raise DataError(
            f"{where} has type {array.dtype}; numbers are needed (a data frame may have columns of text)"
        )
    return column.values.reshape(array.shape)


def _row(row: int) -> str:
    return f"x, row {row}"
