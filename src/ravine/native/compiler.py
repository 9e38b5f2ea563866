"""Functions of tensors as machine code.

Shapes: R run, I input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, fx

from ravine.native.expressions import Buffer, Stored, stored
from ravine.native.function import Function, compiled
from ravine.native.lower import lower
from ravine.native.tensors import Tensors, Unsupported, kind_of
from ravine.trace import trace

_MANY_NODES = 3000  # of which the lowering takes seconds


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
    ) -> Function:
        """Compile a function of tensors.

        Args:
            program: takes the examples in their order. It is run once and may change them in place.
            examples: one run's tensors, by name of the input.
            outputs: for each tensor that it returns, the input in whose memory it is wanted, its shape there
                and its offset.

        Raises:
            Unsupported: some operation cannot be lowered.
            Untraceable: what it does depends on numbers in tensors.
        """
        graph = trace(program, list(examples.values()))
        if any(node.target is torch.ops.aten.mkldnn_rnn_layer.default for node in graph.graph.nodes):
            graph = _elementary(program, list(examples.values()))
            if len(graph.graph.nodes) > _MANY_NODES:
                raise Unsupported("a recurrence of so many steps")
        for node in graph.graph.nodes:
            if node.op == "get_attr":
                name = f"constant/{len(self.constants)}"
                self.constants[name] = getattr(graph, node.target).contiguous()
                node.target = name
        tensors = self._lowered(graph.graph, examples, outputs)
        return compiled(tensors.schedule)

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
        tensors = self._lowered(graph, examples, [(name, (size,), 0) for name in outputs])
        return compiled(tensors.schedule, (size, self.number("length")))

    def _lowered(
        self,
        graph: fx.Graph,
        examples: Mapping[str, Tensor],
        outputs: Sequence[tuple[str, Sequence[int], int]],
    ) -> Tensors:
        tensors = Tensors()
        buffers: dict[str, Buffer] = {}

        def memory(name: str, dtype: torch.dtype, shape: Sequence[int], offset: int = 0) -> Stored:
            buffer = buffers.setdefault(name, Buffer(kind_of(dtype), source=self.number(name)))
            return stored(tensors.pool, buffer, shape, None, offset)

        inputs = [memory(name, tensor.dtype, tensor.shape) for name, tensor in examples.items()]
        constants = {
            name: memory(name, self.constants[name].dtype, self.constants[name].shape)
            for name in (str(node.target) for node in graph.nodes if node.op == "get_attr")
        }
        targets = [memory(name, torch.float32, shape, offset) for name, shape, offset in outputs]
        lower(tensors, graph, inputs, constants, targets)
        return tensors

    def table(self, of_run: Mapping[str, Sequence[int]], num_runs: int) -> np.ndarray:
        """Addresses of all inputs, (R, I): those given run by run, those of constants; 0 for all others."""
        table_RI = np.zeros((num_runs, len(self.numbers)), dtype=np.int64)
        for name, number in self.numbers.items():
            if name in self.constants:
                table_RI[:, number] = self.constants[name].data_ptr()
            elif name in of_run:
                table_RI[:, number] = of_run[name]
        return table_RI


def _elementary(program: Callable[..., tuple[Tensor, ...]], examples: Sequence[Tensor]) -> fx.GraphModule:
    """A trace in which a recurrence is no operation of oneDNN's, but those that it is made of, step by step."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        return trace(program, examples)
    finally:
        torch._C._set_mkldnn_enabled(before)


def rows_of(tensor: Tensor) -> list[int]:
    """Where each run's part of a tensor begins."""
    far = tensor.stride(0) * tensor.element_size()
    return [tensor.data_ptr() + i * far for i in range(tensor.shape[0])]
