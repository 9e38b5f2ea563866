"""NumPy archives."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ravine.data.assemble import Source
from ravine.data.spec import NpzSpec
from ravine.data.stack import ArrayOptions, stacked
from ravine.errors import DataError, choices

# Names under which archives commonly keep their arrays.
USUAL = {
    "x": ("x", "x_train", "X", "X_train"),
    "y": ("y", "y_train"),
    "x_test": ("x_test", "X_test"),
    "y_test": ("y_test",),
    "x_validation": ("x_validation", "x_val", "X_val"),
    "y_validation": ("y_validation", "y_val"),
}


def read_npz(spec: NpzSpec, path: Path) -> Source:
    """The arrays of a NumPy archive.

    Raises:
        DataError: the file or one of its arrays cannot be read or is not there.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            chosen = {role: _named(getattr(spec, role), role, archive.files, path) for role in USUAL}
            given = {role: None if array is None else archive[array] for role, array in chosen.items()}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        reason = "an array of Python objects" if "Object arrays" in str(error) else "not a NumPy archive"
        raise DataError(f"{path}: {reason}; save plain arrays with numpy.savez") from None
    options = ArrayOptions(task=spec.task)
    return stacked(given, str(path), options, ())


def _named(asked: str | None, role: str, files: Sequence[str], path: Path) -> str | None:
    """Which array of the archive plays this role."""
    if asked is not None:
        if asked not in files:
            raise DataError(f"{path}: {role} = {asked!r} is not in it; {choices(asked, files)}")
        return asked
    found = [name for name in USUAL[role] if name in files]
    if not found and role in ("x", "y"):
        raise DataError(
            f'{path}: there is no {role!r} in it; name the array: {role} = "...". {choices(role, files)}'
        )
    return found[0] if found else None
