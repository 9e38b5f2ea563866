"""Functions of tensors as machine code.

Shapes: R run, I input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from ravine.native.expressions import Buffer, Stored, stored
from ravine.native.function import Function, function_of, written_out
from ravine.native.kept import Arrays, kept_code
from ravine.native.lower import lower
from ravine.native.machine import made_by, object_of
from ravine.native.tensors import Tensors, Unsupported, kind_of
from ravine.trace import recorded

_MANY_NODES = 3000  # of which the lowering takes seconds


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor of a function lies: at an offset of an input, by the input's number."""

    number: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int = 0
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A graph to be compiled. Its text and its places say all that the code depends on, so that equal tasks share it.

    Args:
        graph: what to compile.
        text: of the graph.
        inputs: the places of its inputs, in order.
        constants: those of its constants, by name.
        outputs: those where its results are wanted.
        length: of a function that goes over vectors of any length, see `ravine.native.function.written_out`.
    """

    graph: fx.Graph = field(compare=False, repr=False)
    text: str
    inputs: tuple[_Place, ...]
    constants: tuple[tuple[str, _Place], ...]
    outputs: tuple[_Place, ...]
    length: tuple[int, int] | None

    def key(self) -> dict[str, Any]:
        """All that its machine code depends on, as plain data."""
        about = [
            [str(node.meta.get(each)) for each in ("tensor", "strides")]
            for node in self.graph.nodes
            if "tensor" in node.meta
        ]
        places = [self.inputs, self.constants, self.outputs, self.length]
        content = json.dumps([self.text, about, repr(places)])
        by = f"{made_by()}, PyTorch {torch.__version__}, {_written_by()}"
        return {"task": sha256(content.encode()).hexdigest(), "made_by": by}


class Compiler:
    """Compiles the functions of one program, which share their numbered inputs: tensors of one run, by name."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.constants: dict[str, Tensor] = {}

    def number(self, name: str) -> int:
        """Of an input."""
        return self.numbers.setdefault(name, len(self.numbers))

    def function(
        self,
        program: Callable[..., tuple[Tensor, ...]],
        examples: Mapping[str, Tensor],
        outputs: Sequence[tuple[str, Sequence[int], int]],
        trusted: Sequence[str] = (),
        prepared: Callable[[fx.Graph], None] | None = None,
    ) -> Function:
        """Compile a function of tensors.

        Args:
            program: takes the examples in their order. It is run once and may change them in place.
            examples: one run's tensors, by name of the input.
            outputs: for each tensor that it returns, the input in whose memory it is wanted, its shape there
                and its offset.
            trusted: inputs whose numbers, where they are indices, are known to be inside.
            prepared: changes the record before it is compiled; new nodes know their shapes and dtypes.

        Raises:
            Unsupported: some operation cannot be lowered.
            Untraceable: what it does depends on numbers in tensors.
        """
        graph, constants = recorded(program, list(examples.values()))
        if any(node.target is torch.ops.aten.mkldnn_rnn_layer.default for node in graph.nodes):
            graph, constants = _elementary(program, list(examples.values()))
            if len(graph.nodes) > _MANY_NODES:
                raise Unsupported("a recurrence of so many steps")
        for node in graph.nodes:
            if node.op == "get_attr":
                name = f"constant/{len(self.constants)}"
                self.constants[name] = getattr(constants, node.target).contiguous()
                node.target = name
        if prepared is not None:
            prepared(graph)
        return _compiled(self._task(graph, examples, outputs, trusted))

    def of_any_length(
        self, graph: fx.Graph, examples: Mapping[str, Tensor], outputs: Sequence[str], size: int
    ) -> Function:
        """Compile a graph that goes over vectors, in one pass.

        Args:
            graph: of a traced function.
            examples: its inputs, by name: vectors of some size and single numbers.
            outputs: the inputs in whose memory its results, vectors, are wanted.
            size: of the vectors, unlike any other number. In the function, the input "length" says how long they are.

        Raises:
            Unsupported: some operation cannot be lowered, or more than one pass would be needed.
        """
        task = self._task(graph, examples, [(name, (size,), 0) for name in outputs])
        return _compiled(replace(task, length=(size, self.number("length"))))

    def _task(
        self,
        graph: fx.Graph,
        examples: Mapping[str, Tensor],
        outputs: Sequence[tuple[str, Sequence[int], int]],
        trusted: Sequence[str] = (),
    ) -> _Task:
        def place(name: str, tensor: Tensor) -> _Place:
            shape = tuple(tensor.shape)
            return _Place(self.number(name), tensor.dtype, shape, trusted=name in trusted)

        inputs = tuple(place(name, tensor) for name, tensor in examples.items())
        names = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
        constants = tuple((name, place(name, self.constants[name])) for name in dict.fromkeys(names))
        targets = tuple(
            _Place(self.number(name), torch.float32, tuple(shape), offset) for name, shape, offset in outputs
        )
        return _Task(
            graph=graph, text=str(graph), inputs=inputs, constants=constants, outputs=targets, length=None
        )

    def table(self, of_run: Mapping[str, Sequence[int]], num_runs: int) -> np.ndarray:
        """Addresses of all inputs, (R, I): those given run by run, those of constants; 0 for all others."""
        table_RI = np.zeros((num_runs, len(self.numbers)), dtype=np.int64)
        for name, number in self.numbers.items():
            if name in self.constants:
                table_RI[:, number] = self.constants[name].data_ptr()
            elif name in of_run:
                table_RI[:, number] = of_run[name]
        return table_RI


@lru_cache(maxsize=64)
def _compiled(task: _Task) -> Function:
    """The function of a task: made, or out of the cache, as it is where it was made in another process."""

    def make() -> Arrays:
        text, scratch = _written(task)
        return {"object": np.frombuffer(_object_of(text), np.uint8), "scratch": np.array([scratch], np.int64)}

    made = kept_code(task.key(), make)
    return function_of(made["object"].tobytes(), int(made["scratch"][0]))


@lru_cache(maxsize=64)
def _object_of(text: str) -> bytes:
    return object_of(text)


@cache
def _written_by() -> str:
    """A hash of the code that writes machine code."""
    room = Path(__file__).parent
    sources = [*sorted(room.glob("*.py")), room.parent / "aten.py"]
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _written(task: _Task) -> tuple[str, int]:
    """The text of a task's module, and the bytes of scratch memory that its function needs."""
    tensors = Tensors()
    buffers: dict[int, Buffer] = {}

    def memory(place: _Place) -> Stored:
        kind = kind_of(place.dtype)
        buffer = buffers.setdefault(place.number, Buffer(kind, source=place.number, trusted=place.trusted))
        return stored(tensors.pool, buffer, place.shape, None, place.offset)

    inputs = [memory(place) for place in task.inputs]
    constants = {name: memory(place) for name, place in task.constants}
    lower(tensors, task.graph, inputs, constants, [memory(place) for place in task.outputs])
    return written_out(tensors.schedule, task.length)


def _elementary(
    program: Callable[..., tuple[Tensor, ...]], examples: Sequence[Tensor]
) -> tuple[fx.Graph, nn.Module]:
    """A record in which a recurrence is no operation of oneDNN's, but those that it is made of, step by step."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        return recorded(program, examples)
    finally:
        torch._C._set_mkldnn_enabled(before)


def rows_of(tensor: Tensor) -> list[int]:
    """Where each run's part of a tensor begins."""
    far = tensor.stride(0) * tensor.element_size()
    return [tensor.data_ptr() + i * far for i in range(tensor.shape[0])]
