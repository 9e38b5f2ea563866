"""Blocks: safetensors files with the tensors of many runs, each checked by its SHA-256.

A block appears under its name only when all of it is on disk, so a name is either absent or whole; a row in
the database refers to it only after that.

What a database says is data that somebody else may have written. So a block has one form of name, is a regular file in
the store's own folder, and nothing else is ever opened or deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ravine.errors import StoreError

SUFFIX = ".safetensors"
TEMPORARY = ".tmp"
_NAME = re.compile(r"[a-z]+-[0-9a-f]{32}\.safetensors")
_OURS = re.compile(r"(checkpoint|ends|kept|labels|predictions|weights)-.+\.(safetensors|tmp)")

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block file as the database knows it: its name in the folder, what it should hash to, its bytes."""

    file: str
    kind: str
    sha256: str
    size: int


def check_name(file: object) -> str:
    """The name of a block, if it is one.

    Raises:
        StoreError: it is another name, perhaps of another place.

    Example:
        >>> check_name(f"weights-{'0' * 32}.safetensors")[:12]
        'weights-0000'
    """
    if not isinstance(file, str) or not _NAME.fullmatch(file):
        raise StoreError(
            f"the database names the block {repr(file)[:60]}: a block's name is its kind, '-', 32 hex digits and "
            f"{SUFFIX!r}; the store is damaged, or somebody has changed it"
        )
    return file


def write(folder: Path, contents: Mapping[str, Tensors]) -> dict[str, Block]:
    """Write one block per kind and see it safely on disk before returning.

    Args:
        folder: where blocks lie.
        contents: tensors by name, by kind; the last part of the kind is also the first word of the file's name.

    Returns:
        The blocks by kind, ready to be entered in the database.

    Raises:
        StoreError: the disk is full, the folder can't be written, or a dtype has no place in safetensors.
    """
    written = {}
    try:
        for kind, tensors in contents.items():
            word = kind.rpartition("/")[2]
            file = f"{word}-{uuid.uuid4().hex}{SUFFIX}"
            data = _serialize(file, tensors)
            _write_file(folder / file, data)
            written[kind] = Block(
                file=file, kind=word, sha256=hashlib.sha256(data).hexdigest(), size=len(data)
            )
        sync_folder(folder)
    except OSError as error:
        remove(folder, [block.file for block in written.values()])
        raise StoreError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error
    return written


def _serialize(file: str, tensors: Tensors) -> bytes:
    from safetensors import SafetensorError
    from safetensors.numpy import save

    # asarray keeps a 0-d array 0-d (ascontiguousarray would not); safetensors reads raw memory, in C order.
    plain = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    try:
        return save(plain)
    except SafetensorError as error:
        raise StoreError(f"cannot store a tensor of {file}: {error}") from error


def _write_file(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(TEMPORARY)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut. Windows opens no folders, and needs no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Path, files: Sequence[str]) -> None:
    """Delete blocks that nothing refers to; one that can't be deleted is left for the next sweep.

    Raises:
        StoreError: one of them has no block's name; none is deleted then.
    """
    for file in [check_name(file) for file in files]:
        _unlink(folder / file)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def sweep(folder: Path, known: set[str]) -> list[str]:
    """Delete temporary and unknown blocks; return their names. Only safe when nobody else writes here."""
    orphans = orphaned(folder, known)
    for file in orphans:
        _unlink(folder / file)
    return orphans


def orphaned(folder: Path, known: set[str]) -> list[str]:
    """Names of temporary files and of blocks that the database doesn't know. Other files are left alone."""
    names = (path.name for path in folder.iterdir() if _OURS.fullmatch(path.name))
    return sorted(name for name in names if name not in known)


def path_of(folder: Path, block: Block) -> Path:
    """Where a block lies.

    Raises:
        StoreError: it has no block's name, is missing, or is not a regular file (a link may lead anywhere).
    """
    path = folder / check_name(block.file)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing: restore it from a backup, or delete its study") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is not a regular file: a block is neither a link nor a folder nor a device")
    return path


def verify(folder: Path, block: Block) -> None:
    """Read a block once and compare its size and hash.

    Raises:
        StoreError: it is missing, was cut short or changed; names the file.
    """
    path = path_of(folder, block)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != block.size:
                raise StoreError(f"{path} is damaged: {size} bytes, should be {block.size}")
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if found != block.sha256:
        raise StoreError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., should be {block.sha256[:12]}..."
        )


def read(folder: Path, block: Block) -> dict[str, np.ndarray]:
    """All tensors of a block (copies, writable)."""
    with _opened(folder, block) as file:
        return {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118


def num_rows(folder: Path, block: Block) -> int:
    """The length of the leading axis that all tensors of a block share; 0 where one has none.

    Raises:
        StoreError: it cannot be read.
    """
    with _opened(folder, block) as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return min((shape[0] if shape else 0 for shape in shapes), default=0)


def read_rows(folder: Path, block: Block, wanted: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """Some rows of a block's tensors, memory-mapped: only their own bytes are copied.

    Args:
        folder: where blocks lie.
        block: a verified block, every tensor with runs as leading axis.
        wanted: indices on that axis.

    Returns:
        For each index its tensors without the leading axis; writable copies.
    """
    found: list[dict[str, np.ndarray]] = [{} for _ in wanted]
    with _opened(folder, block) as file:
        for name in file.keys():  # noqa: SIM118
            piece = file.get_slice(name)
            shape = piece.get_shape()
            for tensors, row in zip(found, wanted, strict=True):
                if not isinstance(row, int) or not shape or not 0 <= row < shape[0]:
                    raise StoreError(f"{folder / block.file}: no row {row!r} in tensor {name[:60]!r} {shape}")
                tensors[name] = np.array(piece[row])
    return found


def _opened(folder: Path, block: Block) -> Any:
    from safetensors import SafetensorError, safe_open

    path = path_of(folder, block)
    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
