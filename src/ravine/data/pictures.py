"""A folder of images, one folder per class."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from ravine.data.column import Column
from ravine.data.decoding import Decoding, Pictures, Table, known_table
from ravine.data.image_folders import find_pictures
from ravine.data.images import GREY_FLAG, check_pillow, each_of, read_header
from ravine.data.reading import ImageReading, Reading, SheetReading
from ravine.data.sheet import Sheet
from ravine.data.source import Source
from ravine.data.spec import ImagesSpec
from ravine.errors import DataError
from ravine.messages import count


def read_images(
    spec: ImagesSpec, folder: Path, *, blank: bool = False, sheet: Sheet | None = None
) -> Generator[Decoding, None, Source]:
    """Every image of a folder: what their headers say now, their pixels once it is known which are needed.

    Args:
        spec: how to read them.
        folder: class folders, or split folders with class folders.
        blank: give no pixels.
        sheet: how a network that has learned elsewhere wants them; it names a size.

    Yields:
        How far it is.

    Raises:
        DataError: no images, an empty class, an image that cannot be read or differs in size.
    """
    found, notes = find_pictures(folder, spec.layout)
    check_pillow(folder)
    files = [picture.file for picture in found]
    if sheet is not None:
        reading: Reading = SheetReading(sheet=sheet)
        table = known_table(folder, files, reading.key())
        if blank:  # otherwise decoding them says the same
            yield from _headers(files, table)
    else:
        box = (spec.size, spec.size) if isinstance(spec.size, int) else spec.size
        reading = ImageReading(shape=(3, *(box or (0, 0))), fit=box is not None)
        table = known_table(folder, files, reading.key())
        yield from _headers(files, table)
        reading = ImageReading(shape=_shape(files, table, box), fit=box is not None)
    labels = np.array([picture.label for picture in found], dtype=object)
    return Source(
        name=folder.name,
        where=str(folder),
        x=Pictures(folder=folder, files=tuple(files), reading=reading, table=table, blank=blank),
        y=Column(name="folder", values=labels),
        marks=np.array([picture.mark for picture in found], dtype=np.int8),
        place=lambda row: str(files[row]),
        task="classification",
        notes=tuple(notes),
    )


def _headers(files: list[Path], table: Table) -> Generator[Decoding, None, None]:
    """Note what the headers say that are not known yet."""
    unknown = np.flatnonzero(table.heights == 0)
    done = 0
    for batch in each_of(read_header, [files[row] for row in unknown]):
        for number, header in batch:
            table.note(int(unknown[number]), header.height, header.width, header.flags)
        done += len(batch)
        yield Decoding(done=done, all=len(unknown), about="looking at pictures")


def _shape(files: list[Path], table: Table, box: tuple[int, int] | None) -> tuple[int, int, int]:
    """(C, H, W): one channel if all images are grey; their size if that is not given."""
    height, width = box or (int(table.heights[0]), int(table.widths[0]))
    if box is None:
        others = np.flatnonzero((table.heights != height) | (table.widths != width))
        if len(others):
            row = int(others[0])
            more = f" ({count(len(others), 'image')} differ)" if len(others) > 1 else ""
            raise DataError(
                f"{files[row]}: {table.heights[row]} x {table.widths[row]} pixels, {files[0].name} has "
                f"{height} x {width}{more}; give size = to bring all to one"
            )
    grey = bool((table.flags & GREY_FLAG).all())
    return (1 if grey else 3, height, width)
