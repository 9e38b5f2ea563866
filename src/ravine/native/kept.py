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
    folder = cache_folder()
    trusted = folder is not None and _is_ours(folder / _KIND)
    found = find(_KIND, key).arrays if trusted else None
    if found is not None:
        return found
    made = make()
    if trusted:
        keep(_KIND, key, made, most=_MOST_BYTES)
    return made


def _is_ours(folder: Path) -> bool:
    """Whether a folder, made if it isn't there, is this user's, and only this user can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return False
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)
