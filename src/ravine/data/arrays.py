"""Data of a Python program: arrays, tensors, data frames, datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.assemble import assemble
from ravine.data.containers import as_numpy, joined
from ravine.data.dataset import Dataset
from ravine.data.division import ALONE, Division, grouped, in_order, marked
from ravine.data.frames import series_cells
from ravine.data.spec import Task, needs_weights
from ravine.data.split import Split
from ravine.data.stack import ROLES, ArrayOptions, stacked
from ravine.data.table import Missing
from ravine.errors import DataError
from ravine.forms import Limits, Refused, read
from ravine.messages import count, shown


def from_arrays(
    x: Any,
    y: Any,
    *,
    x_test: Any = None,
    y_test: Any = None,
    x_validation: Any = None,
    y_validation: Any = None,
    task: Task | None = None,
    name: str = "arrays",
    validation: float = 0.2,
    test: float = 0.2,
    split_seed: int = 0,
    normalize: Literal["standard", "channel", "none"] | None = None,
    limit: int | None = None,
    categorical: Sequence[str] = (),
    missing: Missing = "refuse",
    class_names: Sequence[str] = (),
    split: Any = None,
    groups: Any = None,
    times: Any = None,
    weights: Any = None,
    weight_scores: bool = False,
) -> Dataset:
    """A data set out of NumPy arrays, PyTorch tensors, or pandas or Polars frames.

    Args:
        x: (N, ...) features. uint8 (N, H, W), and (N, H, W, C) or (N, C, H, W) of 1, 3 or 4 channels, are
            images. A frame, or a mapping of names to columns, may have columns of texts.
        y: (N,) texts or whole numbers for classes, or numbers to predict; (N, T) several numbers to predict, or 0 and
            1: labels of which an example may have any, or classes, where each row has exactly one 1.
        x_test, y_test: a given test split, kept as it is.
        x_validation, y_validation: a given validation split, kept as it is.
        task: "classification", "regression" or "multilabel"; None: by the target.
        name: what to call the data.
        validation: fraction for validation where no such split is given.
        test: fraction for the test where no such split is given.
        split_seed: changes which examples go where.
        normalize: "standard", "channel" or "none"; None: "channel" for images, else "standard".
        limit: keep only so many training examples.
        categorical: columns of a frame whose numbers are names.
        missing: empty cells of a frame: "refuse", "drop" or "impute".
        class_names: names for the classes 0, 1, ..., or for the columns of y.
        split: ``{"folds": 5, "repeats": 2}``; of a frame also ``{"group": "patient"}``, ``{"time": "date"}`` or
            ``{"column": "part"}``, where columns say it; or (N,) words "train", "validation" and "test".
        groups: (N,) which examples of x belong together: they are in one split.
        times: (N,) when each was taken: training comes before validation, and that before test.
        weights: (N,) how much each example of x counts in the loss of training, at least 0; None: all alike.
        weight_scores: weights count in scores on validation and test as well.

    Raises:
        DataError: one line that names the argument, the row and the column.

    Example:
        >>> import numpy as np
        >>> x = np.arange(40.0).reshape(20, 2)
        >>> data = from_arrays(x, np.arange(20) % 2)
        >>> len(data.train), len(data.validation), len(data.test), data.classes
        (12, 4, 4, ('0', '1'))
    """
    try:
        needs_weights(weight_scores, weights is not None, "weights")
    except ValueError as error:
        raise DataError(f"{name}: {error}") from None
    options: dict[str, Any] = {
        "weight_scores": weight_scores,
        "validation": validation,
        "test": test,
        "split_seed": split_seed,
        "normalize": normalize,
        "limit": limit,
        "categorical": _several(categorical),
        "missing": missing,
        "task": task,
        "split": split if split is None or isinstance(split, Mapping | Split) else None,
    }
    try:
        name = read(str, name)
    except Refused as fault:
        raise DataError(fault.under("name").line()) from None
    named = _several(class_names)
    if not isinstance(named, tuple):
        raise DataError(f"{name}: class_names = {shown(named)}: must be a list of names")
    try:
        checked = ArrayOptions.of(options)
    except Refused as fault:
        raise DataError(fault.line(name)) from None
    given = {
        "x": x,
        "y": y,
        "x_test": x_test,
        "y_test": y_test,
        "x_validation": x_validation,
        "y_validation": y_validation,
    }
    _refuse_names({"y": y, "groups": groups, "times": times, "weights": weights}, name)
    words = None if checked.split is not None else split
    division = _division({"split": words, "groups": groups, "times": times}, given, name, checked)
    return _assembled(given, name, checked, tuple(map(str, named)), division, weights)


def _refuse_names(arrays: Mapping[str, Any], name: str) -> None:
    """A column's name where its cells belong."""
    for key, value in arrays.items():
        if not isinstance(value, str):
            continue
        of_split = {"groups": "group", "times": "time"}.get(key)
        column = f"split={{{of_split!r}: {shown(value)}}}" if of_split else f"frame[{shown(value)}]"
        raise DataError(
            f"{name}: {key} = {shown(value)}: must be an array with an entry for each example; a column of a frame is"
            f" {column}"
        )


