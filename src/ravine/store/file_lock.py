"""One lock on an open file, held alone or together with others; the operating system releases it with the file.

Linux and macOS have `flock`. Windows locks ranges of bytes, and always alone: there, whoever shares the lock has one
byte out of `SHARES`, and whoever has it alone has them all. The bytes lie far beyond the end of the file, because
Windows lets nobody read a byte that another process has locked.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

SHARES = 64  # how many can share a lock on Windows
_FIRST_BYTE = 1 << 30


def try_lock(descriptor: int, *, alone: bool) -> bool:
    """Take the lock, or change the way in which it is held, without waiting.

    Args:
        descriptor: of an open file.
        alone: exclude everybody else; otherwise, only whoever wants it alone.

    Returns:
        Whether it was free. If not, a lock that the descriptor already had may be lost.
    """
    return (_flock if find_spec("fcntl") else _lock_bytes)(descriptor, alone=alone)


def _flock(descriptor: int, *, alone: bool) -> bool:
    import fcntl  # Windows has none

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_bytes(descriptor: int, *, alone: bool) -> bool:
    for first, count in ((0, SHARES), *((byte, 1) for byte in range(SHARES))):
        _locking(descriptor, first, count, free=True)
    if alone:
        return _locking(descriptor, 0, SHARES)
    return any(_locking(descriptor, byte, 1) for byte in range(SHARES))


def _locking(descriptor: int, first: int, count: int, *, free: bool = False) -> bool:
    import msvcrt  # only Windows has one

    os.lseek(descriptor, _FIRST_BYTE + first, os.SEEK_SET)
    mode = msvcrt.LK_UNLCK if free else msvcrt.LK_NBLCK  # type: ignore[attr-defined]
    try:
        msvcrt.locking(descriptor, mode, count)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
