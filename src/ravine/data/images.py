"""Image files: what their headers say, and their pixels."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from ravine.data.reading import GREY, Pixels, Reading
from ravine.data.room import require
from ravine.errors import DataError
from ravine.messages import count

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

_ORIENTATION = 0x0112  # EXIF's key; from 5 on, width and height are exchanged
_TURNED = 5
_MOST_THREADS = 8
_BATCH = 16  # files for each thread between two looks at how far it is
_NAMED = 3  # files that a line names where several cannot be used
_LISTED = 20  # that are named by whoever names each

# What a note says about files that can be used, but perhaps not as their owner thinks.
GREY_FLAG, FRAMES, CMYK, DEEP = 1, 2, 4, 8
REMARKS = {
    FRAMES: (
        "has several pictures in it: the first was taken",
        "have several pictures in them: the first was taken",
    ),
    CMYK: ("is in CMYK: its colours are approximate", "are in CMYK: their colours are approximate"),
    DEEP: ("has 16 bits a channel: the upper 8 were taken", "have 16 bits a channel: the upper 8 were taken"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an image file's header says.

    Args:
        height, width: as it is shown.
        flags: whether it is grey, and what a remark says of it.
    """

    height: int
    width: int
    flags: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """An image file that was read.

    Args:
        pixels: uint8 (C, H, W).
        header: what its header says.
        digest: SHA-256 of the file.
    """

    pixels: Pixels
    header: Header
    digest: bytes


