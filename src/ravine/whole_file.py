"""Files that are written so that their names lead to all of them, or to what was there before."""

from __future__ import annotations

import os
from pathlib import Path

from ravine.errors import InputError
from ravine.messages import printable


def write_whole(path: Path, content: bytes) -> None:
    """Write a file: complete, or not at all.

    Args:
        path: the file; one that is there is replaced.
        content: all of it.

    Raises:
        InputError: it cannot be written.
    """
    if "\0" in str(path):
        raise InputError(f"{printable(str(path))}: is no path of a file")
    if os.path.isdir(path):  # noqa: PTH112 (whatever is wrong with the path is found when it is written)
        raise InputError(f"{path}: cannot be written: it is a folder")
    # Beside its destination, so that the last step is a rename inside one file system.
    temporary = path.with_name(f".{path.name[:80]}.{os.urandom(4).hex()}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
