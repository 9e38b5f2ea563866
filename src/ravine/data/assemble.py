"""From raw examples to a data set: target, splits, encoding, scaling, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column, Place
from ravine.data.dataset import Dataset, Examples, Floats, fingerprint
from ravine.data.deal import OPEN, TEST, VALIDATION, Splits, deal
from ravine.data.scale import check_finite, scaler
from ravine.data.spec import Options, Task
from ravine.data.table import Table, complete_rows, encode
from ravine.data.target import Target, encode_target
from ravine.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Raw examples of all splits, as a reader hands them over.

    Args:
        name: of the data set.
        where: the file, named in errors.
        x: a table, float64 features, or float32 or uint8 (N, C, H, W) images.
        y: the target.
        marks: OPEN, VALIDATION or TEST for each example.
        place: where an example came from, for errors.
        task: what the user or the data set says; None: by the target.
        class_names: names for classes that are numbers.
        features: names of the features.
        notes: what the reader did.
    """

    name: str
    where: str
    x: Table | npt.NDArray[Any]
    y: Column
    marks: npt.NDArray[np.int8]
    place: Place
    task: Task | None = None
    class_names: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def marks_for(num_open: int, num_validation: int = 0, num_test: int = 0) -> npt.NDArray[np.int8]:
    """Marks of examples that stand in this order: open, validation, test."""
    return np.repeat(np.array([OPEN, VALIDATION, TEST], dtype=np.int8), [num_open, num_validation, num_test])


def assemble(source: Source, options: Options) -> Dataset:
    """Cut, encode and scale; only the training part decides on means, levels and scales.

    Raises:
        DataError: the data cannot be trained on as they are.
    """
    if not len(source.y.values):
        raise DataError(f"{source.where}: there are no examples in it")
    x, y, marks, place = source.x, source.y, source.marks, source.place
    notes = list(source.notes)
    if isinstance(x, Table):
        kept, dropped = complete_rows(x, y, place)
        notes += dropped
        if len(kept) < len(y.values):
            x, y, marks, rows = x.take(kept), y.take(kept), marks[kept], kept
            place = lambda row: source.place(int(rows[row]))  # noqa: E731
            for mark, which in ((VALIDATION, "validation"), (TEST, "test")):
                if (source.marks == mark).any() and not (marks == mark).any():
                    raise DataError(f"{source.where}: every row of the {which} split has an empty cell")
    elif y.missing.any():
        count = int(y.missing.sum())
        raise DataError(
            f"{place(int(y.missing.argmax()))}: target {y.name!r} is missing (NaN or None; {count:,} in all); "
            "leave such examples out"
        )
    target = encode_target(y, source.task, place, source.where, source.class_names)
    splits = deal(
        target.labels,
        target.classes,
        marks,
        name=source.where,
        validation=options.validation,
        test=options.test,
        seed=options.split_seed,
        limit=options.limit,
    )
    notes += _split_notes(marks, splits, options)
    features, numeric = source.features, None
    if isinstance(x, Table):
        for column in x.columns:
            if not column.text:
                known = np.where(column.missing, 0.0, column.values)[:, None]
                check_finite(known, source.where, place, (column.name,))
        matrix = encode(x, splits.train)
        x, features, numeric = matrix.values, matrix.features, matrix.numeric
        notes += matrix.notes
    else:
        check_finite(x, source.where, place, features)
    scale = scaler(x[splits.train], options.normalize, source.where, numeric)
    xs = (scale(x[splits.train]), scale(x[splits.validation]), scale(x[splits.test]))
    return _dataset(source, target, splits, xs, features, tuple(notes))


def _dataset(
    source: Source,
    target: Target,
    splits: Splits,
    xs: tuple[Floats, Floats, Floats],
    features: tuple[str, ...],
    notes: tuple[str, ...],
) -> Dataset:
    mean, scale = 0.0, 1.0
    y: npt.NDArray[Any] = target.labels
    if target.task == "regression":
        known = target.values[splits.train]
        mean, scale = float(known.mean()), float(known.std())
        if scale < np.finfo(np.float32).smallest_normal:
            same = "is the same" if scale == 0 else "differs by less than float32 can hold"
            raise DataError(
                f"{source.where}: target {source.y.name!r} {same} in all {len(known):,} training examples, "
                f"{mean:g}: nothing to learn; name another column, or scale it up"
            )
        y = ((target.values - mean) / scale).astype(np.float32)
    rows = (splits.train, splits.validation, splits.test)
    train, validation, test = (Examples(x=x, y=y[indices]) for x, indices in zip(xs, rows, strict=True))
    return Dataset(
        name=source.name,
        task=target.task,
        train=train,
        validation=validation,
        test=test,
        classes=target.classes,
        target_mean=mean,
        target_scale=scale,
        features=features,
        notes=notes,
        fingerprint=fingerprint(target.task, (train, validation, test), target.classes, mean, scale),
    )


def _split_notes(marks: npt.NDArray[np.int8], splits: Splits, options: Options) -> list[str]:
    notes = []
    if (marks == VALIDATION).any():
        notes.append(f"the given validation split of {len(splits.validation)} was kept")
    if (marks == TEST).any():
        notes.append(f"the given test split of {len(splits.test)} was kept")
    if options.limit is not None:
        if options.limit > len(splits.train):
            notes.append(
                f"limit = {options.limit} exceeds the {len(splits.train)} training examples: all were kept"
            )
        else:
            notes.append(f"limit: {len(splits.train)} training examples were kept")
    return notes
