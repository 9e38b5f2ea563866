"""An elementwise function of vectors of any length, in one pass over memory.

Shapes: N name, V vector of a name, J job: a piece of a vector, I input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from ravine.native.compiler import Compiler
from ravine.native.split import SIZE, Split
from ravine.native.workers import Jobs, Workers

_PIECE = 1 << 15  # numbers that a thread takes at a time
_PLANS = 8  # sets of lengths whose pieces are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """How vectors are cut into pieces."""

    vector_J: np.ndarray
    bytes_J: np.ndarray
    length_J: np.ndarray
    table_JI: np.ndarray
    starts: list[int]  # addresses of the vectors in the table, name after name
    do: Callable[[], None]


class OverVectors:
    """A function that goes over vectors.

    Args:
        program: the function.

    Raises:
        Unsupported: an operation that no machine code is made for, or one that needs more than a pass.
    """

    def __init__(self, program: Split) -> None:
        self._program = program
        self._compiler = Compiler()
        examples = dict.fromkeys(program.vectors, torch.zeros(SIZE, dtype=torch.float32, device="cpu"))
        examples.update(
            {
                f"number/{i}": torch.zeros((), dtype=torch.float32, device="cpu")
                for i in range(program.num_used)
            }
        )
        self._function = self._compiler.of_any_length(program.over, examples, program.written, SIZE)
        self._places = [self._compiler.number(name) for name in program.vectors]
        self._used = np.zeros(program.num_used, dtype=np.float32)
        self._pieces: dict[tuple[tuple[int, ...], int], _Pieces] = {}

    def __call__(
        self, vectors: Mapping[str, Sequence[Tensor]], numbers: Mapping[str, float]
    ) -> dict[str, float]:
        """Evaluate it; the vectors are changed in place.

        Args:
            vectors: by name, V each: float32, in the processor's memory, without gaps.
            numbers: by name.

        Returns:
            New numbers, by name.
        """
        self._used[:], new = self._program.numbers(numbers)
        lists = [vectors[name] for name in self._program.vectors]
        sizes, threads = tuple(map(Tensor.numel, lists[0])), torch.get_num_threads()
        pieces = self._pieces.get((sizes, threads))
        if pieces is None:
            if len(self._pieces) >= _PLANS:
                self._pieces.pop(next(iter(self._pieces)))
            pieces = self._pieces[sizes, threads] = self._cut(sizes, threads)
        starts = list(map(Tensor.data_ptr, chain.from_iterable(lists)))
        if starts != pieces.starts:
            pieces.starts[:] = starts
            start_NV = np.array(starts, dtype=np.int64).reshape(len(lists), len(sizes))
            pieces.table_JI[:, self._places] = (start_NV[:, pieces.vector_J] + pieces.bytes_J).T
        pieces.do()
        return new

    def _cut(self, sizes: Sequence[int], threads: int) -> _Pieces:
        places = [(v, start) for v, size in enumerate(sizes) for start in range(0, size, _PIECE)]
        vector_J = np.array([v for v, _ in places], dtype=np.int64)
        start_J = np.array([start for _, start in places], dtype=np.int64)
        length_J = np.minimum(np.array(sizes, dtype=np.int64)[vector_J] - start_J, _PIECE)
        table_JI = self._compiler.table({}, len(places))
        table_JI[:, self._compiler.number("length")] = length_J.ctypes.data + 8 * np.arange(len(places))
        for i in range(len(self._used)):
            table_JI[:, self._compiler.number(f"number/{i}")] = self._used.ctypes.data + 4 * i
        jobs = Jobs(tables_JI=table_JI, functions=[[self._function]] * len(places), own={})
        workers = Workers(jobs, min(threads, 1 + sum(sizes) // (2 * _PIECE)), team=True)
        return _Pieces(
            vector_J=vector_J,
            bytes_J=4 * start_J,
            length_J=length_J,
            table_JI=table_JI,
            starts=[],
            do=workers.once_each(),
        )
