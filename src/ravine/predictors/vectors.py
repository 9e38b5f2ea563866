"""Raw examples that nobody's data contain: test vectors, by which an exported model and a graph are checked.

They are made from the scale of each column, so that what is given away has no row of the training data in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ravine.data.column import Cells, objects
from ravine.data.inputs import ImageInputs, Inputs, NamesInput, NumberInput, TableInputs
from ravine.data.scale import Floats
from ravine.predictors.shapes import ARRAY, empty_text, raw_type

Arrays = Mapping[str, np.ndarray]

_MOST, _FEWEST = 8, 2  # examples
_NUMBERS = 20_000  # that they have together, where they are more than the fewest
_UNSEEN = "a level that training has not seen"


def raw_vectors(inputs: Inputs) -> dict[str, np.ndarray]:
    """Some raw examples, as a graph takes them; with missing cells and levels never seen, where these are allowed."""
    rng = np.random.default_rng(0)
    if isinstance(inputs, TableInputs):
        return _columns(inputs, rng)
    dtype, shape = raw_type(inputs)
    number = _number(int(np.prod(shape)))
    if np.dtype(dtype) == np.uint8:
        return {ARRAY: rng.integers(0, 256, (number, *shape), dtype=np.uint8)}
    x = np.empty((number, *inputs.shape))
    scaling = inputs.scaling
    center, spread = (
        np.array(each).reshape(scaling.shape) if each else otherwise
        for each, otherwise in ((scaling.mean, 0.0), (scaling.deviation, 1.0))
    )
    x[:] = center + spread * rng.standard_normal(x.shape)
    order = "as it is" if isinstance(inputs, ImageInputs) else inputs.order
    if order == "grey":
        x = x[:, 0]
    elif order == "channels last":
        x = x.transpose(0, 2, 3, 1)
    return {ARRAY: np.ascontiguousarray(x, dtype=dtype)}


def prepared(inputs: Inputs, raw: Arrays) -> Floats:
    """Raw examples as a model takes them, without the graph."""
    if isinstance(inputs, TableInputs):
        return inputs.apply({of.name: _cells(of, raw[of.name][:, 0]) for of in inputs.columns})
    if isinstance(inputs, ImageInputs):
        return inputs.scaling(np.ascontiguousarray(raw[ARRAY].transpose(0, 3, 1, 2)))
    return inputs.apply(raw[ARRAY])


def _cells(of: NumberInput | NamesInput, cells: np.ndarray) -> Cells:
    """Cells that have a type: a level is what it is, even where a file's text would be an empty cell."""
    if isinstance(of, NumberInput):
        return Cells(values=cells)
    empty = empty_text(of)
    return Cells(values=objects([None if cell == empty else str(cell) for cell in cells.tolist()]))


def as_json(arrays: Arrays) -> dict[str, Any]:
    """Arrays as lists; None for a NaN."""
    return {
        name: {"type": _type(array), "shape": list(array.shape), "values": _plain(array)}
        for name, array in arrays.items()
    }


def of_json(content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Out of what `as_json` gave."""
    return {name: _array(**each) for name, each in content.items()}


def _columns(inputs: TableInputs, rng: np.random.Generator) -> dict[str, np.ndarray]:
    number = _number(len(inputs.columns))
    found: dict[str, np.ndarray] = {}
    feature = 0
    for at, column in enumerate(inputs.columns):
        empty = at % (number - 1) + 1  # never the first row
        if isinstance(column, NumberInput):
            found[column.name] = _numbers(inputs, column, feature, number, empty, rng)
            feature += 1
        else:
            found[column.name] = _names(column, at, number, empty)
            feature += len(column.levels)
    return found


def _numbers(
    inputs: TableInputs, column: NumberInput, at: int, number: int, empty: int, rng: np.random.Generator
) -> np.ndarray:
    scaling = inputs.scaling
    mean, deviation = (scaling.mean[at], scaling.deviation[at]) if scaling.mean else (0.0, 1.0)
    cells = mean + deviation * rng.standard_normal((number, 1))
    if column.fill is not None:
        cells[empty] = np.nan
    return cells


def _names(column: NamesInput, at: int, number: int, empty: int) -> np.ndarray:
    cells = [column.levels[(at + row) % len(column.levels)] for row in range(number)]
    cells[-1] = _UNSEEN
    if column.fill is not None:
        absent = empty_text(column)
        cells = [absent if row == empty or cell == column.fill else cell for row, cell in enumerate(cells)]
    return objects(cells)[:, None]


def _number(numbers: int) -> int:
    return max(_FEWEST, min(_MOST, _NUMBERS // max(1, numbers)))


def _type(array: np.ndarray) -> str:
    return "string" if array.dtype.kind in "UO" else array.dtype.name


def _plain(array: np.ndarray) -> list[Any]:
    cells: list[Any] = array.reshape(-1).tolist()
    return [None if cell != cell else cell for cell in cells] if array.dtype.kind == "f" else cells


def _array(type: str, shape: list[int], values: list[Any]) -> np.ndarray:
    if type == "string":
        cells = np.empty(len(values), dtype=object)
        cells[:] = values
        return cells.reshape(shape)
    dtype = np.dtype(type)
    plain = [np.nan if cell is None else cell for cell in values] if dtype.kind == "f" else values
    return np.array(plain, dtype=dtype).reshape(shape)