def check_pillow(where: object) -> None:
    """See that Pillow is installed.

    Raises:
        DataError: it is not.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise DataError(f'{where}: images need Pillow: pip install "ravine[images]"') from None


def read_header(file: Path) -> Header:
    """What a file's header says.

    Raises:
        DataError: it is no image, or has pixels that cannot be used.
    """
    from PIL import Image

    with _readable(file), Image.open(file) as image:
        flags = _flags(image, file)
        return _header(image, flags | _frames(image))


def decode(file: Path, reading: Reading) -> Decoded:
    """An image file, turned upright, as bytes.

    Raises:
        DataError: it cannot be read, or not in this way.
    """
    from PIL import Image, ImageOps

    with _readable(file):
        content = file.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            flags = _flags(image, file)
            shown = image.convert("RGBA") if "transparency" in image.info else image
            upright = ImageOps.exif_transpose(shown).convert("L" if shown.mode in GREY else "RGB")
            header = _header(image, flags | _frames(image))
        try:
            pixels = reading.bytes_of(upright)
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
    return Decoded(pixels=pixels, header=header, digest=hashlib.sha256(content).digest())


def read_pictures(files: Sequence[Path | str], reading: Reading) -> npt.NDArray[np.uint8]:
    """The pixels of image files, uint8 (N, C, H, W), read by as many threads as there are cores.

    Raises:
        DataError: some cannot be read.
    """
    paths = [Path(file) for file in files]
    pixels = room_for(len(paths), reading, str(paths[0].parent) if paths else "")
    for batch in each_of(lambda file: decode(file, reading), paths):
        for row, found in batch:
            pixels[row] = found.pixels
    return pixels


def room_for(number: int, reading: Reading, where: str) -> npt.NDArray[np.uint8]:
    """An array for the pixels of so many images.

    Raises:
        DataError: there is not enough memory.
    """
    _, height, width = reading.shape
    shape = (number, *reading.shape)
    require(float(np.prod(shape)), f"{where}: {count(number, 'image')} of {height} x {width} pixels")
    return np.empty(shape, dtype=np.uint8)


def each_of(work: Callable[[Path], T], files: Sequence[Path]) -> Iterator[list[tuple[int, T]]]:
    """Do something with every file, by as many threads as there are cores, a batch after the other.

    Yields:
        Of each batch the files that could be used: their numbers and results.

    Raises:
        DataError: at the end; it names the files that cannot be used.
    """
    from PIL import Image

    faults: list[DataError] = []

    def tried(file: Path) -> T | DataError:
        try:
            return work(file)
        except DataError as error:
            return error

    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    pool = ThreadPoolExecutor(threads)
    try:
        for start in range(0, len(files), _BATCH * threads):
            with warnings.catch_warnings():  # of a large image, which is read all the same
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                found = list(pool.map(tried, files[start : start + _BATCH * threads]))
            faults += [each for each in found if isinstance(each, DataError)]
            yield [(start + at, each) for at, each in enumerate(found) if not isinstance(each, DataError)]
    finally:
        pool.shutdown(cancel_futures=True)
    if faults:
        raise unusable(faults)


def unusable(faults: Sequence[DataError]) -> DataError:
    """What is wrong with files, in one line: the first few, and how many there are."""
    if len(faults) == 1:
        return faults[0]
    named = "; ".join(str(each) for each in faults[:_NAMED])
    more = len(faults) - _NAMED
    each = list(faults[:_LISTED])
    if len(faults) > _LISTED:
        rest = len(faults) - _LISTED
        each.append(DataError(f"and {count(rest, 'more image')} that cannot be used"))
    rest_of_line = f"; and {more:,} more" if more > 0 else ""
    return DataError(f"{count(len(faults), 'image')} cannot be used: {named}{rest_of_line}", each=each)


def remarks(files: Sequence[Path], flags: npt.NDArray[np.uint8]) -> list[str]:
    """Notes about images that are read, but perhaps not as their owner thinks; the first of each kind is named."""
    notes = []
    for flag, (one, many) in REMARKS.items():
        rows = np.flatnonzero(flags & flag)
        if len(rows) == 1:
            notes.append(f"{files[int(rows[0])]} {one}")
        elif len(rows):
            notes.append(f"{len(rows):,} images {many} ({files[int(rows[0])]} is the first)")
    return notes


def _flags(image: Image.Image, file: Path) -> int:
    """What is to be known of an image that was opened, and not yet decoded.

    Raises:
        DataError: its pixels cannot be used.
    """
    if image.mode[0] in "IF":
        raise DataError(
            f"{file}: {image.mode} pixels (more than 8 bits) cannot be used; save it with 8 bits a channel"
        )
    flags = GREY_FLAG * (image.mode in GREY and "transparency" not in image.info)
    flags |= CMYK * (image.mode == "CMYK")
    return flags | DEEP * any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _frames(image: Image.Image) -> int:
    """Whether a file has several pictures. It may seek, so what is needed of the first has been read before."""
    # A phone's photo in the MPO format has others for its screen beside it, which nobody misses.
    return FRAMES * (image.format != "MPO" and bool(getattr(image, "is_animated", False)))


def _header(image: Image.Image, flags: int) -> Header:
    height, width = _upright_size(image)
    return Header(height=height, width=width, flags=flags)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image as it is shown."""
    width, height = image.size
    # Pillow would decode a PNG to look for EXIF behind its pixels: what its header says is enough here.
    known = image.format != "PNG" or "exif" in image.info
    turned = known and image.getexif().get(_ORIENTATION, 1) >= _TURNED
    return (width, height) if turned else (height, width)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Within it, what Pillow raises of a broken file is the user's error."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except DataError:  # ours, of an image that can be read
        raise
    except UnidentifiedImageError:
        reason = "its content is that of no image" if file.stat().st_size else "it is empty"
        raise DataError(f"{file}: cannot be read as an image: {reason}") from None
    except Image.DecompressionBombError:
        most = f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,}"
        raise DataError(
            f"{file}: has more than {most} pixels, the most that Pillow reads; scale it down"
        ) from None
    except MemoryError:
        raise DataError(f"{file}: does not fit into memory") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        struct.error,
    ) as error:
        said = getattr(error, "strerror", None) or str(error)
        reason = said.splitlines()[0] if said else type(error).__name__
        raise DataError(f"{file}: cannot be read as an image: {reason}") from None
