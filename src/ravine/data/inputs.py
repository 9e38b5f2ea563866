"""What a data set does to the raw values of an example, as plain numbers that can be kept and used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, typed_column
from ravine.data.containers import as_numpy
from ravine.data.frames import columns_of
from ravine.data.images import read_pictures
from ravine.data.numerals import Numerals
from ravine.data.reading import Order, Reading
from ravine.data.scale import Floats, Scaling, check_finite
from ravine.data.texts import MARKERS, MISSING, PLAIN, text_column
from ravine.data.written import as_written
from ravine.errors import DataError, choices
from ravine.messages import shown

MISSING_LEVEL = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberInput:
    """A column of numbers.

    Args:
        name: of the column.
        fill: what an empty cell becomes; None: it is refused.
        low, high: the smallest and the largest number of the training part; None where that is not known.
    """

    name: str
    fill: float | None = None
    low: float | None = None
    high: float | None = None
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
class CsvText:
    """How a CSV file is written.

    Args:
        delimiter, encoding, comment: as in a study's data; None: as `read_csv` finds out.
    """

    delimiter: str | None = None
    encoding: str | None = None
    comment: str | None = None


PLAIN_CSV = CsvText()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInputs:
    """Columns of a table become one row of numbers.

    Args:
        columns: in order.
        scaling: of the numbers that they become.
        numerals: how a text file writes its numbers.
        text: how it is written otherwise.
    """

    columns: tuple[NumberInput | NamesInput, ...]
    scaling: Scaling
    numerals: Numerals = PLAIN
    text: CsvText = PLAIN_CSV
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
        columns = []
        for of in self.columns:
            found = self.read(of, cells, "x")
            if found.wrong.any():
                row = int(found.wrong.argmax())
                raise DataError(f"{_row(row)}: {found.why(row)}")
            if of.fill is None and found.column.missing.any():
                row = int(found.column.missing.argmax())
                raise DataError(f"{_row(row)}: column {of.name!r} is empty; fill it in")
            columns.append(found.column)
        matrix = self.encoded(columns)
        widths = [1 if isinstance(of, NumberInput) else len(of.levels) for of in self.columns]
        names = [of.name for of, width in zip(self.columns, widths, strict=True) for _ in range(width)]
        check_finite(matrix, "x", _row, tuple(names))
        return self.scaling(matrix)

    def encoded(self, columns: Sequence[Column]) -> npt.NDArray[np.float64]:
        """Columns as numbers before scaling, (N, D)."""
        blocks = [encode_column(of, column) for of, column in zip(self.columns, columns, strict=True)]
        return np.concatenate(blocks, axis=1)

    def read(self, of: NumberInput | NamesInput, cells: Mapping[str, Cells], where: str) -> ReadCells:
        """New cells of a column, each for itself: what one cell is does not depend on the others.

        Raises:
            DataError: the column is missing, or has a type that is neither numbers nor texts.
        """
        if of.name not in cells:
            raise DataError(f"{where} has no column {of.name!r}; {choices(of.name, cells)}")
        own = cells[of.name]
        as_text = own.values.dtype.kind == "U"
        if isinstance(of, NamesInput):
            if not as_text:
                written = as_written(of.name, own, where, of.levels, self.numerals)
                return ReadCells(column=written.column, wrong=written.doubtful, cells=own)
            column = text_column(of.name, own.values, _row, keep_text=True, words=of.words)
            return ReadCells(column=column, wrong=np.zeros(len(own), dtype=bool), cells=own)
        if as_text:
            values, wrong = number_cells(own.values, self.numerals)
        else:
            column = typed_column(of.name, own, where)
            wrong = ~column.missing if column.text else np.zeros(len(own), dtype=bool)
            values = np.full(len(own), np.nan) if column.text else column.values
        return ReadCells(column=Column(name=of.name, values=values), wrong=wrong, cells=own)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadCells:
    """New cells of a column.

    Args:
        column: their values; a cell that cannot be used is missing in it.
        wrong: (N,) the cells that are no numbers where numbers are needed, and numbers that may be two names.
        cells: as they came.
    """

    column: Column
    wrong: npt.NDArray[np.bool_]
    cells: Cells

    def why(self, row: int) -> str:
        """Why a cell cannot be used."""
        cell = f"column {self.column.name!r}: {shown(_plain_cell(self.cells.values[row]))}"
        if self.column.text:
            return f"{cell} may be two of its levels; give texts, as in training"
        return f"{cell} is not a number"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInputs:
    """Arrays of features or images.

    Args:
        shape: of one example as a model takes it.
        order: how the axes of images came: without channels, with channels last, or as they are.
        scaling: of the numbers.
        features: names of the features, where they have names.
        low, high: the smallest and the largest number of each feature in the training part, where examples are rows.
    """

    shape: tuple[int, ...]
    scaling: Scaling
    order: Order = "as it is"
    features: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    kind: Literal["array"] = "array"

    def apply(self, raw: Any) -> Floats:
        """New examples (N, ...) as a model takes them; raw as the arrays were that the data set was made of.

        Raises:
            DataError: they have another shape, or a number that cannot be used.
        """
        x = self.array(raw, "x")
        check_finite(x, "x", _row)
        return self.scaling(x)

    def array(self, raw: Any, where: str) -> npt.NDArray[Any]:
        """New examples before scaling, (N, ...).

        Raises:
            DataError: they have another shape or type.
        """
        x = in_order(number_array(as_numpy(raw, where), where), self.order)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"{where} has examples of shape {tuple(x.shape[1:])}; {self.shape} is needed")
        if (self.scaling.values == "bytes") != (x.dtype == np.uint8):
            needed = "bytes (uint8)" if self.scaling.values == "bytes" else "floating numbers"
            raise DataError(f"{where} has type {x.dtype}; {needed} are needed, as the training examples were")
        return x

    @property
    def table(self) -> TableInputs | None:
        """The same as named columns of numbers; None where the features have no names."""
        if not self.features or len(self.shape) != 1 or self.scaling.values != "float64":
            return None
        lows, highs = (each or (None,) * len(self.features) for each in (self.low, self.high))
        columns = tuple(
            NumberInput(name=name, low=low, high=high)
            for name, low, high in zip(self.features, lows, highs, strict=True)
        )
        return TableInputs(columns=columns, scaling=self.scaling)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInputs:
    """Image files.

    Args:
        reading: how a file becomes bytes (C, H, W).
        scaling: of the bytes.
    """

    reading: Reading
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


def number_cells(
    cells: npt.NDArray[np.str_], numerals: Numerals
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Texts of a file as numbers, NaN where a cell is empty or no number, and which cells are no numbers.

    Example:
        >>> number_cells(np.array(["1.5", "", "n.a.", "tea"]), PLAIN)
        (array([1.5, nan, nan, nan]), array([False, False, False,  True]))
    """
    numbers = numerals.numbers(cells)
    if numbers is not None:
        return numbers, np.zeros(len(cells), dtype=bool)
    known: dict[str, float | None] = {}
    for cell in set(cells.tolist()):
        plain = numerals.plain(cell)
        empty = cell.strip().lower() in MISSING | MARKERS
        known[cell] = np.nan if empty else None if plain is None else float(plain)
    found = [known[cell] for cell in cells.tolist()]
    values = np.array([np.nan if value is None else value for value in found], dtype=np.float64)
    return values, np.array([value is None for value in found], dtype=bool)


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


def _plain_cell(cell: Any) -> Any:
    """A cell as its reader wrote it, without the library's type."""
    if isinstance(cell, str):
        return str(cell).strip()
    return cell.item() if isinstance(cell, np.generic) else cell


def _row(row: int) -> str:
    return f"x, row {row}"
