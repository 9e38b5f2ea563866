"""PyTorch's own threads, for work that takes less than a millisecond.

A thread of Python's takes a tenth of a millisecond to begin and to be waited for. The threads on which PyTorch has just
carried out its own kernels are awake still, in the OpenMP library that it brings along, and begin at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

Parallel = Callable[[int, int, int, int], None]
"""(function, its argument, number of threads, 0): GOMP_parallel of the OpenMP library."""


@cache
def parallel() -> Parallel | None:
    """The function that starts a team of PyTorch's threads; None where its OpenMP library is not to be found."""
    folder = Path(torch.__file__).parent / "lib"
    for pattern in ("libgomp*.so*", "libiomp5*", "libomp*"):
        for path in sorted(folder.glob(pattern)):
            try:
                found = ctypes.CDLL(str(path)).GOMP_parallel
            except (OSError, AttributeError):
                continue
            found.restype = None
            found.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            return found
    return None
