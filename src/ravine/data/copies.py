"""Held-out examples that are copies of training examples: they test memory, and a note says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Place
from ravine.data.dataset import Examples
from ravine.data.deal import Splits
from ravine.messages import count

_BLOCK = 1 << 22  # numbers that are hashed at once


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
    hashes = _hashes(train)
    order = np.argsort(hashes, kind="stable")
    notes = []
    for which, part, rows in (("validation", validation, splits.validation), ("test", test, splits.test)):
        twins = _twins(part, train, hashes[order], order)
        copies = np.flatnonzero(twins >= 0)
        if len(copies):
            examples = count(len(part), f"{which} example")
            are = "is a copy of a training example" if len(copies) == 1 else "are copies of training examples"
            first = _told(place(int(rows[copies[0]])), place(int(splits.train[twins[copies[0]]])))
            notes.append(f"{len(copies):,} of {examples} {are}: {first}")
    return tuple(notes)


def _told(here: str, there: str) -> str:
    """Two places, the file once if it is the same: "line 3 is line 17"."""
    (file, _, at), (other, _, there_at) = here.rpartition(", "), there.rpartition(", ")
    return f"{at} is {there_at}" if file and file == other else f"{here} is {there}"


def _twins(
    part: Examples, train: Examples, sorted_hashes: npt.NDArray[Any], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each example the first training example that equals it, bit by bit; -1 for none."""
    hashes = _hashes(part)
    twins = np.full(len(part), -1, dtype=np.int64)
    at = np.searchsorted(sorted_hashes, hashes)
    near = np.flatnonzero(sorted_hashes[at.clip(max=len(order) - 1)] == hashes)
    for row in near:
        for place in range(int(at[row]), len(order)):
            if sorted_hashes[place] != hashes[row]:
                break
            other = int(order[place])
            if train.y[other] == part.y[row] and np.array_equal(train.x[other], part.x[row]):
                twins[row] = other
                break
    return twins


def _hashes(part: Examples) -> npt.NDArray[np.uint64]:
    """One number for each example, equal where inputs and target are; different examples rarely share one."""
    x = part.x.reshape(len(part), -1)
    width = x.shape[1]
    weights = np.random.PCG64(0).random_raw(width + 1).astype(np.uint64) | np.uint64(1)
    found = np.empty(len(part), dtype=np.uint64)
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(part), step):
        # + 0.0 makes one zero of two; the sum wraps around
        block = (x[start : start + step] + np.float32(0)).view(np.uint32)
        found[start : start + step] = (block.astype(np.uint64) * weights[:-1]).sum(axis=1, dtype=np.uint64)
    y = (part.y + part.y.dtype.type(0)).astype(np.float64).view(np.uint64)
    mixed = (found + y * weights[-1]).astype(np.uint64)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))
