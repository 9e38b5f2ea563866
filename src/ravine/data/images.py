"""Image files: their sizes and colours out of their headers, and their pixels when they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ravine.data.room import require
from ravine.errors import DataError
from ravine.messages import count

if TYPE_CHECKING:
    from PIL import Image

GREY = frozenset({"1", "L"})
_ORIENTATION = 0x0112  # EXIF's key; from 5 on, width and height are exchanged
_TURNED = 5
_MOST_THREADS = 8
_BYTES_A_PIXEL = 5.0  # as a byte, and as float32


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReading:
    """How a file becomes bytes (C, H, W).

    Args:
        shape: (C, H, W): one channel is grey, three are colours.
        fit: scale to cover (H, W) and crop around the centre; else every image must have that size.
    """

    shape: tuple[int, int, int]
    fit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Image files whose headers were read.

    Args:
        files: their paths.
        reading: how they become bytes.
        blank: give no pixels, only their number and shape: what a check of the study needs.
    """

    files: tuple[Path, ...]
    reading: ImageReading
    blank: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Some images as uint8 (N, C, H, W).

        Raises:
            DataError: one cannot be read.
        """
        if self.blank:
            return np.broadcast_to(np.uint8(0), (len(rows), *self.reading.shape))
        return read_pictures([self.files[row] for row in rows], self.reading)


def look(files: Sequence[Path], size: int | tuple[int, int] | None, folder: Path, *, blank: bool) -> Pictures:
    """Read the headers of image files: one channel if all are grey, else three.

    Args:
        files: their paths.
        size: side, or (height, width): images are scaled to cover it and cropped around their centre.
        folder: where they are, for errors.
        blank: give no pixels.

    Raises:
        DataError: a file that is no image, has more than 8 bits a channel, or differs in size.
    """
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f'{folder}: images need Pillow: pip install "ravine[images]"') from None
    box = (size, size) if isinstance(size, int) else size
    first: tuple[int, int] | None = None
    grey = True
    for file in files:
        with _readable(file), Image.open(file) as image:
            _check_depth(image, file)
            grey = grey and image.mode in GREY and "transparency" not in image.info
            if box is None:
                height, width = _upright_size(image)
                first = first or (height, width)
                if (height, width) != first:
                    raise DataError(
                        f"{file}: {height} x {width} pixels, {files[0].name} has "
                        f"{first[0]} x {first[1]}; give size = to bring all to one"
                    )
    height, width = box or first or (0, 0)
    shape = (1 if grey else 3, height, width)
    return Pictures(files=tuple(files), reading=ImageReading(shape=shape, fit=box is not None), blank=blank)


def read_pictures(files: Sequence[Path | str], reading: ImageReading) -> npt.NDArray[np.uint8]:
    """The pixels of image files, uint8 (N, C, H, W), read by as many threads as there are cores.

    Raises:
        DataError: one cannot be read, or has another size.
    """
    from PIL import Image  # noqa: F401 (once, and not by every thread)

    paths = [Path(file) for file in files]
    channels, height, width = reading.shape
    what = f"{count(len(paths), 'image')} of {height} x {width} pixels"
    require(
        _BYTES_A_PIXEL * len(paths) * channels * height * width, f"{paths[0].parent if paths else ''}: {what}"
    )
    pixels = np.empty((len(paths), *reading.shape), dtype=np.uint8)

    def read(row: int) -> None:
        pixels[row] = _pixels(paths[row], reading)

    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS))
    try:
        for _ in pool.map(read, range(len(paths))):
            pass
    finally:
        pool.shutdown(cancel_futures=True)  # after a broken file the rest need not be read
    return pixels


def _pixels(file: Path, reading: ImageReading) -> npt.NDArray[np.uint8]:
    """One image, turned upright."""
    from PIL import Image, ImageOps

    channels, height, width = reading.shape
    with _readable(file), Image.open(file) as image:
        _check_depth(image, file)
        shown = image.convert("RGBA") if "transparency" in image.info else image
        upright = ImageOps.exif_transpose(shown).convert("L" if shown.mode in GREY else "RGB")
        if reading.fit:
            upright = ImageOps.fit(upright, (width, height), method=Image.Resampling.BICUBIC)
    array = np.asarray(upright, dtype=np.uint8)
    if array.shape[:2] != (height, width):
        raise DataError(f"{file}: {array.shape[0]} x {array.shape[1]} pixels, {height} x {width} are needed")
    if channels == 1 and array.ndim == 3:
        raise DataError(f"{file}: has colours; the images of the data set are grey")
    return array[None] if channels == 1 else _coloured(array)


def _coloured(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    colours = array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
    return np.asarray(colours.transpose(2, 0, 1))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image as it is shown."""
    width, height = image.size
    # Pillow would decode a PNG to look for EXIF behind its pixels: what its header says is enough here.
    known = image.format != "PNG" or "exif" in image.info
    turned = known and image.getexif().get(_ORIENTATION, 1) >= _TURNED
    return (width, height) if turned else (height, width)


def _check_depth(image: Image.Image, file: Path) -> None:
    if image.mode[0] in "IF":
        raise DataError(
            f"{file}: {image.mode} pixels (more than 8 bits) cannot be used; save it with 8 bits a channel"
        )


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Within it, what Pillow raises of a broken file is the user's error."""
    from PIL import Image

    try:
        yield
    except DataError:  # ours, of an image that can be read
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file}: cannot be read as an image: {reason}") from None
