"""Pictures for a network that has learned elsewhere: as the sheet of its weights says, whatever they came out of.

Files are read by the sheet at once (`reading.SheetReading`). Pictures in arrays, such as the digits, become bytes, are
scaled by the same code, and grey ones have three channels alike, which share their memory.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.cached import find, keep
from ravine.data.containers import as_numpy
from ravine.data.dataset import Dataset, fingerprint
from ravine.data.decoding import KIND, Decoding, pillow_key, verification
from ravine.data.examples import Examples
from ravine.data.images import check_pillow
from ravine.data.inputs import ArrayInputs, ImageInputs, TableInputs, in_order, number_array
from ravine.data.reading import CHANNELS, Pixels, SheetReading
from ravine.data.room import require
from ravine.data.sheet import Sheet
from ravine.errors import DataError
from ravine.messages import count, wrong
from ravine.verification import Verification

_BATCH = 512  # pictures between two looks at how far it is
_WORTH_BYTES = 1 << 25  # less is scaled again: that takes a moment
_TIE = 1e-4  # a number that is half a byte, but for rounding, goes up as that half itself does


def check_unscaled(normalize: str | None) -> None:
    """Refuse a scaling of one's own beside a sheet.

    Raises:
        StudyError: there is one.
    """
    if normalize is not None:
        raise wrong(
            "data.normalize", normalize, "the weights of the model say how pixels are scaled; leave it out"
        )


def sized(sheet: Sheet, size: int | tuple[int, int] | None) -> tuple[Sheet, list[str]]:
    """A sheet with the size that a study's data say, and a note where it is another than that of the weights.

    Raises:
        DataError: neither says a size.
    """
    found = sheet.at(size)
    if found.size is None:
        raise DataError(
            "data.size: missing: the weights don't say the size of their pictures; give size = 224, say"
        )
    if sheet.size is None or sheet.size == found.size:
        return found, []
    (height, width), (high, wide) = found.size, sheet.size
    return found, [
        f"pictures are of {height} x {width} pixels, as data.size says; the weights' own are {high} x {wide}"
    ]


def by_sheet(data: Dataset, sheet: Sheet) -> Generator[Decoding, None, Dataset]:
    """A data set of pictures in arrays, as a sheet wants them.

    Args:
        data: the data set; one that was read by this sheet comes back as it is.
        sheet: how they are to be.

    Yields:
        How far it is.

    Raises:
        DataError: its examples are no pictures, or have been scaled already.
    """
    inputs = data.known_preparation.inputs
    if isinstance(inputs, ImageInputs):
        return _read_already(data, inputs, sheet)
    channels, height, width = _shape(data, inputs)
    assert isinstance(inputs, ArrayInputs), "tables are refused above"
    check_pillow(data.name)
    if sheet.size is None:
        sheet = sheet.at((height, width))
    reading = SheetReading(sheet=sheet, order=inputs.order)
    scaling = reading.scaling()
    splits = (data.train, data.validation, data.test)
    pixels, checked = yield from _scaled(data, splits, inputs, reading, channels)
    ends = np.cumsum([0, *map(len, splits)])
    train, validation, test = (
        Examples(x=pixels, y=split.y, scaling=scaling, at=np.arange(start, end), weights=split.weights)
        for split, start, end in zip(splits, ends, ends[1:], strict=False)
    )
    prepared = replace(data.known_preparation, inputs=ImageInputs(reading=reading, scaling=scaling))
    return replace(
        data,
        train=train,
        validation=validation,
        test=test,
        features=(),
        notes=(*data.notes, *_notes(channels, (height, width), reading.shape[1:])),
        preparation=prepared,
        verification=checked,
        fingerprint=fingerprint(
            data.task,
            (train, validation, test),
            data.classes,
            data.target_mean,
            data.target_scale,
            True,
            data.targets,
        ),
    )


def pictures_of(raw: Any, reading: SheetReading, where: str) -> Pixels:
    """New pictures in an array, uint8 (N, C, H, W) as a model takes them but for its scaling.

    Raises:
        DataError: it has none.
    """
    x = number_array(as_numpy(raw, where), where)
    x = in_order(x, reading.order)
    if x.ndim != 4 or x.shape[1] not in (1, CHANNELS):
        raise DataError(
            f"{where} has examples of shape {tuple(x.shape[1:])}; grey or coloured pictures are needed"
        )
    check_pillow(where)
    pixels = np.empty((len(x), x.shape[1], *reading.shape[1:]), dtype=np.uint8)
    for rows in _each(_bytes(x, where), reading, pixels, where):
        assert rows.stop <= len(pixels), "a batch is a part of them"
    return _three(pixels)


def _read_already(data: Dataset, inputs: ImageInputs, sheet: Sheet) -> Dataset:
    """A data set of image files, which cannot be read once more."""
    reading = inputs.reading
    if isinstance(reading, SheetReading) and reading.sheet == sheet.at(reading.sheet.size):
        return data
    _, height, width = reading.shape
    raise DataError(
        f"{data.name}: its pictures have been read already, as {height} x {width} pixels; give the model's study what "
        'they are read from, data = {"kind": "images", "path": ...}, so that they are read as the weights want them'
    )


def _shape(data: Dataset, inputs: ArrayInputs | TableInputs) -> tuple[int, int, int]:
    shape = data.input_shape
    if isinstance(inputs, ArrayInputs) and len(shape) == 3 and shape[0] in (1, CHANNELS):
        channels, height, width = shape
        return channels, height, width
    what = f"rows of {count(shape[0], 'number')}" if len(shape) == 1 else f"arrays of shape {shape}"
    raise DataError(f"{data.name}: its examples are {what}; the weights take grey or coloured pictures")


def _scaled(
    data: Dataset, splits: tuple[Examples, ...], inputs: ArrayInputs, reading: SheetReading, channels: int
) -> Generator[Decoding, None, tuple[Pixels, Verification | None]]:
    """The pixels of all splits, one after the other; those of many pictures are kept."""
    total = sum(map(len, splits))
    shape = (total, channels, *reading.shape[1:])
    key = {"data": data.fingerprint, **pillow_key(), **reading.key()}
    worth = float(np.prod(shape)) >= _WORTH_BYTES
    if worth:
        kept = find(KIND, key, check=False)
        if kept.arrays is not None and kept.arrays["pixels"].shape == shape:
            return _three(kept.arrays["pixels"]), verification([], np.zeros((0, 32), dtype=np.uint8), kept)
    require(
        float(np.prod(shape)), f"{data.name}: {count(total, 'picture')} of {shape[2]} x {shape[3]} pixels"
    )
    pixels = np.empty(shape, dtype=np.uint8)
    begin = 0
    for split in splits:
        for rows in split.chunks():
            some = _raw(split, rows, inputs, data.name)
            for done in _each(some, reading, pixels[begin : begin + len(some)], data.name):
                yield Decoding(done=begin + done.stop, all=total, about="scaling pictures")
            begin += len(some)
    if worth:
        kept = keep(KIND, key, {"pixels": pixels})
        pixels = (kept.arrays or {}).get("pixels", pixels)
    return _three(pixels), None


def _raw(split: Examples, rows: slice, inputs: ArrayInputs, where: str) -> Pixels:
    """Some examples as bytes: as they are kept, or out of what they were scaled to."""
    scaling = inputs.scaling
    if split.scaling is not None and scaling.values == "bytes":
        return split.raw(rows)
    x = np.asarray(split.some(rows), dtype=np.float64)
    if scaling.mean:
        mean, deviation = (
            np.array(each).reshape(scaling.shape) for each in (scaling.mean, scaling.deviation)
        )
        x = x * deviation + mean
    return _bytes(x / 255 if scaling.table else x, where)


def _bytes(x: npt.NDArray[Any], where: str) -> Pixels:
    """Pictures as bytes: numbers from 0 to 1 become 0 to 255."""
    if x.dtype == np.uint8:
        return x
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if not (low >= -_TIE and high <= 1.0 + _TIE):
        raise DataError(
            f"{where}: its pixels are from {low:.4g} to {high:.4g}; give bytes (uint8), or numbers from 0 to 1, so "
            "that it is known which are black and white"
        )
    return np.clip(np.floor(x * 255.0 + 0.5 + _TIE), 0, 255).astype(np.uint8)


def _each(x: Pixels, reading: SheetReading, into: Pixels, where: str) -> Iterator[slice]:
    """Scale pictures one by one, by as many threads as there are cores, a batch after the other.

    Raises:
        DataError: one cannot be scaled.
    """
    from PIL import Image

    def one(row: int) -> None:
        picture = x[row, 0] if x.shape[1] == 1 else np.ascontiguousarray(x[row].transpose(1, 2, 0))
        image = Image.fromarray(picture)
        into[row] = np.asarray(reading.resized(image))[None] if x.shape[1] == 1 else reading.bytes_of(image)

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for start in range(0, len(x), _BATCH):
            rows = slice(start, min(start + _BATCH, len(x)))
            try:
                for _ in pool.map(one, range(rows.start, rows.stop)):
                    pass
            except DataError as error:
                raise DataError(f"{where}: its pictures have {error}") from None
            yield rows
    finally:
        pool.shutdown(cancel_futures=True)


def _three(pixels: Pixels) -> Pixels:
    """Pictures with three channels; of grey ones all are the same memory."""
    return np.broadcast_to(pixels, (len(pixels), CHANNELS, *pixels.shape[2:]))


def _notes(channels: int, before: tuple[int, int], after: tuple[int, ...]) -> list[str]:
    (height, width), (high, wide) = before, after
    notes = []
    if (height, width) != (high, wide):
        way = "up" if height < high or width < wide else "down"
        notes.append(
            f"pictures of {height} x {width} pixels were scaled {way} to {high} x {wide}, as the weights want"
        )
    if channels == 1:
        notes.append("grey pictures have three channels that are the same, as the weights want")
    return notes
