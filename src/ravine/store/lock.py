"""Advisory locks on files, released by the operating system however a process ends.

Two uses: every open store holds a *shared* lock, so that one which gets the exclusive lock knows that it is
alone; a study that is being run holds an *exclusive* lock of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ravine.errors import StoreError
from ravine.messages import printable
from ravine.store.file_lock import try_lock
from ravine.times import moment

PATIENCE_SECONDS = 10.0


def now() -> str:
    """The time as ISO text, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_lock_file(path: Path, *, create: bool = True) -> int:
    """Open (and create) a lock file; the descriptor is not inherited by programs that are started.

    Raises:
        StoreError: it is a link, which may lead anywhere, or a device.
        OSError: it cannot be opened.
    """
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    if path.is_symlink():
        raise StoreError(f"{path} is a link: all parts of a store must be in its own folder")
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError(f"{path} is not a regular file: all parts of a store must be in its own folder")
    return descriptor


def try_exclusive(descriptor: int) -> bool:
    """Take the lock alone, or say at once that someone else has it."""
    return try_lock(descriptor, alone=True)


def share(descriptor: int, path: Path) -> None:
    """Hold the lock together with others; waits while someone has it alone (a sweep: milliseconds).

    Raises:
        StoreError: someone has had it for too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not try_lock(descriptor, alone=False):
        if time.monotonic() > deadline:
            raise StoreError(
                f"{path} has been locked for {PATIENCE_SECONDS:.0f} s by {holder_of([path])}: wait for it, or stop it"
            )
        time.sleep(0.002)


def holder_of(files: Sequence[Path]) -> str:
    """Which other process has a lock on one of these files alone, for a person, as far as the system says."""
    try:
        wanted = {path.stat().st_ino for path in files if path.exists()}
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:  # not Linux
        return "another process"
    # 1: POSIX ADVISORY WRITE 4711 08:01:12345 0 EOF; one that waits has "->" after its number
    locks = [words for words in (line.split() for line in lines) if len(words) == 8]
    others = [
        words
        for words in locks
        if int(words[5].rpartition(":")[2]) in wanted and words[4] != str(os.getpid())
    ]
    others.sort(key=lambda words: words[3] != "WRITE")
    return _described(others[0][4]) if others else "another process"


def _described(pid: str) -> str:
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({printable(command)[:60]})" if command else f"process {pid}"


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
    """Who has locked a study, for a person; None if nobody has."""
    path = _lock_file(folder, study)
    try:
        descriptor = open_lock_file(path, create=False)
    except OSError:  # never trained
        return None
    try:
        return None if try_lock(descriptor, alone=False) else _holder(path)
    finally:
        os.close(descriptor)


def _lock_file(folder: Path, study: str) -> Path:
    # A name may have any character and be of any length; its hash is a file name everywhere.
    return folder / f"{hashlib.sha256(study.encode()).hexdigest()[:16]}.lock"


def _holder(path: Path) -> str:
    try:
        descriptor = open_lock_file(path, create=False)
        try:
            note = json.loads(os.read(descriptor, 1000))
        finally:
            os.close(descriptor)
        return f"process {int(note['pid'])} since {moment(printable(str(note['since']))[:40])}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
