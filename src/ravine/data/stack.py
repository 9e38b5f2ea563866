"""Arrays, tensors and frames of up to three splits, stacked into one source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Cells, Column, Place, typed_column
from ravine.data.containers import as_numpy, joined
from ravine.data.division import ALONE, Division, division_of, without
from ravine.data.frames import columns_of, is_frame, series_cells
from ravine.data.inputs import in_order, number_array
from ravine.data.reading import Order
from ravine.data.source import Source, marks_for
from ravine.data.spec import Options, Task, Texts
from ravine.data.table import Missing, Table, build_table
from ravine.data.target_columns import Columns
from ravine.data.weights import Weights, given_weights
from ravine.errors import DataError
from ravine.messages import count

ROLES = ("x", "y", "x_validation", "y_validation", "x_test", "y_test")
HELD_OUT = ("validation", "test")


class ArrayOptions(Options):
    """The options of `from_arrays`, checked."""

    has_columns = True
    categorical: Texts = ()
    missing: Missing = "refuse"
    weight_scores: bool = False
    weights_called: str = "weights"
    task: Task | None = None


def stacked(
    given: dict[str, Any],
    name: str,
    options: ArrayOptions,
    class_names: tuple[str, ...],
    division: Division = ALONE,
    weights: Any = None,
) -> Source:
    """One source out of x and y and perhaps x_validation, y_validation, x_test, y_test.

    Args:
        given: the six of them, None for what is not there.
        name: of the data set, or the file they came from.
        options: how to read them.
        class_names: names for classes that are numbers.
        division: what the examples of x are cut by, where no column says it.
        weights: of the examples of x; None: all count alike.

    Raises:
        DataError: they do not belong together.
    """
    for role in ROLES:
        other = ("y" if role[0] == "x" else "x") + role[1:]
        if given.get(role) is not None and given.get(other) is None:
            raise DataError(f"{name}: {role} is given without {other}")
    parts = ["", *(f"_{part}" for part in HELD_OUT if given.get(f"x_{part}") is not None)]
    ys = [_answers(given[f"y{part}"], f"{name}: y{part}") for part in parts]
    _check_alike(ys, parts, name)
    frames, xs = _inputs({part: given[f"x{part}"] for part in parts}, name)
    sizes = [len(next(iter(frame.values()), ())) for frame in frames] or [len(x) for x in xs]
    for part, size, y in zip(parts, sizes, ys, strict=True):
        num = len(next(iter(y.values())))
        if size != num:
            raise DataError(f"{name}: x{part} has {count(size, 'example')}, y{part} has {num:,}")
        if not size:
            raise DataError(f"{name}: there are no examples in x{part}")
    starts = np.cumsum([0, *sizes])

    def place(row: int) -> str:
        part = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{name}, x{parts[part]}, row {row - starts[part]}"

    order: Order = "as it is"
    x: Table | npt.NDArray[Any]
    if frames:
        x, found, notes = _table(frames, parts, options, name, place)
        division = division if found is ALONE else found
    else:
        x, order, notes = _stacked_arrays(xs, parts, options, name)
    of = dict(zip(parts, sizes, strict=True))
    columns = [_target(column, [y[column] for y in ys], name) for column in ys[0]]
    if class_names and len(columns) > 1 and len(class_names) != len(columns):
        raise DataError(
            f"{name}: class_names has {len(class_names)} names, y has {len(columns)} columns; one for each is needed"
        )
    return Source(
        name=Path(name).stem if name.endswith(".npz") else name,
        where=name,
        x=x,
        order=order,
        y=columns[0] if len(columns) == 1 else Columns(columns=tuple(columns)),
        marks=marks_for(of[""], of.get("_validation", 0), of.get("_test", 0)),
        place=place,
        task=options.task,
        class_names=class_names,
        notes=tuple(notes),
        division=division,
        weights=_weights(weights, sizes, parts, name, options),
        weight_scores=options.weight_scores,
    )


def _weights(
    given: Any, sizes: Sequence[int], parts: Sequence[str], name: str, options: ArrayOptions
) -> Weights | None:
    """Weights of all parts: those that are held out are never learned from, but for the last training of a refit."""
    weights = given_weights(given, sizes[0], name, options.weights_called)
    if weights is None:
        return None
    if options.weight_scores and len(parts) > 1:
        raise DataError(
            f"{name}: weight_scores, x{parts[1]}: only one of them; weights are of the examples of x, so give all of "
            "them in x"
        )
    return np.concatenate([weights, np.ones(sum(sizes[1:]), dtype=np.float32)])


def _inputs(given: Mapping[str, Any], name: str) -> tuple[list[Mapping[str, Cells]], list[npt.NDArray[Any]]]:
    """The columns of every part if all are frames, else their arrays."""
    if all(is_frame(x) for x in given.values()):
        return [columns_of(x, f"{name}: x{part}") for part, x in given.items()], []
    xs = []
    for part, x in given.items():
        where = f"{name}: x{part}"
        xs.append(number_array(_plain_frame(x, where) if is_frame(x) else as_numpy(x, where), where))
    return [], xs


def _stacked_arrays(
    xs: Sequence[npt.NDArray[Any]], parts: Sequence[str], options: ArrayOptions, name: str
) -> tuple[npt.NDArray[Any], Order, list[str]]:
    if options.categorical:
        raise DataError(f"{name}: categorical needs a data frame with named columns")
    if options.split is not None and options.split.columns and not name.endswith(".npz"):
        column = options.split.columns[0]
        raise DataError(
            f"{name}: split names the column {column!r}, and x is an array; give groups=, times= or split="
        )
    for part, x in zip(parts, xs, strict=True):
        if x.shape[1:] != xs[0].shape[1:]:
            raise DataError(f"{name}: x{part} has examples of shape {x.shape[1:]}, x of {xs[0].shape[1:]}")
    stack = xs[0] if len(xs) == 1 else np.concatenate(xs)
    if stack.dtype != np.uint8:
        return stack, "as it is", []
    order, notes = _channels(stack.shape, name)
    return in_order(stack, order), order, notes


def _channels(shape: tuple[int, ...], name: str) -> tuple[Order, list[str]]:
    """Where the channels of bytes are."""
    if len(shape) == 3:
        return "grey", ["x: bytes (N, H, W) were read as grey images (N, 1, H, W)"]
    if shape[1] in (1, 3, 4):
        return "as it is", []
    if shape[3] in (1, 3, 4):
        return "channels last", ["x: bytes (N, H, W, C) were turned into (N, C, H, W)"]
    raise DataError(
        f"{name}: x has bytes of shape {shape}; images need 1, 3 or 4 channels; other data, float32"
    )


def _answers(value: Any, where: str) -> dict[str, Cells]:
    """The columns of a target by name: one is called y, those of an array (N, T) are y0, y1, ..."""
    if is_frame(value):
        columns = columns_of(value, where)
        return {"y": next(iter(columns.values()))} if len(columns) == 1 else columns
    cells = series_cells(value, where)
    array = cells.values
    if array.ndim == 2 and array.shape[1] > 1:
        return {f"y{at}": Cells(values=array[:, at], levels=cells.levels) for at in range(array.shape[1])}
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"{where} has shape {array.shape}; (N,) is needed, a number or name for each example, or (N, T) numbers"
        )
    return {"y": Cells(values=array, levels=cells.levels)}


def _check_alike(ys: Sequence[Mapping[str, Cells]], parts: Sequence[str], name: str) -> None:
    """See that the targets of all parts have the same columns, and some."""
    if not ys[0]:
        raise DataError(f"{name}: y has no column")
    for part, y in zip(parts, ys, strict=True):
        if set(y) != set(ys[0]):
            other = next(iter(set(ys[0]) ^ set(y)))
            raise DataError(
                f"{name}: y has {count(len(ys[0]), 'column')}, y{part} has {len(y)}: {other!r} is in one of them only"
            )


def _target(column: str, parts: Sequence[Cells], name: str) -> Column:
    cells = Cells(values=joined([part.values for part in parts]), levels=any(part.levels for part in parts))
    return typed_column(column, cells, name)


def _plain_frame(frame: Any, where: str) -> npt.NDArray[Any]:
    """A frame beside arrays: its columns must be numbers, as the arrays have no names."""
    columns = columns_of(frame, where)
    for name, cells in columns.items():
        if cells.levels or cells.values.dtype.kind not in "biuf":
            raise DataError(
                f"{where} has a column of names, {name!r}, and is beside an array: give frames for both"
            )
    return np.column_stack([cells.values for cells in columns.values()])


def _table(
    frames: Sequence[Mapping[str, Cells]],
    parts: Sequence[str],
    options: ArrayOptions,
    name: str,
    place: Place,
) -> tuple[Table, Division, list[str]]:
    for part, frame in zip(parts, frames, strict=True):
        for column in frames[0]:
            if column not in frame:
                raise DataError(f"{name}: x{part} has no column {column!r}")
    cells = {}
    for column in frames[0]:
        values = joined([frame[column].values for frame in frames])
        # A frame's texts are texts, unlike a CSV's: no number is looked for in them.
        values = values.astype(object) if values.dtype.kind == "U" else values
        cells[column] = Cells(values=values, levels=any(frame[column].levels for frame in frames))
    division = division_of(cells, options.split, target=(), where=name, place=place)
    cut_by = () if options.split is None else options.split.columns
    table, _, notes = build_table(
        without(cells, options.split),
        target=(),
        drop=(),
        categorical=[each for each in options.categorical if each not in cut_by],
        missing=options.missing,
        where=name,
        place=place,
    )
    return table, division, notes
