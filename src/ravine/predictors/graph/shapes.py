"""What goes into a graph: names, types and shapes of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ravine.data.inputs import ArrayInputs, ImageInputs, Inputs, TableInputs

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
