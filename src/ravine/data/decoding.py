"""Image files decoded once: their pixels are kept in the user's cache, by path, size and time, and checked by content.

What is kept of a folder is one file: a table of its images (name, size, time, what the header says, SHA-256 of the
content) and the pixels of those that were needed. Images that are new or were changed are decoded; the others are not
even opened before training starts. `Verification` then reads them beside it.

Shapes: N file, M decoded image, C channel, H W space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.cached import Kept, find, keep
from ravine.data.images import Decoded, decode, each_of, room_for
from ravine.data.reading import Pixels, Reading
from ravine.errors import DataError
from ravine.messages import count
from ravine.verification import Verification

KIND = "pictures"  # of the cache
_FORMAT = 1  # of what is kept
_DIGEST = 32  # bytes
_WORTH_FILES, _WORTH_BYTES = 200, 1 << 25  # fewer or smaller files are decoded again: that takes a moment
_TABLE = ("sizes", "times", "heights", "widths", "flags", "rows", "digests")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How far reading is.

    Args:
        done, all: files.
        about: what is done with them.
    """

    done: int
    all: int
    about: str = "decoding pictures"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """What is known of image files, (N,) each.

    Args:
        sizes, times: of the files, as the folder has them now; times in nanoseconds.
        heights, widths, flags: of their headers; a height of 0: not known.
        rows: where their pixels are; -1: not decoded.
        digests: (N, 32) SHA-256 of their content.
        pixels: (M, C, H, W), or None.
        kept: the file of the cache that this was read from.
    """

    sizes: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    heights: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]
    rows: Rows
    digests: npt.NDArray[np.uint8]
    pixels: Pixels | None = None
    kept: Kept | None = None

    @staticmethod
    def of(files: Sequence[Path]) -> Table:
        """Of files nothing else is known of.

        Raises:
            DataError: one is gone.
        """
        sizes, times = np.zeros(len(files), dtype=np.int64), np.zeros(len(files), dtype=np.int64)
        for number, file in enumerate(files):
            try:
                found = file.stat()
            except OSError as error:
                raise DataError(f"{file}: cannot be read: {error.strerror}") from None
            sizes[number], times[number] = found.st_size, found.st_mtime_ns
        return Table(
            sizes=sizes,
            times=times,
            heights=np.zeros_like(sizes),
            widths=np.zeros_like(sizes),
            flags=np.zeros(len(files), dtype=np.uint8),
            rows=np.full_like(sizes, -1),
            digests=np.zeros((len(files), _DIGEST), dtype=np.uint8),
        )

    def note(self, row: int, height: int, width: int, flags: int) -> None:
        """Note what a header says."""
        self.heights[row], self.widths[row], self.flags[row] = height, width, flags


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """The image files of a folder.

    Args:
        folder: where they are.
        files: their paths.
        reading: how they become bytes.
        table: what is known of them.
        blank: give no pixels, only their number and shape: what a check of the study needs.
    """

    folder: Path
    files: tuple[Path, ...]
    reading: Reading
    table: Table
    blank: bool = False

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stored:
    """Pixels of files.

    Args:
        pixels: (M, C, H, W), in memory or mapped from the cache.
        table: where which file's are, and what else is known now.
        verification: what is to be checked of them; None: they were all decoded now.
        kept: whether the cache has them.
    """

    pixels: Pixels
    table: Table
    verification: Verification | None = None
    kept: bool = False


def verification(files: Sequence[Path], digests: npt.NDArray[np.uint8], kept: Kept) -> Verification:
    """Whether files have the content that was decoded once, and what was kept of them is whole.

    Where that is not so, what was kept is removed, and the next call reads the files anew.

    Args:
        files: some files.
        digests: (N, 32) SHA-256 of what they had in them.
        kept: the file of the cache.
    """

    def look() -> DataError | None:
        changed = [file for file, known in zip(files, digests, strict=True) if _differs(file, known)]
        if not changed and not kept.damaged():
            return None
        if kept.path is not None:
            kept.path.unlink(missing_ok=True)
        again = "what was kept of them has been removed: the same call decodes them anew"
        if not changed:
            return DataError(f"{kept.path}: pictures in the cache are damaged; {again}")
        more = f", and {count(len(changed) - 1, 'more file')}" if len(changed) > 1 else ""
        return DataError(
            f"{changed[0]}{more}: the content has changed, although size and time of the file have not; {again}"
        )

    return Verification(look)


