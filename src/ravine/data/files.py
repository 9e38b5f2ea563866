"""Files that a study names: there, readable, and files."""

from __future__ import annotations

import stat
from pathlib import Path

from ravine.errors import DataError, nearest, short

LONGEST = 80  # letters of a path that an error repeats


def existing(path: str, base: Path, key: str, *, folder: bool = False) -> Path:
    """The file or folder that a key names.

    Args:
        path: as the user wrote it.
        base: folder that a relative path starts from.
        key: named in errors.
        folder: whether a folder is wanted.

    Raises:
        DataError: nothing of that kind is there, or it cannot be asked for.
    """
    shown = short(path, LONGEST)
    try:
        full = base / Path(path).expanduser()
        mode = full.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        full = base / Path(path).expanduser()
        raise DataError(
            f"data.{key} = {shown!r}: there is no such file or folder: {short(str(full), 2 * LONGEST)}{_near(full)}"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, with a NUL, of no user's home
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.{key} = {shown!r}: cannot be used as a path: {reason}") from None
    if folder and not stat.S_ISDIR(mode):
        raise DataError(f"{full}: there is no such folder")
    if not folder:
        regular(full)
    return full


def regular(path: Path) -> Path:
    """A file, and no folder, device or pipe, which could be read for ever.

    Raises:
        DataError: it is something else, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise DataError(f"{path}: is {kind}; a file is needed")
    return path


def _near(path: Path) -> str:
    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = nearest(path.name, beside)
    return f"; did you mean '{near}'?" if near else ""
