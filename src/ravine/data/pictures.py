"""A folder of images, one folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ravine.data.assemble import Source
from ravine.data.column import Column
from ravine.data.image_folders import find_pictures
from ravine.data.images import look
from ravine.data.spec import ImagesSpec


def read_images(spec: ImagesSpec, folder: Path, *, blank: bool = False) -> Source:
    """Every image of a folder: their headers now, their pixels when they are asked for.

    Args:
        spec: how to read them.
        folder: class folders, or split folders with class folders.
        blank: give no pixels.

    Raises:
        DataError: no images, an empty class, an image that cannot be read or differs in size.
    """
    pictures, notes = find_pictures(folder, spec.layout)
    files = [picture.file for picture in pictures]
    labels = np.array([picture.label for picture in pictures], dtype=object)
    return Source(
        name=folder.name,
        where=str(folder),
        x=look(files, spec.size, folder, blank=blank),
        y=Column(name="folder", values=labels),
        marks=np.array([picture.mark for picture in pictures], dtype=np.int8),
        place=lambda row: str(files[row]),
        task="classification",
        notes=tuple(notes),
    )
