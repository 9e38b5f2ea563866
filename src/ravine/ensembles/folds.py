"""Examples dealt into folds, and members into bags: from a key, the same each time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

NUM_FOLDS = 5


def shuffled(size: int, *key: int) -> Indices:
    """The numbers below a size, in an order that depends on the key alone.

    Example:
        >>> sorted(shuffled(4, 7).tolist()), bool((shuffled(9, 7) == shuffled(9, 7)).all())
        ([0, 1, 2, 3], True)
    """
    return np.argsort(words(size, *key), kind="stable")


def words(size: int, *key: int) -> NDArray[np.uint64]:
    """So many random words of 64 bits. Philox is counter-based and its words never change between versions."""
    generator = np.random.Philox(np.random.SeedSequence(key))
    return np.asarray(generator.random_raw(size), dtype=np.uint64)


def folds(num_examples: int, num_folds: int = NUM_FOLDS) -> Iterator[tuple[Indices, Indices]]:
    """Each fold: the examples outside it, and those in it, both rising; as many folds as there are examples at most."""
    order = shuffled(num_examples, num_examples, 0)
    parts = np.array_split(order, max(2, min(num_folds, num_examples)))
    for part in parts:
        inside = np.zeros(num_examples, dtype=bool)
        inside[part] = True
        yield np.flatnonzero(~inside), np.flatnonzero(inside)
