"""PyTorch's own threads, for work that takes less than a millisecond.

A thread of Python's takes a tenth of a millisecond to begin and to be waited for. The threads on which PyTorch has just
carried out its own kernels are awake still, in the OpenMP library that it brings along, and begin at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """PyTorch's threads.

    Args:
        begin: ``(function, its argument, number of threads, 0)``: they all call it. OpenMP's GOMP_parallel.
        number: address of a function that says which of them it is called in, from 0: omp_get_thread_num.
    """

    begin: Callable[[int, int, int, int], None]
    number: int


@cache
def team() -> Team | None:
    """None where PyTorch's OpenMP library is not to be found."""
    folder = Path(torch.__file__).parent / "lib"
    for pattern in ("libgomp*.so*", "libiomp5*", "libomp*"):
        for path in sorted(folder.glob(pattern)):
            try:
                library = ctypes.CDLL(str(path))
                begin, number = library.GOMP_parallel, library.omp_get_thread_num
            except (OSError, AttributeError):
                continue
            begin.restype = None
            begin.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            address = ctypes.cast(number, ctypes.c_void_p).value
            assert address is not None, "a function has an address"
            return Team(begin=begin, number=address)
    return None
