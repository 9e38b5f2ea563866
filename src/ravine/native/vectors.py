"""A function of the numbers at one place, at all places of vectors of any length, in one pass over memory.

What depends on single numbers alone (a bias correction, say) is computed in float64, once.

Shapes: N name, V vector of a name, J job: a piece of a vector, I input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx

from ravine.native.inputs import Inputs
from ravine.native.numbers import in_tensors, of_floats
from ravine.native.tensors import Unsupported
from ravine.native.workers import Jobs, Workers
from ravine.trace import trace

_SIZE = 65_537  # of the vectors that the function is traced with: unlike any number of a rule
_PIECE = 1 << 15  # numbers that a thread takes at a time
_PLANS = 8  # sets of lengths whose pieces are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """How vectors are cut into pieces."""

    vector_J: np.ndarray
    bytes_J: np.ndarray
    length_J: np.ndarray
    table_JI: np.ndarray
    starts: list[int]  # of the vectors, name after name, as they stand in the table
    do: Callable[[], None]


class OverVectors:
    """A function that goes over vectors.

    Args:
        program: takes vectors and single numbers, and returns new ones of some of them. It is run once.
        vectors: names of its vectors.
        numbers: names of its numbers, which come after the vectors.
        results: for each tensor that it returns, which one it is the new value of; vectors come first.

    Raises:
        Unsupported: an operation that no machine code is made for, or one that needs more than a pass.
        Untraceable: what it does depends on numbers in tensors.
    """

    def __init__(
        self,
        program: Callable[..., Sequence[Tensor]],
        vectors: Sequence[str],
        numbers: Sequence[str],
        results: Sequence[str],
    ) -> None:
        examples = [torch.zeros(_SIZE) for _ in vectors] + [torch.full((), 0.5) for _ in numbers]
        graph = trace(lambda *given: tuple(program(*given)), examples)
        self._vectors, self._numbers = tuple(vectors), tuple(numbers)
        written = [name for name in results if name in vectors]
        self._new_numbers = [name for name in results if name not in vectors]
        single, over, kept = _split(graph, len(vectors), len(written))
        self._by_tensors, self._num_used = in_tensors(single), len(kept)
        self._by_floats = of_floats(single) or self._by_tensors
        self._inputs = Inputs()
        named = dict.fromkeys(vectors, examples[0])
        named.update({f"number/{i}": torch.zeros(()) for i in range(len(kept))})
        self._function = self._inputs.of_any_length(over, named, written, _SIZE)
        self._used = np.zeros(len(kept), dtype=np.float32)
        self._pieces: dict[tuple[tuple[int, ...], int], _Pieces] = {}
        self._places = [self._inputs.number(name) for name in self._vectors]

    def __call__(
        self, vectors: Mapping[str, Sequence[Tensor]], numbers: Mapping[str, float]
    ) -> dict[str, float]:
        """Carry it out; vectors are changed in place.

        Args:
            vectors: V of each name, float32, in a processor's memory, without gaps.
            numbers: by name.

        Returns:
            New numbers, by name.
        """
        given = [numbers[name] for name in self._numbers]
        try:
            found = self._by_floats(*given)
        except (ArithmeticError, ValueError):
            found = self._by_tensors(*given)
        self._used[:] = found[: self._num_used]
        lists = [vectors[name] for name in self._vectors]
        sizes, threads = tuple([tensor.numel() for tensor in lists[0]]), torch.get_num_threads()
        pieces = self._pieces.get((sizes, threads))
        if pieces is None:
            if len(self._pieces) >= _PLANS:
                self._pieces.pop(next(iter(self._pieces)))
            pieces = self._pieces[sizes, threads] = self._cut(sizes, threads)
        starts = [tensor.data_ptr() for tensors in lists for tensor in tensors]
        if starts != pieces.starts:
            pieces.starts[:] = starts
            start_NV = np.array(starts, dtype=np.int64).reshape(len(lists), len(sizes))
            pieces.table_JI[:, self._places] = (start_NV[:, pieces.vector_J] + pieces.bytes_J).T
        pieces.do()
        return dict(zip(self._new_numbers, found[self._num_used :], strict=True))

    def _cut(self, sizes: Sequence[int], threads: int) -> _Pieces:
        places = [(v, start) for v, size in enumerate(sizes) for start in range(0, size, _PIECE)]
        vector_J = np.array([v for v, _ in places], dtype=np.int64)
        start_J = np.array([start for _, start in places], dtype=np.int64)
        length_J = np.minimum(np.array(sizes, dtype=np.int64)[vector_J] - start_J, _PIECE)
        table_JI = self._inputs.table({}, len(places))
        table_JI[:, self._inputs.number("length")] = length_J.ctypes.data + 8 * np.arange(len(places))
        for i in range(self._num_used):
            table_JI[:, self._inputs.number(f"number/{i}")] = self._used.ctypes.data + 4 * i
        jobs = Jobs(tables_JI=table_JI, functions=[[self._function]] * len(places), own={})
        workers = Workers(jobs, min(threads, 1 + sum(sizes) // (2 * _PIECE)), team=True)
        still_I, stopped_J = np.zeros(table_JI.shape[1], dtype=np.int64), np.zeros(len(places), dtype=np.uint8)
        return _Pieces(
            vector_J=vector_J,
            bytes_J=4 * start_J,
            length_J=length_J,
            table_JI=table_JI,
            starts=[],
            do=workers.prepared(np.arange(len(places)), 1, still_I, stopped_J),
        )


def _split(
    graph: fx.GraphModule, num_vectors: int, num_written: int
) -> tuple[fx.GraphModule, fx.Graph, list[fx.Node]]:
    """A graph cut in two.

    Returns:
        What is computed of numbers alone, with those that vectors need and then the new ones as its results; what is
        computed of vectors, and of these numbers; the nodes of the numbers that vectors need.
    """
    nodes = list(graph.graph.nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    (outputs,) = next(node for node in nodes if node.op == "output").args
    alone = set(placeholders[num_vectors:])
    for node in nodes:
        if (node.op == "get_attr" and getattr(graph, str(node.target)).dim() == 0) or (
            node.op == "call_function" and node.meta["tensor"][0] == () and alone >= set(node.all_input_nodes)
        ):
            alone.add(node)
    written, new = outputs[:num_written], outputs[num_written:]
    if any(node in alone for node in written) or any(node not in alone for node in new):
        raise Unsupported("a vector that is one number, or a number that is computed from vectors")
    kept = [
        node
        for node in nodes
        if node in alone and any(user not in alone and user.op != "output" for user in node.users)
    ]
    numbers, over = fx.Graph(), fx.Graph()
    of_number: dict[fx.Node, fx.Node] = {}
    of_vector: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        if node in alone:
            of_number[node] = numbers.node_copy(node, of_number.__getitem__)
        elif node.op == "placeholder":
            of_vector[node] = over.node_copy(node)
    for i, node in enumerate(kept):
        of_vector[node] = over.placeholder(f"number_{i}")
        of_vector[node].meta["tensor"] = ((), torch.float32)
    for node in nodes:
        if node not in alone and node.op not in ("placeholder", "output"):
            of_vector[node] = over.node_copy(node, of_vector.__getitem__)
    numbers.output(tuple(of_number[node] for node in (*kept, *new)))
    over.output(tuple(of_vector[node] for node in written))
    return fx.GraphModule(graph, numbers), over, kept
