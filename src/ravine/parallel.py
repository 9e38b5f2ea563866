"""Threads for what NumPy and machine code do without Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def num_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(work: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
    """What the work makes of each item, in their order; on as many threads as there are processors."""
    return list(_threads(os.getpid()).map(work, items))


@cache
def _threads(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 (a fork has none of its parent's threads)
    return ThreadPoolExecutor(num_threads(), thread_name_prefix="ravine")
