"""Arrays, tensors and frames of up to three splits, stacked into one source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.assemble import Source, marks_for
from ravine.data.column import Place, typed_column
from ravine.data.spec import Options, Task, Texts
from ravine.data.table import Missing, Table, build_table
from ravine.errors import DataError

ROLES = ("x", "y", "x_validation", "y_validation", "x_test", "y_test")
HELD_OUT = ("validation", "test")


class ArrayOptions(Options):
    """The options of `from_arrays`, checked."""

    categorical: Texts = ()
    missing: Missing = "refuse"
    task: Task | None = None


def stacked(given: dict[str, Any], name: str, options: ArrayOptions, class_names: tuple[str, ...]) -> Source:
    """One source out of x and y and perhaps x_validation, y_validation, x_test, y_test.

    Args:
        given: the six of them, None for what is not there.
        name: of the data set, or the file they came from.
        options: how to read them.
        class_names: names for classes that are numbers.

    Raises:
        DataError: they do not belong together.
    """
    for role in ROLES:
        other = ("y" if role[0] == "x" else "x") + role[1:]
        if given[role] is not None and given[other] is None:
            raise DataError(f"{name}: {role} is given without {other}")
    parts = ["", *(f"_{part}" for part in HELD_OUT if given[f"x_{part}"] is not None)]
    xs = [given[f"x{part}"] for part in parts]
    ys = [_vector(given[f"y{part}"], f"{name}: y{part}") for part in parts]
    frames = all(hasattr(x, "columns") and hasattr(x, "to_numpy") for x in xs)
    if not frames:
        xs = [_features(x, f"{name}: x{part}") for x, part in zip(xs, parts, strict=True)]
    for part, x, y in zip(parts, xs, ys, strict=True):
        if len(x) != len(y):
            raise DataError(f"{name}: x{part} has {len(x)} examples, y{part} has {len(y)}")
        if not len(x):
            raise DataError(f"{name}: there are no examples in x{part}")
    starts = np.cumsum([0, *map(len, ys)])

    def place(row: int) -> str:
        part = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{name}, x{parts[part]}, row {row - starts[part]}"

    x, notes = (
        _table(xs, parts, options, name, place) if frames else _stacked_arrays(xs, parts, options, name)
    )
    sizes = dict(zip(parts, map(len, ys), strict=True))
    return Source(
        name=Path(name).stem if name.endswith(".npz") else name,
        where=name,
        x=x,
        y=typed_column("y", _joined(ys), name),
        marks=marks_for(sizes[""], sizes.get("_validation", 0), sizes.get("_test", 0)),
        place=place,
        task=options.task,
        class_names=class_names,
        notes=tuple(notes),
    )


def as_numpy(value: Any) -> npt.NDArray[Any]:
    """An array out of an array, a tensor on any device, a frame or a list."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # NumPy has no bfloat16; float() is exact for it.
        value = value.float().numpy() if "bfloat16" in str(value.dtype) else value.numpy()
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    return np.asarray(value)


def _features(value: Any, where: str) -> npt.NDArray[Any]:
    array = as_numpy(value)
    if array.ndim < 2:
        raise DataError(f"{where} has shape {array.shape}; (N, features) or (N, C, H, W) is needed")
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{where} holds {array.dtype}; numbers are needed (a data frame may have columns of texts)"
        )
    if not array[:1].size and len(array):
        raise DataError(f"{where} has shape {array.shape}: no features")
    if array.dtype == np.uint8 and array.ndim in (3, 4):
        return array
    return array.astype(np.float32 if array.ndim == 4 else np.float64)


def _stacked_arrays(
    xs: Sequence[npt.NDArray[Any]], parts: Sequence[str], options: ArrayOptions, name: str
) -> tuple[npt.NDArray[Any], list[str]]:
    if options.categorical:
        raise DataError(f"{name}: categorical needs a data frame with named columns")
    for part, x in zip(parts, xs, strict=True):
        if x.shape[1:] != xs[0].shape[1:]:
            raise DataError(f"{name}: x{part} has examples of shape {x.shape[1:]}, x of {xs[0].shape[1:]}")
    joined = np.concatenate(xs)
    return _channels_first(joined, name) if joined.dtype == np.uint8 else (joined, [])


def _channels_first(x: npt.NDArray[np.uint8], name: str) -> tuple[npt.NDArray[np.uint8], list[str]]:
    if x.ndim == 3:
        return x[:, None], ["x: bytes (N, H, W) were read as grey images (N, 1, H, W)"]
    if x.shape[1] in (1, 3, 4):
        return x, []
    if x.shape[3] in (1, 3, 4):
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), [
            "x: bytes (N, H, W, C) were turned into (N, C, H, W)"
        ]
    raise DataError(
        f"{name}: x holds bytes of shape {x.shape}; images need 1, 3 or 4 channels; other data, float32"
    )


def _vector(value: Any, where: str) -> npt.NDArray[Any]:
    array = as_numpy(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{where} has shape {array.shape}; one number or name for each example is needed")
    return array


def _joined(ys: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    texts = [y.dtype.kind in "USOT" for y in ys]
    return np.concatenate([y.astype(object) for y in ys] if any(texts) and not all(texts) else ys)


def _table(
    frames: Sequence[Any], parts: Sequence[str], options: ArrayOptions, name: str, place: Place
) -> tuple[Table, list[str]]:
    columns = [str(column) for column in frames[0].columns]
    for part, frame in zip(parts, frames, strict=True):
        for column in columns:
            if column not in map(str, frame.columns):
                raise DataError(f"{name}: x{part} has no column {column!r}")
    cells = {
        column: _joined(
            [frame[own].to_numpy() for frame in frames for own in frame.columns if str(own) == column]
        )
        for column in columns
    }
    # A frame's texts are texts, unlike a CSV's: no number is looked for in them.
    typed = {
        key: values.astype(object) if values.dtype.kind == "U" else values for key, values in cells.items()
    }
    table, _, notes = build_table(
        typed,
        target=None,
        drop=(),
        categorical=options.categorical,
        missing=options.missing,
        where=name,
        place=place,
    )
    return table, notes
