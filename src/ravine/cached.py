"""Arrays that took long to make, kept in the user's cache folder under a key that says all that they depend on.

A file is named by the hash of its key and says the key once more. Whoever reads it gets what was written, or nothing
and a note: every byte is checked. A cache may be lost at any time, so nothing here stops a program.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MOST_BYTES = 8 << 30
"""Of all files of one kind: those that were not read for the longest time make room for new ones."""
_MAGIC = b"ravine cached 1\n"
_LONGEST_HEADER = 1 << 22
_CHUNK = 1 << 24  # bytes that have a checksum of their own, so that all cores check a file
_ALIGNED = 64
_KINDS = "biuf"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What a look into the cache has found.

    Args:
        arrays: read-only, mapped from the file; None: nothing was found.
        note: for people, where something was found that is of no use, or nothing could be written.
        path: the file; None where there is no cache folder.
        size: its bytes.
        digests: checksums of each array, as it was written.
    """

    arrays: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    note: str = ""
    path: Path | None = None
    size: int = 0
    digests: Mapping[str, list[str]] = field(default_factory=dict, repr=False)

    def damaged(self) -> bool:
        """Whether some byte differs from what was written: for whoever found it unchecked."""
        arrays = self.arrays or {}
        return any(_digests(arrays[name]) != digests for name, digests in self.digests.items())


class _Damaged(Exception):
    """A file is not as it was written."""


def cache_folder() -> Path | None:
    """The user's folder for what ravine keeps: below XDG_CACHE_HOME, or ~/.cache; None: the user has no home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given / "ravine"
    try:
        return Path.home() / ".cache" / "ravine"
    except RuntimeError:
        return None


def key_hash(key: Mapping[str, Any]) -> str:
    """What a key's file is named by: 32 hex digits of the SHA-256 of its canonical JSON.

    Example:
        >>> key_hash({"size": 96, "weights": "ab"}) == key_hash({"weights": "ab", "size": 96})
        True
    """
    return hashlib.sha256(_canonical(key)).hexdigest()[:32]


def find(kind: str, key: Mapping[str, Any], *, check: bool = True) -> Kept:
    """Look for what is kept under a key.

    Args:
        kind: what it is, a plain word: a folder of the cache.
        key: plain data: all that the arrays depend on.
        check: read every byte and see that it is what was written; False: whoever uses it asks `Kept.damaged` later,
            beside other work.
    """
    path = _path(kind, key)
    if path is None:
        return Kept()
    try:
        found = _opened(path, key)
        if check and found.damaged():
            raise _Damaged
    except FileNotFoundError:
        return Kept(path=path)
    except (OSError, _Damaged, ValueError, KeyError, TypeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "it is damaged"
        return Kept(path=path, note=f"{path}: {why}, so its {kind} are made again")
    with suppress(OSError):
        os.utime(path)  # read now
    return found


def keep(kind: str, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray], most: int = MOST_BYTES) -> Kept:
    """Keep arrays under a key, where there is room; what was there is replaced at once or not at all.

    Args:
        kind: as for `find`.
        key: as for `find`.
        arrays: of numbers or truth values, by name.
        most: bytes that all files of this kind may take.

    Returns:
        The arrays, mapped from the file if it was written; otherwise as they are, with a note.
    """
    path = _path(kind, key)
    if path is None:
        return Kept(arrays=arrays, note=f"there is no home folder, so these {kind} are not kept")
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, key, arrays)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        kept = _opened(path, key)
        _prune(path, most)
        return kept
    except (OSError, _Damaged) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "it changed at once"
        return Kept(arrays=arrays, path=path, note=f"{path}: {why}, so these {kind} are not kept")


def _path(kind: str, key: Mapping[str, Any]) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / kind / f"{key_hash(key)}.arrays"


def _canonical(key: Mapping[str, Any]) -> bytes:
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _write(path: Path, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Magic, length of the header, its checksum, the header as JSON, and each array from a multiple of 64 bytes on."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    table, start = {}, 0
    for name, array in plain.items():
        assert array.dtype.kind in _KINDS, f"{name}: {array.dtype} is not kept"
        table[name] = {
            "dtype": array.dtype.newbyteorder("<").str,
            "shape": list(array.shape),
            "start": start,
            "digests": _digests(array),
        }
        start += -(-array.nbytes // _ALIGNED) * _ALIGNED
    header = _canonical({"key": json.loads(_canonical(key)), "arrays": table})
    header += b" " * (-(len(_MAGIC) + 40 + len(header)) % _ALIGNED)
    with path.open("xb") as file:
        file.write(_MAGIC + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header)
        for array in plain.values():
            file.write(_bytes(array))
            file.write(b"\0" * (-array.nbytes % _ALIGNED))
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path, key: Mapping[str, Any]) -> Kept:
    """A file that was written under a key; its header has been checked."""
    arrays, header = _mapped(path)
    if _canonical(header["key"]) != _canonical(key):
        raise _Damaged
    digests = {name: each["digests"] for name, each in header["arrays"].items()}
    return Kept(arrays=arrays, path=path, size=path.stat().st_size, digests=digests)


def _mapped(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file as they are, and its header, which has been checked."""
    fixed = len(_MAGIC) + 40
    with path.open("rb") as file:
        first = file.read(fixed)
        length = int.from_bytes(first[len(_MAGIC) : len(_MAGIC) + 8], "little")
        if len(first) < fixed or not first.startswith(_MAGIC) or length > _LONGEST_HEADER:
            raise _Damaged
        text = file.read(length)
        if hashlib.sha256(text).digest() != first[-32:]:
            raise _Damaged
        size = os.fstat(file.fileno()).st_size
    header: dict[str, Any] = json.loads(text)
    arrays = {}
    for name, entry in header["arrays"].items():
        dtype, shape, start = np.dtype(entry["dtype"]), tuple(entry["shape"]), fixed + length + entry["start"]
        if dtype.kind not in _KINDS or start + dtype.itemsize * math.prod(shape) > size:
            raise _Damaged
        if 0 in shape:
            arrays[name] = np.zeros(shape, dtype)
        else:
            arrays[name] = np.memmap(path, dtype, "r", start, shape).view(np.ndarray)
    return arrays, header


def _bytes(array: np.ndarray) -> memoryview:
    """An array's bytes, little-endian."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data


def _digests(array: np.ndarray) -> list[str]:
    """Checksums of an array's bytes, chunk by chunk, found by all cores."""
    content = _bytes(array)
    parts = [content[at : at + _CHUNK] for at in range(0, len(content), _CHUNK)]
    if len(parts) < 2:
        return [hashlib.sha256(part).hexdigest() for part in parts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda part: hashlib.sha256(part).hexdigest(), parts))


def _prune(written: Path, most: int) -> None:
    """Remove what was not read for the longest time, until files of this kind fit; never what was just written."""
    found = []
    for path in written.parent.glob("*.arrays"):
        with suppress(OSError):
            found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        if path != written:
            with suppress(OSError):  # somebody else removed it, or reads it on Windows
                path.unlink()
                total -= size
