"""Weights in a safetensors file: what its header says, and a hash of its tensors, without PyTorch.

A file begins with the length of a header in 8 bytes; the header is JSON with the type, the shape and the place of each
tensor. Nothing in it is executed, and nothing is read before it was found to lie within the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ravine.backbones.remembered import forget, recall, remember
from ravine.errors import ModelError, nearest, short
from ravine.messages import shown
from ravine.verification import Verification

_LONGEST_HEADER = 100_000_000  # as the format has it
_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
_CHUNK = 1 << 22
_MOST_SIDES = 32
_SETTLED_NS = 1_000_000_000
PREFIXES = ("module.", "_orig_mod.")
"""What wrappers put before the names of tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor in a file.

    Args:
        kind: its type, as the format calls it.
        shape: its sides.
        begin, end: where its bytes are in the file.
    """

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


def existing(name: str, base: Path, where: str, *, folder: bool = False) -> Path:
    """The file or folder that a study names.

    Args:
        name: as the user wrote it.
        base: folder that a relative path starts from.
        where: the key with its value, for errors.
        folder: whether a folder is wanted.

    Raises:
        ModelError: nothing of that kind is there.
    """
    try:
        full = base / Path(name).expanduser()
        mode = full.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        full = base / Path(name).expanduser()
        if full.is_symlink():
            raise ModelError(f"{where}: {short(str(full), 160)} is a link to what is not there") from None
        try:
            near = nearest(full.name, [entry.name for entry in full.parent.iterdir()])
        except OSError:
            near = None
        hint = f"; did you mean '{near}'?" if near else ""
        raise ModelError(
            f"{where}: there is no such {'folder' if folder else 'file'}: {short(str(full), 160)}{hint}"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, with a NUL, of no user's home
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{where}: cannot be used as a path: {reason}") from None
    if folder:
        if not stat.S_ISDIR(mode):
            raise ModelError(f"{where}: is a file; a folder is needed")
    elif not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise ModelError(f"{where}: is {kind}; a file is needed")
    return full


def read_header(file: Path) -> Mapping[str, Stored]:
    """The tensors of a safetensors file by name; of a file that is the same as before, what was read then.

    Raises:
        ModelError: it is no such file.
    """
    return _header(*state_of(file))


def digest_of(file: Path) -> str:
    """SHA-256 over the names, types, shapes and bytes of a file's tensors, whatever their order and its metadata.

    It is remembered by path, size and time of the last change, of large files across processes: see `verification`.

    Raises:
        ModelError: it is no safetensors file, or cannot be read.
    """
    return _digest(*state_of(file))[0]


def verification(files: Iterable[Path]) -> Verification:
    """What sees that those files whose hash another process has found still have the content that they had then."""
    known = [(file, digest_of(file)) for file in files if _digest(*state_of(file))[1]]

    def look() -> ModelError | None:
        for file, digest in known:
            if _hashed(*state_of(file)) != digest:
                forget(file)
                _digest.cache_clear()
                return ModelError(
                    f"{file}: the content has changed, although size and time of the file have not; what was "
                    "remembered of it has been removed: the same call reads it anew"
                )
        return None

    return Verification(look)


def stripped(name: str) -> str:
    """The name of a tensor without what wrappers put before it.

    Example:
        >>> stripped("_orig_mod.module.conv.weight")
        'conv.weight'
    """
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def state_of(file: Path) -> tuple[Path, int, int, int]:
    """What a file is remembered by: path, size, time of the last change, and nothing that comes twice if that is now.

    A clock ticks every few milliseconds: a file that was just written may be written again at the same time.

    Raises:
        ModelError: it cannot be looked at.
    """
    try:
        found = file.stat()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from None
    settled = abs(time.time_ns() - found.st_mtime_ns) > _SETTLED_NS
    return file, found.st_size, found.st_mtime_ns, 0 if settled else time.perf_counter_ns()


@lru_cache(maxsize=64)
def _header(file: Path, size: int, _mtime_ns: int, _now: int) -> Mapping[str, Stored]:
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise _broken(file, "is no safetensors file: its header would be longer than the file")
            text = stream.read(length)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise _broken(file, "is no safetensors file: its header is no JSON") from None
    if not isinstance(content, dict):
        raise _broken(file, "is no safetensors file: its header is no table")
    content.pop("__metadata__", None)
    found = {name: _stored(file, name, entry, 8 + length, size) for name, entry in content.items()}
    at = 8 + length
    for name, each in sorted(found.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if each.begin != at:
            raise _broken(file, f"tensor {shown(name)} overlaps another, or leaves a gap before it")
        at = each.end
    if at != size:
        raise _broken(file, "its last bytes belong to no tensor: it was cut off, or something was added")
    return MappingProxyType(found)


def _stored(file: Path, name: str, entry: Any, begin: int, size: int) -> Stored:
    try:
        kind, shape, (low, high) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = (*shape, low, high)
        sound = all(type(each) is int and 0 <= each < 2**62 for each in whole) and len(shape) <= _MOST_SIDES
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound or not isinstance(kind, str):
        raise _broken(file, f"tensor {shown(name)} lacks its type, its shape or its place")
    if kind not in _BYTES:
        raise _broken(
            file, f"tensor {shown(name)} is {shown(kind)}, which is not read here; save it as float32"
        )
    if high - low != prod(shape) * _BYTES[kind] or begin + high > size:
        raise _broken(file, f"tensor {shown(name)} has not as many bytes as its shape says")
    return Stored(kind=kind, shape=shape, begin=begin + low, end=begin + high)


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, mtime_ns: int, now: int) -> tuple[str, bool]:
    """The hash of a file, and whether another process has found it."""
    known = None if now else recall(file, size, mtime_ns)
    if known is not None:
        return known, True
    found = _hashed(file, size, mtime_ns, now)
    if not now:
        remember(file, size, mtime_ns, found)
    return found, False


def _hashed(file: Path, size: int, mtime_ns: int, now: int) -> str:
    found = _header(file, size, mtime_ns, now)
    names = {name: stripped(name) for name in found}
    if len(set(names.values())) < len(names):
        names = {name: name for name in found}
    hashed = hashlib.sha256()
    try:
        with file.open("rb", buffering=0) as stream:
            for name in sorted(found, key=names.__getitem__):
                each = found[name]
                hashed.update(json.dumps([names[name], each.kind, each.shape]).encode())
                stream.seek(each.begin)
                left = each.end - each.begin
                while left:
                    part = stream.read(min(left, _CHUNK))
                    if not part:
                        raise _broken(file, "was cut off while it was read")
                    hashed.update(part)
                    left -= len(part)
            if os.fstat(stream.fileno()).st_mtime_ns != mtime_ns:
                raise _broken(file, "changed while it was read; try again")
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from None
    return hashed.hexdigest()


def _broken(file: Path, words: str) -> ModelError:
    return ModelError(f"{file}: {words}")
