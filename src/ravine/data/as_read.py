"""An example as the raw data have it, out of what a model takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ravine.data.dataset import Dataset, Split
from ravine.data.inputs import ArrayInputs, NumberInput, TableInputs
from ravine.data.scale import Scaling

OTHER = "another"  # a name that training has not seen


def unscaled(scaling: Scaling, x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """An example before it was scaled, to the digits of float32; bytes are numbers from 0 to 255, or from 0 to 1.

    Example:
        >>> unscaled(Scaling(values="float64", shape=(2,), mean=(1.0, 2.0), deviation=(2.0, 0.5)), np.array([1.0, 2.0]))
        array([3., 3.])
    """
    raw = np.asarray(x, dtype=np.float64)
    if not scaling.mean:
        return raw
    mean, deviation = (np.array(each).reshape(scaling.shape) for each in (scaling.mean, scaling.deviation))
    found: npt.NDArray[np.float64] = raw * deviation + mean
    return found


def values_of(data: Dataset, split: Split, row: int) -> dict[str, str]:
    """The columns of an example of a table, as texts; {} where examples are no rows.

    Numbers come out of what a model takes, so they have the digits of float32, and a cell that was empty has what it
    was filled with.

    Args:
        data: the data set.
        split: the part of it.
        row: number of the example in that part.

    Example:
        >>> from ravine.data import load, parse_data
        >>> list(values_of(load(parse_data("iris")), "validation", 0).items())[:2]
        [('sepal length (cm)', '4.9'), ('sepal width (cm)', '3')]
    """
    examples = getattr(data, split)
    inputs = data.known_preparation.inputs
    if len(examples.shape) != 1 or not isinstance(inputs, TableInputs | ArrayInputs):
        return {}
    raw = unscaled(inputs.scaling, examples.some([row])[0])
    if isinstance(inputs, ArrayInputs):
        names = data.features or tuple(f"x{place}" for place in range(len(raw)))
        return {name: f"{value:.6g}" for name, value in zip(names, raw, strict=True)}
    found, begin = {}, 0
    for column in inputs.columns:
        if isinstance(column, NumberInput):
            found[column.name] = f"{raw[begin]:.6g}"
            begin += 1
            continue
        own = raw[begin : begin + len(column.levels)]
        begin += len(column.levels)
        place = int(own.argmax())
        found[column.name] = column.levels[place] if own[place] > 0.5 else OTHER
    return found
