"""New examples out of files, folders of pictures, and what Python programs have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ravine.data.answers import UNKNOWN, ClassTarget
from ravine.data.by_sheet import pictures_of
from ravine.data.column import Cells
from ravine.data.containers import as_numpy
from ravine.data.csv_file import read_csv
from ravine.data.files import LONGEST, regular
from ravine.data.frames import columns_of, is_frame, series_cells
from ravine.data.fresh import Fresh, Part, Rows, answers, of_array, of_pictures, of_table
from ravine.data.image_folders import SUFFIXES, files_below
from ravine.data.images import check_pillow, read_pictures
from ravine.data.inputs import PLAIN_CSV, ArrayInputs, ImageInputs, TableInputs
from ravine.data.npz import read_new
from ravine.data.parquet_file import read_parquet
from ravine.data.preparation import Preparation
from ravine.data.reading import ImageReading, Reading, SheetReading
from ravine.data.scale import Scaling
from ravine.data.several import columns_in
from ravine.errors import DataError, short, with_article
from ravine.messages import count

_PARQUET = (".parquet", ".pq")
_ARRAYS = (".npz", ".npy")
_AT_ONCE = 1 << 26  # numbers of pictures that lie in memory at once


def fresh(preparation: Preparation, raw: Any, where: str = "x") -> Fresh:
    """New examples.

    Args:
        preparation: what training did to raw values.
        raw: the path of a file or of a folder of pictures; a frame or a mapping of columns; an array, or a pair of it
            with its answers; or a list of paths of pictures.
        where: what to call what is no file.

    Raises:
        DataError: one line that says what cannot be used.
    """
    if isinstance(raw, str | Path):
        return _of_path(preparation, Path(raw))
    inputs = preparation.inputs
    if isinstance(inputs, ImageInputs) and not _are_pictures(inputs.reading, raw):
        try:
            files = [Path(each) for each in raw]
        except TypeError:
            kind = with_article(type(raw).__name__)
            raise DataError(f"{where} is {kind}; a folder or paths of pictures are needed") from None
        return _pictures(preparation, inputs.reading, inputs.scaling, files, None, where)
    x, y = raw if isinstance(raw, tuple) and len(raw) == 2 else (raw, None)
    table = inputs if isinstance(inputs, TableInputs) else getattr(inputs, "table", None)
    if table is not None and (is_frame(x) or isinstance(x, Mapping)):
        cells = columns_of(x, where)
        found = of_table(preparation, table, cells, where, lambda row: f"{where}, row {row}")
    elif isinstance(inputs, TableInputs):
        raise DataError(
            f"{where} is {with_article(type(x).__name__)}; a data frame or a mapping of columns is needed, since the "
            "model was trained on named columns"
        )
    else:
        found = _of_array(inputs, x, where)
    if y is not None:
        given = _answer_columns(preparation, y, where)
        if len(given[0]) != found.num:
            raise DataError(f"{where} has {count(found.num, 'example')}, y has {len(given[0]):,}")
        found.answers = answers(found, preparation, given)
    return found


def _answer_columns(preparation: Preparation, y: Any, where: str) -> list[Cells]:
    """The cells of each column of the target."""
    columns = preparation.target.columns
    if len(columns) > 1 and (is_frame(y) or np.ndim(y) == 2):
        return columns_in(y, columns)
    cells = series_cells(y, f"{where}: y")
    if cells.values.ndim != 1 or not (len(columns) == 1 or isinstance(preparation.target, ClassTarget)):
        wanted = "one answer" if len(columns) == 1 else f"{len(columns)} answers"
        is_needed = "is" if len(columns) == 1 else "are"
        raise DataError(
            f"{where}: y has shape {cells.values.shape}; {wanted} for each example {is_needed} needed"
        )
    return [cells]


def _of_path(preparation: Preparation, path: Path) -> Fresh:
    where = str(path)
    try:
        there = path.exists()
    except OSError as error:  # a name too long, a folder that may not be read
        raise DataError(f"{short(where, LONGEST)}: cannot be read: {error.strerror}") from None
    if not there:
        raise DataError(f"{short(where, LONGEST)}: there is no such file or folder")
    inputs = preparation.inputs
    archive = path.suffix.lower() in _ARRAYS
    if isinstance(inputs, ImageInputs) and not (archive and isinstance(inputs.reading, SheetReading)):
        return _of_pictures(preparation, inputs.reading, inputs.scaling, path)
    if not isinstance(inputs, TableInputs):
        reading = _as_pictures(inputs) if isinstance(inputs, ArrayInputs) else None
        if reading is not None and (path.is_dir() or path.suffix.lower() in SUFFIXES):
            return _of_pictures(preparation, reading, inputs.scaling, path)
        if archive:
            x, y = read_new(regular(path))
            found = _of_array(inputs, x, where)
            if y is not None:
                if len(y) != len(x):
                    raise DataError(f"{where}: y has shape {y.shape}; one answer for each example is needed")
                found.answers = answers(found, preparation, _answer_columns(preparation, y, where))
            return found
        if isinstance(inputs, ImageInputs) or inputs.table is None:
            shape = tuple(inputs.shape)
            raise DataError(
                f"{where}: the model takes arrays of shape (N, {str(shape)[1:]}: give a .npz or .npy file"
            )
    table = inputs if isinstance(inputs, TableInputs) else inputs.table
    assert table is not None, "arrays without names are refused above"
    regular(path)
    if path.suffix.lower() in _PARQUET:
        cells, rows = read_parquet(path)
        unit = "row"
    else:
        text = table.text if isinstance(inputs, TableInputs) else PLAIN_CSV
        alone = table.columns[0].name if len(table.columns) == 1 else None
        cells, rows = read_csv(
            path, text.delimiter, encoding=text.encoding, comment=text.comment, alone=alone
        )
        unit = "line"
    return of_table(preparation, table, cells, where, lambda row: f"{where}, {unit} {rows[row]}")


def _are_pictures(reading: Reading, raw: Any) -> bool:
    """Whether something has pictures in it, and no paths, where a model takes them out of arrays too."""
    x = raw[0] if isinstance(raw, tuple) and len(raw) == 2 else raw
    return isinstance(reading, SheetReading) and getattr(x, "ndim", 0) >= 3


def _of_array(inputs: ArrayInputs | ImageInputs, x: Any, where: str) -> Fresh:
    if isinstance(inputs, ImageInputs):
        assert isinstance(inputs.reading, SheetReading), "others take files alone"
        return of_pictures(inputs, pictures_of(x, inputs.reading, where), where)
    return of_array(inputs, inputs.array(as_numpy(x, where), where), where)


def _as_pictures(inputs: ArrayInputs) -> ImageReading | None:
    """How files become such arrays, where these are bytes of grey or coloured pictures."""
    if inputs.scaling.values != "bytes" or len(inputs.shape) != 3 or inputs.shape[0] not in (1, 3):
        return None
    channels, height, width = inputs.shape
    return ImageReading(shape=(channels, height, width))


def _of_pictures(preparation: Preparation, reading: Reading, scaling: Scaling, path: Path) -> Fresh:
    """A picture, or all pictures of a folder and those below it; folders named like classes are answers."""
    known = ", ".join(sorted(SUFFIXES))
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: neither a folder of pictures nor a picture (known: {known})")
        return _pictures(preparation, reading, scaling, [regular(path)], None, str(path))
    every = files_below(path)
    files = [file for file in every if file.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"{path}: there are no pictures in it (known: {known})")
    target = preparation.target
    labels = None
    if isinstance(target, ClassTarget):
        index = {name: at for at, name in enumerate(target.names)} | {
            label: at for at, label in enumerate(target.labels)
        }
        inside = [[part for part in file.relative_to(path).parts[:-1] if part in index] for file in files]
        if any(inside):
            labels = np.array([index[parts[0]] if parts else UNKNOWN for parts in inside], dtype=np.int64)
    found = _pictures(preparation, reading, scaling, files, labels, str(path))
    if len(files) < len(every):
        others = len(every) - len(files)
        are = "is no picture" if others == 1 else "are no pictures"
        found.notes.append(f"{count(others, 'file')} {are}")
    if labels is not None and (labels == UNKNOWN).any():
        number = int((labels == UNKNOWN).sum())
        are = "is" if number == 1 else "are"
        found.notes.append(
            f"{count(number, 'picture')} {are} in no folder with the name of a class; left out of the score"
        )
    return found


def _pictures(
    preparation: Preparation,
    reading: Reading,
    scaling: Scaling,
    files: Sequence[Path],
    labels: Any,
    where: str,
) -> Fresh:
    if not files:
        raise DataError(f"{where}: there are no pictures in it")
    check_pillow(where)
    found = Fresh(
        where=where,
        num=len(files),
        place=lambda row: str(files[row]),
        parts=lambda: iter(()),
        answers=labels,
        files=tuple(map(str, files)),
    )
    step = max(1, min(len(files), _AT_ONCE // max(1, int(np.prod(preparation.inputs.shape)))))

    def parts() -> Iterator[Part]:
        for start in range(0, len(files), step):
            rows = np.arange(start, min(start + step, len(files)))
            try:
                pixels = read_pictures([files[int(row)] for row in rows], reading)
            except DataError:  # one of them: which, is found out one by one
                rows, pixels = _one_by_one(rows, files, reading, found.undecided)
            yield rows, scaling(pixels)

    found.parts = parts
    return found


def _one_by_one(
    rows: Rows, files: Sequence[Path], reading: Reading, undecided: dict[int, str]
) -> tuple[Any, Any]:
    good, pixels = [], []
    for row in map(int, rows):
        try:
            pixels.append(read_pictures([files[row]], reading))
            good.append(row)
        except DataError as error:
            undecided[row] = str(error).removeprefix(f"{files[row]}: ")
    empty = np.zeros((0, *reading.shape), dtype=np.uint8)
    return np.array(good, dtype=np.int64), np.concatenate([empty, *pixels])
