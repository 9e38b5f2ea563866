"""Groups of runs that are taken through the rounds of a step together.

Shapes: R run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ravine.native.function import Function

MOST = 32
"""Runs of a group. What each brings into a core's caches costs less than fetching a batch once more for others."""

Round = tuple[Function | None, list[Function]]
"""A function of a group, and those of each of its runs that come after it; see `ravine.native.workers.Jobs`."""


def grouped(
    runs: np.ndarray, batch_index_R: np.ndarray, num_threads: int, most: int = MOST
) -> tuple[np.ndarray, np.ndarray]:
    """Runs in another order, and the sizes of groups of neighbours with the same batch: as many for each thread.

    Args:
        runs: those that are trained.
        batch_index_R: which batch each run of the cohort sees.
        num_threads: that train groups.
        most: runs of a group.
    """
    if not len(runs):
        return runs, np.zeros(0, dtype=np.int64)
    order = runs[np.argsort(batch_index_R[runs], kind="stable")]
    _, counts = np.unique(batch_index_R[order], return_counts=True)
    parts = -(-counts // most)
    while parts.sum() % num_threads and (parts < counts).any():
        largest = np.argmax(np.where(parts < counts, counts / parts, 0))
        parts[largest] += 1
    sizes = [
        len(part)
        for count, num in zip(counts, parts, strict=True)
        for part in np.array_split(np.arange(count), num)
    ]
    return order, np.array(sizes, dtype=np.int64)


class Rounds:
    """The rounds of a step, put together: of a group and of its runs in turn."""

    def __init__(self) -> None:
        self.calls: list[Function | None] = []
        self._ends: list[tuple[Function | None, int]] = []

    def add(self, first: Function | None, calls: Sequence[Function | None]) -> None:
        """One more; without a function of the group, the calls belong to the one before."""
        if first is None and self._ends:
            before, num = self._ends.pop()
            self._ends.append((before, num + len(calls)))
        else:
            self._ends.append((first, len(calls)))
        self.calls += calls

    @property
    def of_jobs(self) -> list[tuple[Function | None, int]]:
        """As jobs have them."""
        return self._ends