def _division(
    arrays: Mapping[str, Any], given: Mapping[str, Any], name: str, options: ArrayOptions
) -> Division:
    """What examples are cut by, as arrays beside x say it."""
    beside = [key for key, array in arrays.items() if array is not None]
    if not beside:
        return ALONE
    held_out = next((role for role in ROLES[2:] if given[role] is not None), None)
    if held_out is not None:
        raise DataError(
            f"{name}: {beside[0]}, {held_out}: only one of them; {beside[0]} is of the examples of x, so give all "
            "of them in x"
        )
    words = options.split.changed() if options.split is not None else {}
    try:
        own = {"groups": "group", "times": "time", "split": "column"}
        checked = Split.of({**words, **{own[key]: f"{key}=" for key in beside}})
        if checked.decides_test and options.test != options.defaults["test"]:
            raise DataError(f"{name}: test, {checked.decides_test}: only one of them; it says what is tested")
    except Refused as fault:
        raise DataError(fault.line(f"{name}: split")) from None
    if options.split is not None and options.split.columns:
        raise DataError(f"{name}: {beside[0]}, split: only one of them; split names a column for it already")
    size = next(iter(np.shape(given["y"])), 0)
    cells = {key: series_cells(arrays[key], f"{name}: {key}") for key in beside}
    for key, found in cells.items():
        if found.values.shape != (size,):
            shape = tuple(found.values.shape)
            raise DataError(
                f"{name}: {key} has shape {shape}; one for each of {count(size, 'example')} is needed"
            )

    def place(row: int) -> str:
        return f"{name}, row {row}"

    groups, names = grouped(cells["groups"], "groups", place) if "groups" in cells else (None, ())
    return Division(
        groups=groups,
        names=names,
        times=in_order(cells["times"], "times", place) if "times" in cells else None,
        marks=marked(cells["split"], "split", name, place) if "split" in cells else None,
    )


class _NoTest(ArrayOptions):
    """Options of data that are never tested on."""

    test: Annotated[float, Limits(least=0.0, most=0.0)] = 0.0


def without_test(
    x: Any,
    y: Any,
    *,
    task: Task,
    name: str,
    validation: float,
    split_seed: int,
    class_names: Sequence[str] = (),
    missing: Missing = "refuse",
    weights: Any = None,
) -> Dataset:
    """A data set whose test split is empty: for training whose verdict nobody asks for.

    Args:
        x, y, task, name, validation, split_seed, class_names, missing, weights: as in `from_arrays`.

    Raises:
        DataError: as in `from_arrays`.
    """
    options = {"validation": validation, "split_seed": split_seed, "task": task, "missing": missing}
    try:
        checked = _NoTest.of(options)
    except Refused as fault:
        raise DataError(fault.line(name)) from None
    return _assembled({"x": x, "y": y}, name, checked, tuple(class_names), weights=weights)


def _assembled(
    given: dict[str, Any],
    name: str,
    options: ArrayOptions,
    class_names: tuple[str, ...],
    division: Division = ALONE,
    weights: Any = None,
) -> Dataset:
    try:
        return assemble(stacked(given, name, options, class_names, division, weights), options)
    except MemoryError:
        raise DataError(f"{name}: the data do not fit into memory") from None


def from_torch_dataset(
    dataset: Any,
    *,
    test_dataset: Any = None,
    validation_dataset: Any = None,
    name: str = "dataset",
    task: Task | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    split_seed: int = 0,
    normalize: Literal["standard", "channel", "none"] | None = None,
    limit: int | None = None,
    weights: Any = None,
    weight_scores: bool = False,
) -> Dataset:
    """A data set out of any indexable dataset of pairs (x, y), such as `torch.utils.data.Dataset`.

    Every example is asked for once and kept in memory: random augmentation inside the dataset would freeze.

    Args:
        dataset: has a length, and `dataset[i]` is (x, y).
        test_dataset: a given test split.
        validation_dataset: a given validation split.
        name: what to call the data.
        task, validation, test, split_seed, normalize, limit, weights, weight_scores: as in `from_arrays`.

    Raises:
        DataError: no length, no pairs, or examples of different shapes.
    """
    x, y = _collected(dataset, name)
    x_test, y_test = (
        (None, None) if test_dataset is None else _collected(test_dataset, f"{name}: test_dataset")
    )
    x_validation, y_validation = (
        (None, None)
        if validation_dataset is None
        else _collected(validation_dataset, f"{name}: validation_dataset")
    )
    return from_arrays(
        x,
        y,
        x_test=x_test,
        y_test=y_test,
        x_validation=x_validation,
        y_validation=y_validation,
        task=task,
        name=name,
        validation=validation,
        test=test,
        split_seed=split_seed,
        normalize=normalize,
        limit=limit,
        class_names=tuple(map(str, getattr(dataset, "classes", None) or ())),
        weights=weights,
        weight_scores=weight_scores,
    )


def _several(names: Any) -> Any:
    """Names as a tuple, out of a list, an array or a column; what is not several names as it is."""
    if isinstance(names, str | bytes):
        return names
    try:
        return tuple(names)
    except TypeError:  # nothing to go through
        return names


def _collected(dataset: Any, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    tensors = getattr(dataset, "tensors", None)
    if isinstance(tensors, tuple) and len(tensors) == 2:
        return as_numpy(tensors[0], f"{name}: x"), as_numpy(tensors[1], f"{name}: y", exact=True)
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"{name}: {type(dataset).__name__} has no length or no index; a map-style dataset is needed"
        )
    xs: list[npt.NDArray[Any]] = []
    ys: list[npt.NDArray[Any]] = []
    for index in range(len(dataset)):
        pair = dataset[index]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{name}: item {index} is {type(pair).__name__}; a pair (x, y) is needed")
        where = f"{name}: item {index}"
        x, y = as_numpy(pair[0], where), as_numpy(pair[1], where, exact=True)
        for of, array, first in (("", x, xs[:1]), ("y of ", y, ys[:1])):
            if first and array.shape != first[0].shape:
                raise DataError(
                    f"{name}: {of}item {index} has shape {array.shape}, item 0 {first[0].shape}; all must be alike"
                )
        xs.append(x)
        ys.append(y)
    if not xs:
        raise DataError(f"{name}: there are no examples in it")
    return np.stack(xs), joined([y[None] for y in ys])
