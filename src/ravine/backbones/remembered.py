"""The hash of a file of weights, remembered from one process to the next.

It is found by path, size and time of the last change, as decoded pictures are. `Verification` sees beside training that
the content is still the same, and whoever writes results waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ravine.cached import find, keep
from ravine.errors import ModelError

KIND = "weights"  # of the cache
WORTH_BYTES = 1 << 23
"""Smaller files are hashed again: that takes a moment."""
_FORMAT = 1


def recall(file: Path, size: int, mtime_ns: int) -> str | None:
    """The hash of a file in the state that it is in; None: it is not known."""
    if size < WORTH_BYTES:
        return None
    kept = find(KIND, _key(file, size, mtime_ns)).arrays
    return None if kept is None else kept["digest"].tobytes().hex()


def remember(file: Path, size: int, mtime_ns: int, digest: str) -> None:
    """Keep the hash of a file for later processes."""
    if size >= WORTH_BYTES:
        keep(KIND, _key(file, size, mtime_ns), {"digest": np.frombuffer(bytes.fromhex(digest), np.uint8)})


def _forget(file: Path) -> None:
    state = file.stat()
    path = find(KIND, _key(file, state.st_size, state.st_mtime_ns), check=False).path
    if path is not None:
        path.unlink(missing_ok=True)


def _key(file: Path, size: int, mtime_ns: int) -> dict[str, Any]:
    return {"format": _FORMAT, "path": str(file.absolute()), "size": size, "mtime_ns": mtime_ns}


class Verification:
    """Whether files have the content that they had when they were hashed.

    It may be carried out beside other work: `start` it, and `finish` it before results are written.

    Args:
        files: whose hashes were remembered.
        known: gives the hash that was remembered.
        hashed: reads a file and gives its hash.
    """

    def __init__(
        self, files: Sequence[Path], known: Callable[[Path], str], hashed: Callable[[Path], str]
    ) -> None:
        self._files, self._known, self._hashed = files, known, hashed
        self._thread: threading.Thread | None = None
        self._fault: ModelError | None = None

    def start(self) -> None:
        """Begin in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait until it is known.

        Raises:
            ModelError: a file has changed. Its hash is forgotten, so the next call reads it anew.
        """
        self.start()
        assert self._thread is not None, "started above"
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _look(self) -> None:
        for file in self._files:
            try:
                same = self._hashed(file) == self._known(file)
            except ModelError as error:
                self._fault = error
                return
            if not same:
                with suppress(OSError):
                    _forget(file)
                self._fault = ModelError(
                    f"{file}: the content has changed, although size and time of the file have not; what was "
                    "remembered of it has been removed: the same call reads it anew"
                )
                return
