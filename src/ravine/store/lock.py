"""Advisory locks on files, released by the operating system however a process ends.

Two uses: every open store holds a *shared* lock, so that one which gets the exclusive lock knows that it is
alone; a study that is being run holds an *exclusive* lock of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ravine.errors import StoreError
from ravine.store.file_lock import try_lock


def now() -> str:
    """The time as ISO text, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_lock_file(path: Path) -> int:
    """Open (and create) a lock file; the descriptor is not inherited by programs that are started."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def try_exclusive(descriptor: int) -> bool:
    """Take the lock alone, or say at once that someone else has it."""
    return try_lock(descriptor, alone=True)


def share(descriptor: int) -> None:
    """Hold the lock together with others; waits while someone has it alone (a sweep: milliseconds)."""
    while not try_lock(descriptor, alone=False):
        time.sleep(0.002)


@contextlib.contextmanager
def study_lock(folder: Path, study: str) -> Iterator[None]:
    """Hold a study for as long as the block lasts.

    Args:
        folder: where lock files lie; must exist.
        study: its name.

    Raises:
        StoreError: another process (or another `Store` of this one) has it; says which and since when.
    """
    path = _lock_file(folder, study)
    try:
        descriptor = open_lock_file(path)
    except OSError as error:
        raise StoreError(f"cannot lock study {study!r}: {path}: {error.strerror}") from error
    try:
        if not try_exclusive(descriptor):
            raise StoreError(f"study {study!r} is being run by {_holder(path)}: wait for it, or stop it")
        note = json.dumps({"pid": os.getpid(), "since": now(), "study": study})
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, note.encode())
        # The file stays: deleting it would let a third process lock a new file beside a waiting second.
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path, study: str) -> str | None:
    """Who holds a study, for a person; None if nobody does."""
    path = _lock_file(folder, study)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # never trained
        return None
    try:
        return None if try_lock(descriptor, alone=False) else _holder(path)
    finally:
        os.close(descriptor)


def _lock_file(folder: Path, study: str) -> Path:
    # A name may hold any character and be of any length; its hash is a file name everywhere.
    return folder / f"{hashlib.sha256(study.encode()).hexdigest()[:16]}.lock"


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text())
        return f"process {note['pid']} since {note['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
