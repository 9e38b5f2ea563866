"""Held-out examples that are copies of training examples: they test memory, and a note says so."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ravine.data.column import Place
from ravine.data.deal import Splits
from ravine.data.examples import Examples
from ravine.messages import count

_BLOCK = 1 << 22  # numbers that are hashed at once
_GLANCE = 32  # numbers of an example that are looked at first


def copy_notes(
    train: Examples, validation: Examples, test: Examples, splits: Splits, place: Place
) -> tuple[str, ...]:
    """Count the validation and test examples whose inputs and target are those of a training example.

    Args:
        train, validation, test: what a model sees of the splits.
        splits: which rows of the source they are.
        place: where a row is.

    Returns:
        A note for each split that has some, with the first of them by name.
    """
    notes = []
    for which, part, rows in (("validation", validation, splits.validation), ("test", test, splits.test)):
        if not len(part):  # there is no test split
            continue
        twins = _twins(part, train)
        copies = np.flatnonzero(twins >= 0)
        if len(copies):
            examples = count(len(part), f"{which} example")
            are = "is a copy of a training example" if len(copies) == 1 else "are copies of training examples"
            first = _pair(place(int(rows[copies[0]])), place(int(splits.train[twins[copies[0]]])))
            notes.append(f"{len(copies):,} of {examples} {are}: {first}")
    return tuple(notes)


def _pair(here: str, there: str) -> str:
    """Two places, the file once if it is the same: "line 3 is line 17"."""
    (file, _, at), (other, _, there_at) = here.rpartition(", "), there.rpartition(", ")
    return f"{at} is {there_at}" if file and file == other else f"{here} is {there}"


def _twins(part: Examples, train: Examples) -> npt.NDArray[np.int64]:
    """For each example the first training example that equals it, bit by bit; -1 for none."""
    twins = np.full(len(part), -1, dtype=np.int64)
    rows, of = np.arange(len(part)), np.arange(len(train))
    for most in (_GLANCE, None):  # a glance at some numbers rules out most examples
        hashes, known = _hashes(part, rows, most), _hashes(train, of, most)
        rows, of = rows[_among(hashes, known)], of[_among(known, hashes)]
        if not len(rows):
            return twins
    hashes, known = _hashes(part, rows, None), _hashes(train, of, None)
    order = np.argsort(known, kind="stable")
    begins = np.searchsorted(known[order], hashes)
    for row, hash_, begin in zip(rows.tolist(), hashes, begins.tolist(), strict=True):
        for place in order[begin:]:
            if known[place] != hash_:
                break
            other = int(of[place])
            if np.array_equal(train.y[other], part.y[row]) and np.array_equal(
                train.raw([other]), part.raw([row]), equal_nan=True
            ):
                twins[row] = other
                break
    return twins


def _among(values: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which values are among others; `np.isin` would import NumPy's masked arrays for it."""
    if not len(others):
        return np.zeros(len(values), dtype=np.bool_)
    rising = np.sort(others)
    at = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
    return np.asarray(rising[at] == values)


def _hashes(part: Examples, rows: npt.NDArray[np.int64], most: int | None) -> npt.NDArray[np.uint64]:
    """One number for each example, equal where inputs and target are; different examples rarely share one.

    Args:
        part: the examples.
        rows: which of them.
        most: so many of their numbers, spread evenly, are looked at; None: all.
    """
    width = math.prod(part.shape)
    weights = np.random.PCG64(0).random_raw(width + 1).astype(np.uint64) | np.uint64(1)
    glance = most is not None and most < width
    columns = np.linspace(0, width - 1, most or width).astype(np.int64) if glance else np.arange(width)
    found = np.empty(len(rows), dtype=np.uint64)
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(rows), step):
        few = part.raw(rows[start : start + step]).reshape(-1, width)
        few = few[:, columns] if glance else few
        # + 0.0 makes one zero of two; the sum wraps around
        words = few if few.dtype == np.uint8 else (few + np.float32(0)).view(np.uint32)
        numbers = words.astype(np.uint64)
        found[start : start + step] = (numbers * weights[columns]).sum(axis=1, dtype=np.uint64)
    y = (part.y[rows] + part.y.dtype.type(0)).astype(np.float64).view(np.uint64)
    if y.ndim == 2:
        of_y = np.asarray(np.random.PCG64(1).random_raw(y.shape[1]), dtype=np.uint64) | np.uint64(1)
        y = np.asarray((y * of_y).sum(axis=1, dtype=np.uint64))
    mixed = (found + y * weights[-1]).astype(np.uint64)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))
