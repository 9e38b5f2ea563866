"""From raw values to what a model takes, as nodes: the same steps, in the same precision, as `Preparation` does them.

A table has an input (N, 1) for each column: float64 for numbers, with NaN where one is missing; texts for names, with
"" where one is missing (see `empty_text`). Arrays and pictures have one input, as they were when the data set was made.

Shapes: N example, D feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from onnx import ValueInfoProto

from ravine.data.inputs import ImageInputs, Inputs, NamesInput, NumberInput, TableInputs
from ravine.data.scale import Scaling
from ravine.predictors.graph.nodes import ML, Nodes, tensor
from ravine.predictors.shapes import ARRAY, empty_texts, raw_type

_LARGEST = float(np.finfo(np.float32).max)
_UNSEEN, _EMPTY, _FILLED = -1, -2, -3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What raw values became.

    Args:
        inputs: of the graph.
        x: float32 (N, ...), as a model takes it.
        usable: bool (N, 1), False where a predictor would refuse the example; "" where it refuses none.
        unseen: int64 (N,), how many names of the example training has not seen; "" where there are no names.
    """

    inputs: tuple[ValueInfoProto, ...]
    x: str
    usable: str
    unseen: str = ""


def prepare(nodes: Nodes, inputs: Inputs) -> Prepared:
    """The nodes that prepare raw values."""
    to = f"{nodes.prefix}prepared"
    if isinstance(inputs, TableInputs):
        return _table(nodes, inputs, to)
    dtype, shape = raw_type(inputs)
    x = ARRAY
    order = "channels last" if isinstance(inputs, ImageInputs) else inputs.order
    if order == "grey":
        x = nodes.add("Unsqueeze", x, nodes.constant([1], np.int64))
    elif order == "channels last":
        x = nodes.add("Transpose", x, perm=[0, 3, 1, 2])
    usable = "" if dtype == np.uint8 else _finite(nodes, x, dtype, tuple(range(1, len(shape) + 1)))
    return Prepared(
        inputs=(tensor(ARRAY, dtype, *shape),), x=_scaled(nodes, x, inputs.scaling, to), usable=usable
    )


def _table(nodes: Nodes, inputs: TableInputs, to: str) -> Prepared:
    columns, blocks, indices = [], [], []
    for column in inputs.columns:
        columns.append(tensor(column.name, np.float64 if isinstance(column, NumberInput) else str, 1))
        if isinstance(column, NumberInput):
            blocks.append(_numbers(nodes, column))
        else:
            indices.append(_index(nodes, column))
            levels = nodes.constant([list(range(len(column.levels)))], np.int64)
            blocks.append(nodes.cast(nodes.add("Equal", indices[-1], levels), np.float64))
    matrix = nodes.add("Concat", *blocks, axis=1)
    usable, unseen = _finite(nodes, matrix, np.float64, (1,)), ""
    if indices:
        index_NC = nodes.add("Concat", *indices, axis=1)
        usable = nodes.add("And", usable, nodes.add("Not", _any(nodes, index_NC, _EMPTY)))
        new = nodes.cast(nodes.add("Equal", index_NC, nodes.constant(_UNSEEN, np.int64)), np.int64)
        unseen = nodes.add("ReduceSum", new, nodes.constant([1], np.int64), keepdims=0)
    return Prepared(
        inputs=tuple(columns), x=_scaled(nodes, matrix, inputs.scaling, to), usable=usable, unseen=unseen
    )


def _numbers(nodes: Nodes, column: NumberInput) -> str:
    if column.fill is None:
        return column.name
    missing = nodes.add("IsNaN", column.name)
    return nodes.add("Where", missing, nodes.constant(column.fill, np.float64), column.name)


def _index(nodes: Nodes, column: NamesInput) -> str:
    """The level of each cell by its place, (N, 1); -1 of a level that training has not seen."""
    at = {level: index for index, level in enumerate(column.levels)}
    empty = _EMPTY if column.fill is None else at.get(column.fill, _FILLED)
    keys = dict.fromkeys(_spellings(empty_texts(column)), empty) | at
    return nodes.add(
        "LabelEncoder",
        column.name,
        domain=ML,
        keys_strings=list(keys),
        values_int64s=list(keys.values()),
        default_int64=_UNSEEN,
    )


def _any(nodes: Nodes, index_NC: str, value: int) -> str:
    """Which examples have some such index, (N, 1)."""
    found = nodes.cast(nodes.add("Equal", index_NC, nodes.constant(value, np.int64)), np.int32)
    return nodes.cast(nodes.add("ReduceMax", found, nodes.constant([1], np.int64), keepdims=1), np.bool_)


def _spellings(words: frozenset[str]) -> Iterator[str]:
    """Every way to write words in small and capital letters."""
    for word in sorted(words):
        yield from map("".join, product(*(dict.fromkeys((letter, letter.upper())) for letter in word)))


def _finite(nodes: Nodes, x: str, dtype: Any, axes: tuple[int, ...]) -> str:
    """Which examples have finite float32 numbers only, (N, 1)."""
    fine = nodes.add("LessOrEqual", nodes.add("Abs", x), nodes.constant(_LARGEST, dtype))
    least = nodes.add("ReduceMin", nodes.cast(fine, np.int32), nodes.constant(axes, np.int64), keepdims=0)
    return nodes.add("Unsqueeze", nodes.cast(least, np.bool_), nodes.constant([1], np.int64))


def _scaled(nodes: Nodes, x: str, scaling: Scaling, to: str) -> str:
    dtype: Any = np.dtype(np.float64 if scaling.values == "float64" or scaling.table else np.float32)
    if scaling.values == "bytes":
        x = nodes.cast(x, dtype)
        if not scaling.table:
            x = nodes.add("Div", x, nodes.constant(255, dtype))
    if scaling.mean:
        mean, deviation = (
            np.array(each, dtype=dtype).reshape(scaling.shape) for each in (scaling.mean, scaling.deviation)
        )
        x = nodes.add("Sub", x, nodes.constant(mean))
        x = nodes.add("Div", x, nodes.constant(deviation))
    return nodes.cast(x, np.float32, into=to)
