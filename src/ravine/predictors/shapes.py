"""Raw inputs of a graph, and of test vectors: names, types and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ravine.data.inputs import ArrayInputs, ImageInputs, Inputs, NamesInput, TableInputs
from ravine.data.texts import MISSING, WORDS

ARRAY = "x"  # the name of the input where there is only one
BATCH = "N"  # the side of inputs and outputs that examples are along


def input_names(inputs: Inputs) -> list[str]:
    """The names of the graph's inputs, in order."""
    return [column.name for column in inputs.columns] if isinstance(inputs, TableInputs) else [ARRAY]


def raw_type(inputs: ArrayInputs | ImageInputs) -> tuple[Any, tuple[int, ...]]:
    """Type and shape of one raw array or picture."""
    if isinstance(inputs, ImageInputs):
        channels, height, width = inputs.reading.shape
        return np.uint8, (height, width, channels)
    shape = inputs.shape
    if inputs.order == "grey":
        shape = shape[1:]
    elif inputs.order == "channels last":
        shape = (*shape[1:], shape[0])
    return np.dtype("uint8" if inputs.scaling.values == "bytes" else inputs.scaling.values), shape


def empty_texts(column: NamesInput) -> frozenset[str]:
    """What stands for an empty cell in a column of names, in small letters: of levels none does."""
    return MISSING - WORDS if column.words else MISSING


def empty_text(column: NamesInput) -> str:
    """What a graph's input has for an empty cell: an empty text, unless that is a level.

    Example:
        >>> empty_text(NamesInput(name="a", levels=("x",))), empty_text(NamesInput(name="a", levels=("", "#n/a")))
        ('', '?')
    """
    return next((text for text in sorted(empty_texts(column)) if text not in column.levels), "")
