"""Machine code that was compiled before, kept in the user's cache folder.

It is read only where nobody but this user can have written it. Whatever else is wrong with it, it is compiled again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ravine.cached import cache_folder, find, keep

_KIND = "code"
_MOST_BYTES = 1 << 28  # of all code; a large network's step takes some megabytes


Arrays = Mapping[str, np.ndarray]


def kept_code(key: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
    """Code and what is known about it, out of the cache or made, and kept there.

    Args:
        key: plain data: all that the code depends on.
        make: compiles it.
    """
    found = found_code(key)
    if found is None:
        found = make()
        keep_code(key, found)
    return found


def found_code(key: Mapping[str, Any]) -> Arrays | None:
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
    """Whether a folder, made if it isn't there, is this user's, and only this user can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return False
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)
