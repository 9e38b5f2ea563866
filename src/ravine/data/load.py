"""Loads the data set that a specification names."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from ravine.data.assemble import assembling, last
from ravine.data.by_sheet import by_sheet, check_unscaled, sized
from ravine.data.dataset import Dataset
from ravine.data.decoding import Decoding
from ravine.data.files import existing
from ravine.data.sheet import Sheet
from ravine.data.source import Source
from ravine.data.spec import CsvSpec, DataSpec, FashionMnistSpec, ImagesSpec, NpzSpec, ParquetSpec
from ravine.errors import DataError


def load(
    spec: DataSpec | Dataset,
    *,
    base: Path | str | None = None,
    blank: bool = False,
    reading: Sheet | None = None,
) -> Dataset:
    """Read, cut, encode and scale a data set.

    Args:
        spec: which one, and how; a data set is returned as it is, unless there is a sheet.
        base: folder that relative paths start from; None: the current one.
        blank: of a folder of images read the headers alone; all pixels are 0 and the fingerprint is none. What a
            model must fit is known then, in a fraction of the time.
        reading: how a network that has learned elsewhere wants its pictures.

    Returns:
        Its three splits.

    Raises:
        DataError: one line that names the file, and the row or column where there is one.

    Example:
        >>> from ravine.data import parse_data
        >>> data = load(parse_data("digits"))
        >>> data.input_shape, len(data.train), len(data.validation), len(data.test)
        ((1, 8, 8), 1079, 359, 359)
        >>> load(parse_data("digits"), reading=Sheet(size=(32, 32))).input_shape
        (3, 32, 32)
    """
    found = last(loading(spec, base=base, blank=blank, reading=reading))
    found.unchanged()
    return found


def loading(
    spec: DataSpec | Dataset,
    *,
    base: Path | str | None = None,
    blank: bool = False,
    reading: Sheet | None = None,
) -> Generator[Decoding, None, Dataset]:
    """The same as `load`; it says how far it is, and what it took from the cache is yet to be verified.

    Args:
        spec, base, blank, reading: as there.

    Yields:
        How far it is, where pictures are decoded.

    Returns:
        The data set. Whoever writes results of it calls `Dataset.unchanged` before.

    Raises:
        DataError: as there.
    """
    try:
        if isinstance(spec, Dataset):
            return (yield from by_sheet(spec, reading)) if reading is not None else spec
        if reading is not None:
            check_unscaled(spec.normalize)
        source = yield from sources(spec, base, blank=blank, reading=reading)
        found = yield from assembling(source, spec)
        if reading is None or isinstance(spec, ImagesSpec):  # files have been read by it
            return found
        return (yield from by_sheet(found, reading))
    except MemoryError:
        name = getattr(spec, "path", None) or getattr(spec, "kind", "data")
        raise DataError(f"{name}: the data do not fit into memory") from None


def sources(
    spec: DataSpec, base: Path | str | None, *, blank: bool = False, reading: Sheet | None = None
) -> Generator[Decoding, None, Source]:
    """The raw examples of a data set; of image files what their headers say.

    Args:
        spec, base, blank, reading: as in `load`; a sheet counts for image files alone.

    Yields:
        How far it is.

    Raises:
        DataError: as there.
    """
    where = Path(base) if base is not None else Path()
    if not isinstance(spec, ImagesSpec):
        return _read(spec, where)
    # Readers are imported when they are needed: a study of digits should not wait for the others.
    from ravine.data.pictures import read_images

    folder = existing(spec.path, where, "path", folder=True)
    sheet, notes = (None, []) if reading is None else sized(reading, spec.size)
    source = yield from read_images(spec, folder, blank=blank, sheet=sheet)
    return replace(source, notes=(*source.notes, *notes))


def _read(spec: DataSpec, base: Path) -> Source:
    if isinstance(spec, FashionMnistSpec):
        from ravine.data.fashion import read_fashion_mnist

        return read_fashion_mnist(
            None if spec.path is None else existing(spec.path, base, "path", folder=True)
        )
    if isinstance(spec, NpzSpec):
        from ravine.data.npz import read_npz

        return read_npz(spec, existing(spec.path, base, "path"))
    if isinstance(spec, CsvSpec | ParquetSpec):
        from ravine.data.tabular import read_tabular

        test = None if spec.test_path is None else existing(spec.test_path, base, "test_path")
        return read_tabular(spec, existing(spec.path, base, "path"), test)
    from ravine.data.builtin import read_builtin

    assert not isinstance(spec, ImagesSpec), "read by itself, since it takes long"
    return read_builtin(spec)
