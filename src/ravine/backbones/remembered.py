"""The hash of a file of weights, remembered from one process to the next.

It is found by path, size and time of the last change, as decoded pictures are. Whether the content is still the same is
seen beside training (`ravine.backbones.files.verification`), and whoever writes results waits for it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ravine.cached import find, keep

KIND = "weights"  # of the cache
WORTH_BYTES = 1 << 23
"""Smaller files are hashed again: that takes a moment."""
_FORMAT = 1
_MOST_BYTES = 1 << 22


def recall(file: Path, size: int, mtime_ns: int) -> str | None:
    """The hash of a file in the state that it is in; None: it is not known."""
    if size < WORTH_BYTES:
        return None
    kept = find(KIND, _key(file, size, mtime_ns)).arrays
    return None if kept is None else kept["digest"].tobytes().hex()


def remember(file: Path, size: int, mtime_ns: int, digest: str) -> None:
    """Keep the hash of a file for later processes."""
    if size >= WORTH_BYTES:
        content = np.frombuffer(bytes.fromhex(digest), np.uint8)
        keep(KIND, _key(file, size, mtime_ns), {"digest": content}, most=_MOST_BYTES)


def forget(file: Path) -> None:
    """Remove what is kept of a file in the state that it is in."""
    with suppress(OSError):
        state = file.stat()
        path = find(KIND, _key(file, state.st_size, state.st_mtime_ns), check=False).path
        if path is not None:
            path.unlink(missing_ok=True)


def _key(file: Path, size: int, mtime_ns: int) -> dict[str, Any]:
    return {"format": _FORMAT, "path": str(file.absolute()), "size": size, "mtime_ns": mtime_ns}