def known_table(folder: Path, files: Sequence[Path], reading_key: dict[str, Any]) -> Table:
    """What is known of files: nothing yet, or what the cache has of those that have not changed since.

    Raises:
        DataError: a file is gone.
    """
    table = Table.of(files)
    if not _worth_it(table):
        return table
    kept = find(KIND, _key(folder, reading_key), check=False)
    if kept.arrays is None:
        return table
    known = {name: kept.arrays[name] for name in _TABLE}
    at = {name: row for row, name in enumerate(_names(kept.arrays["names"]))}
    of = np.array([at.get(name, -1) for name in _relative(folder, files)], dtype=np.int64)
    here = np.flatnonzero(of >= 0)
    there = of[here]
    same = (known["sizes"][there] == table.sizes[here]) & (known["times"][there] == table.times[here])
    here, there = here[same], there[same]
    for name in _TABLE[2:]:
        getattr(table, name)[here] = known[name][there]
    return replace(table, pixels=kept.arrays["pixels"], kept=kept)


def decoding(pictures: Pictures, needed: Rows) -> Generator[Decoding, None, Stored]:
    """The pixels of some files.

    Args:
        pictures: all files.
        needed: which of them.

    Yields:
        How far it is, where some are decoded.

    Raises:
        DataError: it names the files that cannot be used.
    """
    table, reading, files = pictures.table, pictures.reading, pictures.files
    before = table.pixels
    if before is None or before.shape[1:] != reading.shape:  # now in colours, perhaps
        table, before = replace(table, rows=np.full_like(table.rows, -1), kept=None), None
    missing = needed[table.rows[needed] < 0]
    if before is not None and not len(missing):
        checked = _verification(pictures, table, needed)
        return Stored(pixels=before, table=table, verification=checked, kept=True)
    old = np.flatnonzero(table.rows >= 0)
    pixels = room_for(len(old) + len(missing), reading, str(pictures.folder))
    if before is not None:
        pixels[: len(old)] = before[table.rows[old]]
    checked = _verification(pictures, table, np.intersect1d(old, needed))
    table = replace(table, rows=table.rows.copy())
    table.rows[old] = np.arange(len(old))
    todo = [files[row] for row in missing]
    done = 0
    yield Decoding(done=0, all=len(todo))
    for batch in each_of(lambda file: decode(file, reading), todo):
        for number, found in batch:
            _enter(table, int(missing[number]), len(old) + number, pixels, found)
        done += len(batch)
        yield Decoding(done=done, all=len(todo))
    worth = _worth_it(table)
    if worth:
        arrays = {name: getattr(table, name) for name in _TABLE}
        names = np.frombuffer(_joined(_relative(pictures.folder, files)), dtype=np.uint8)
        kept = keep(KIND, _key(pictures.folder, reading.key()), {**arrays, "names": names, "pixels": pixels})
        if kept.arrays is not None:  # mapped from the file, where it could be written
            pixels = kept.arrays["pixels"]
    return Stored(pixels=pixels, table=table, verification=checked, kept=worth)


def _enter(table: Table, row: int, place: int, pixels: Pixels, found: Decoded) -> None:
    pixels[place] = found.pixels
    table.rows[row] = place
    table.digests[row] = np.frombuffer(found.digest, dtype=np.uint8)
    table.note(row, found.header.height, found.header.width, found.header.flags)


def _verification(pictures: Pictures, table: Table, rows: Rows) -> Verification | None:
    if table.kept is None or not len(rows):
        return None
    return verification([pictures.files[row] for row in rows], table.digests[rows], table.kept)


def _differs(file: Path, known: npt.NDArray[np.uint8]) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).digest() != known.tobytes()
    except OSError:  # gone, which is a change
        return True


def _worth_it(table: Table) -> bool:
    return len(table.sizes) >= _WORTH_FILES or int(table.sizes.sum()) >= _WORTH_BYTES


def _key(folder: Path, reading_key: dict[str, Any]) -> dict[str, Any]:
    name = str(folder.resolve()).encode(errors="surrogateescape").hex()
    return {"folder": name, **pillow_key(), **reading_key}


def pillow_key() -> dict[str, Any]:
    """What else the pixels of an image depend on: another Pillow may decode and scale otherwise."""
    import PIL

    return {"pillow": PIL.__version__, "format": _FORMAT}


def _relative(folder: Path, files: Sequence[Path]) -> list[str]:
    """Names below the folder: every file's path begins with the folder's."""
    begin = len(str(folder)) + 1
    return [str(file)[begin:] for file in files]


def _joined(names: Sequence[str]) -> bytes:
    return "\0".join(names).encode(errors="surrogateescape")


def _names(joined: npt.NDArray[np.uint8]) -> list[str]:
    return joined.tobytes().decode(errors="surrogateescape").split("\0")
