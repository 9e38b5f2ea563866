"""NumPy archives."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ravine.data.column import Cells
from ravine.data.division import ALONE, Division, division_of
from ravine.data.room import require
from ravine.data.source import Source
from ravine.data.spec import NpzSpec
from ravine.data.stack import ArrayOptions, stacked
from ravine.errors import DataError, choices

# Names under which archives commonly keep their arrays, whatever their capitals.
USUAL = {
    "x": ("x", "x_train"),
    "y": ("y", "y_train"),
    "x_test": ("x_test",),
    "y_test": ("y_test",),
    "x_validation": ("x_validation", "x_val", "x_valid", "x_dev"),
    "y_validation": ("y_validation", "y_val", "y_valid", "y_dev"),
}

# What a number of an array takes at most while it is read, scaled and cut, besides its own bytes.
_WORK = {"u1": 5.0}
_MOST_WORK = 20.0

_BROKEN = (
    *(ValueError, TypeError, AttributeError, EOFError, KeyError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(SyntaxError, tokenize.TokenError, RecursionError, MemoryError),  # of a header, which is Python's text
)


def read_npz(spec: NpzSpec, path: Path) -> Source:
    """The arrays of a NumPy archive.

    Raises:
        DataError: the file or one of its arrays cannot be read, is not there, or would not fit into memory.
    """
    with _in_one_line(path):
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            chosen = _chosen(spec, names, path)
            beside = () if spec.split is None else spec.split.columns
            for name in beside:
                if name not in names:
                    raise DataError(
                        f"{path}: split names {name!r}, which is not in it; {choices(name, names)}"
                    )
            if spec.weight is not None and spec.weight not in names:
                raise DataError(
                    f"{path}: weight = {spec.weight!r} is not in it; {choices(spec.weight, names)}"
                )
            _check_room(archive, [name for name in (*chosen.values(), *beside, spec.weight) if name], path)
        with np.load(path, allow_pickle=False) as arrays:
            given = {role: None if name is None else arrays[name] for role, name in chosen.items()}
            cut_by = {name: arrays[name] for name in beside}
            weights = None if spec.weight is None else arrays[spec.weight]
    options = ArrayOptions(
        task=spec.task,
        split=spec.split,
        weight_scores=spec.weight_scores,
        weights_called=f"weight = {spec.weight!r}",
    )
    return stacked(given, str(path), options, (), _division(spec, cut_by, given, path), weights)


def _division(
    spec: NpzSpec, arrays: Mapping[str, np.ndarray], given: Mapping[str, Any], path: Path
) -> Division:
    """What examples are cut by, as arrays say that the split names."""
    if spec.split is None or not spec.split.columns:
        return ALONE
    held_out = next((role for role in ("x_test", "x_validation") if given[role] is not None), None)
    if held_out is not None:
        raise DataError(
            f"{path}: split names {spec.split.columns[0]!r}, which is of x alone, and there is a given {held_out} too; "
            "put all examples into x"
        )
    for name, array in arrays.items():
        if array.shape != (len(given["y"]),):
            raise DataError(
                f"{path}: {name!r} has shape {array.shape}; one for each of {len(given['y']):,} examples is needed"
            )
    cells = {name: Cells(values=array) for name, array in arrays.items()}
    return division_of(cells, spec.split, target=(), where=str(path), place=lambda row: f"{path}, row {row}")


def read_new(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """New examples of an archive, or of a plain .npy file, and their answers where it has some.

    Raises:
        DataError: it cannot be read, or has no array of examples.
    """
    with _in_one_line(path):
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                require(_work(file), f"{path}: to scale it")
                file.seek(0)
                return np.load(file, allow_pickle=False), None
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            x_name = _new_name("x", names) or (names[0] if len(names) == 1 else None)
            if x_name is None:
                raise DataError(
                    f"{path}: there is no 'x' in it, as new examples must be called (and their answers 'y'); "
                    f"{choices('x', names, 'its arrays')}"
                )
            y_name = _new_name("y", names)
            _check_room(archive, [name for name in (x_name, y_name) if name], path)
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[x_name], None if y_name is None else arrays[y_name]


def _new_name(role: str, names: Sequence[str]) -> str | None:
    """The array of new examples, or of their answers: under the name of a test split, or of all."""
    for known in (*USUAL[role][:1], *USUAL[f"{role}_test"], *USUAL[role]):
        found = next((name for name in names if name.casefold() == known), None)
        if found is not None:
            return found
    return None


@contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    """Within it, whatever is wrong with a file of arrays becomes a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except DataError:  # ours, of an archive that can be read
        raise
    except _BROKEN as error:
        reason = "an array of Python objects" if "Object arrays" in str(error) else "not a NumPy archive"
        raise DataError(f"{path}: {reason}; save plain arrays with numpy.savez") from None


def _chosen(spec: NpzSpec, names: Sequence[str], path: Path) -> dict[str, str | None]:
    """Which array plays which role."""
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise DataError(f"{path}: {name!r} is in it {times} times; give each array a name of its own")
    return {role: _named(getattr(spec, role), role, names, path) for role in USUAL}


def _named(asked: str | None, role: str, names: Sequence[str], path: Path) -> str | None:
    if asked is not None:
        if asked not in names:
            raise DataError(f"{path}: {role} = {asked!r} is not in it; {choices(asked, names)}")
        return asked
    found = [name for name in names if name.casefold() in USUAL[role]]
    if not found and role in ("x", "y"):
        raise DataError(
            f'{path}: there is no {role!r} in it; name the array: {role} = "..."; {choices(role, names)}'
        )
    if len(found) > 1:
        raise DataError(
            f'{path}: {" and ".join(map(repr, found))} could be {role}; say which: {role} = "..."'
        )
    return found[0] if found else None


def _check_room(archive: zipfile.ZipFile, names: Sequence[str], path: Path) -> None:
    """Ask for memory by the headers of the arrays: a small archive may unpack to anything."""
    needed = 0.0
    for name in names:
        with archive.open(f"{name}.npy") as file:
            needed += _work(file)
    require(needed, f"{path}: to unpack and scale its arrays")


def _work(file: Any) -> float:
    """Bytes that an array takes while it is read, scaled and cut, by its header."""
    readers: Mapping[tuple[int, int], Any] = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
    }
    version = npy.read_magic(file)
    if version not in readers:  # 3.0 differs in the names of fields alone, which no array here has
        raise ValueError("an array of another version")
    shape, _, dtype = readers[version](file)
    size: float = math.prod(shape) * (dtype.itemsize + _WORK.get(dtype.str[1:], _MOST_WORK))
    return size
