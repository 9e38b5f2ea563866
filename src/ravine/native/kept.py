"""Machine code that was compiled before, kept in the user's cache folder.

It is read only where no other user can have written it or put another folder in its place. Whatever else is wrong with
it, it is compiled again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ravine.cached import cache_folder, find, keep

_KIND = "code"
_MOST_BYTES = 1 << 28  # of all code; a large network's step takes some megabytes
_OTHERS = stat.S_IWGRP | stat.S_IWOTH

Arrays = Mapping[str, np.ndarray]


def kept_code(key: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
    """Code and what is known about it, out of the cache or made, and kept there.

    Args:
        key: plain data: all that the code depends on.
        make: compiles it.
    """
    found = find_code(key)
    if found is None:
        found = make()
        keep_code(key, found)
    return found


def find_code(key: Mapping[str, Any]) -> Arrays | None:
    """What is kept under a key; None: nothing, or nothing that can be trusted."""
    return find(_KIND, key).arrays if _is_trusted() else None


def keep_code(key: Mapping[str, Any], made: Arrays) -> None:
    """Keep code under a key, where there is room."""
    if _is_trusted():
        keep(_KIND, key, made, most=_MOST_BYTES)


def _is_trusted() -> bool:
    folder = cache_folder()
    return folder is not None and _is_ours(folder / _KIND)


def _is_ours(folder: Path) -> bool:
    """Whether a folder, made if it isn't there, is this user's, and no other user can change it or what leads to it."""
    try:
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not hasattr(os, "geteuid"):
            return True
        about = folder.stat()
        if about.st_uid != os.geteuid() or about.st_mode & _OTHERS:
            return False
        return _is_fixed(folder) and _is_fixed(folder.resolve())
    except OSError:
        return False


def _is_fixed(folder: Path) -> bool:
    """Whether no other user can put anything in the place of a folder, on the way that its path names."""
    for each in reversed(folder.parents):
        about = each.lstat()
        if about.st_uid not in (0, os.geteuid()):
            return False
        if stat.S_ISLNK(about.st_mode):
            continue  # where it leads to is looked at as well
        if about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
            return True  # nobody else comes further than here
        if about.st_mode & _OTHERS and not about.st_mode & stat.S_ISVTX:
            return False
    return True
