"""Functions of tensors as machine code.

Shapes: R run, I input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from ravine.native.expressions import Buffer, Stored, stored
from ravine.native.function import Function, function_of, written_out
from ravine.native.kept import Arrays, find_code, keep_code, kept_code
from ravine.native.lower import lower
from ravine.native.machine import made_by, object_of
from ravine.native.tensors import Tensors, Unsupported, kind_of
from ravine.trace import recorded
from ravine.version import sources

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
        return {"task": sha256(content.encode()).hexdigest(), "made_by": _made_by()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A graph, and the constants that it reads, by the node that does."""

    graph: fx.Graph
    constants: Mapping[fx.Node, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Where recordings and code are kept for others who ask for the same function.

    Args:
        recordings: those of one model.
        key: what the function depends on beside the model, and the names, shapes and types of its inputs.
        model: what these depend on beside ravine's sources; "": nobody knows, so that a later process has to record
            the function again.
    """

    recordings: MutableMapping[Hashable, Recording]
    key: tuple[Any, ...]
    model: str = ""

    def of(self, like: Hashable, make: Callable[[], Recording]) -> Recording:
        """The recording of a function of tensors like these; made if it is not known."""
        if (self.key, like) not in self.recordings:
            self.recordings[self.key, like] = make()
        return self.recordings[self.key, like]

    def code_key(self, like: Hashable, places: Sequence[_Place]) -> dict[str, Any] | None:
        """What its machine code is kept under; None: it is not."""
        if not self.model:
            return None
        content = repr([self.model, self.key, like, places])
        return {"function": sha256(content.encode()).hexdigest(), "made_by": _made_by()}


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
        known: Known | None = None,
    ) -> Function:
        """Compile a function of tensors.

        Args:
            program: takes the examples in their order. It is run once and may change them in place.
            examples: one run's tensors, by name of the input.
            outputs: for each tensor that it returns, the input in whose memory it is wanted, its shape there
                and its offset.
            trusted: inputs whose numbers, where they are indices, are known to be inside.
            prepared: changes the record before it is compiled; new nodes know their shapes and dtypes.
            known: where its recording is looked for, and kept; None: it is made for this once.

        Raises:
            Unsupported: some operation cannot be lowered.
            Untraceable: what it does depends on numbers in tensors.
        """
        given = list(examples.values())
        if known is None:
            return self._compiled(_recording(program, given, prepared), examples, outputs, trusted)[0]
        like = tuple((name, tuple(t.shape), t.dtype, _steps(t)) for name, t in examples.items())
        places = [*self._inputs(examples, trusted), *self._outputs(outputs)]
        key = known.code_key(like, places)
        made = None if key is None else find_code(key)
        if made is not None:
            return _function(made)
        found = known.of(like, lambda: _recording(program, given, prepared))
        function, made = self._compiled(found, examples, outputs, trusted)
        if key is not None and not found.constants:  # whose numbers a later process would not have
            keep_code(key, made)
        return function

    def _compiled(
        self,
        found: Recording,
        examples: Mapping[str, Tensor],
        outputs: Sequence[tuple[str, Sequence[int], int]],
        trusted: Sequence[str],
    ) -> tuple[Function, Arrays]:
        for node, tensor in found.constants.items():
            name = f"constant/{len(self.constants)}"
            self.constants[name] = tensor
            node.target = name
        made = _made(self._task(found.graph, examples, outputs, trusted))
        return _function(made), made

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
        return _function(_made(replace(task, length=(size, self.number("length")))))

    def _task(
        self,
        graph: fx.Graph,
        examples: Mapping[str, Tensor],
        outputs: Sequence[tuple[str, Sequence[int], int]],
        trusted: Sequence[str] = (),
    ) -> _Task:
        inputs = self._inputs(examples, trusted)
        names = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
        constants = {name: self.constants[name] for name in dict.fromkeys(names)}
        places = tuple(zip(constants, self._inputs(constants), strict=True))
        targets = self._outputs(outputs)
        return _Task(
            graph=graph, text=str(graph), inputs=inputs, constants=places, outputs=targets, length=None
        )

    def _inputs(
        self,
        tensors: Mapping[str, Tensor],
        trusted: Sequence[str] = (),
    ) -> tuple[_Place, ...]:
        return tuple(
            _Place(
                self.number(name),
                tensor.dtype,
                tuple(tensor.shape),
                trusted=name in trusted,
            )
            for name, tensor in tensors.items()
        )

    def _outputs(self, outputs: Sequence[tuple[str, Sequence[int], int]]) -> tuple[_Place, ...]:
        return tuple(
            _Place(self.number(name), torch.float32, tuple(shape), offset) for name, shape, offset in outputs
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
def _made(task: _Task) -> Arrays:
    """The machine code of a task: made, or out of the cache, as it is where it was made in another process."""

    def make() -> Arrays:
        text, scratch = _written(task)
        return {"object": np.frombuffer(_object_of(text), np.uint8), "scratch": np.array([scratch], np.int64)}

    return kept_code(task.key(), make)


def _function(made: Arrays) -> Function:
    return function_of(made["object"].tobytes(), int(made["scratch"][0]))


@lru_cache(maxsize=64)
def _object_of(text: str) -> bytes:
    return object_of(text)


def _made_by() -> str:
    return f"{made_by()}, PyTorch {torch.__version__}, ravine {sources()}"


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


def _recording(
    program: Callable[..., tuple[Tensor, ...]],
    examples: Sequence[Tensor],
    prepared: Callable[[fx.Graph], None] | None,
) -> Recording:
    graph, constants = recorded(program, examples)
    if any(node.target is torch.ops.aten.mkldnn_rnn_layer.default for node in graph.nodes):
        graph, constants = _elementary(program, examples)
        if len(graph.nodes) > _MANY_NODES:
            raise Unsupported("a recurrence of so many steps")
    if prepared is not None:
        prepared(graph)
    read = {
        node: getattr(constants, str(node.target)).contiguous()
        for node in graph.nodes
        if node.op == "get_attr"
    }
    return Recording(graph=graph, constants=read)


def _steps(tensor: Tensor) -> tuple[int, ...]:
    """Strides that matter."""
    return tuple(step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


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
