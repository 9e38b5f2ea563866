"""Records the tensor operations that a function carries out, as a graph that can be run again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from ravine.aten import SAME
from ravine.dispatch import OperationMode
from ravine.errors import ModelError
from ravine.rng import draws


class Untraceable(ModelError):
    """A function whose operations depend on more than the shapes of its inputs."""


class _Recorder(OperationMode):
    """Records every operation below autograd and vmap while it is carried out."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.root = nn.Module()
        self._nodes: dict[int, fx.Node] = {}
        self._kept: list[Tensor] = []  # an id means its tensor only as long as that lives
        for i, tensor in enumerate(inputs):
            self._know(tensor, self.graph.placeholder(f"input_{i}"))

    def _know(self, tensor: Tensor, node: fx.Node) -> None:
        node.meta.setdefault("like", _like(tensor))
        node.meta.setdefault("tensor", (tuple(tensor.shape), tensor.dtype))
        if tensor.layout is torch.strided:
            node.meta.setdefault("strides", tensor.stride())
        self._nodes[id(tensor)] = node
        self._kept.append(tensor)

    def node_of(self, value: Any) -> Any:
        """The node of a tensor, or the value itself if it is no tensor. A tensor from outside becomes a constant."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._nodes:
            name = f"constant_{len(self._kept)}"
            self.root.register_buffer(name, value)
            self._know(value, self.graph.get_attr(name))
        return self._nodes[id(value)]

    def _nodes_in(self, value: Any) -> Any:
        """An argument with nodes in place of its tensors: they come alone or in lists."""
        if isinstance(value, list | tuple):
            return type(value)(map(self._nodes_in, value))
        return self.node_of(value)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise Untraceable("its control flow depends on the numbers in a tensor")
        if draws(func, args, kwargs):
            raise Untraceable(f"it draws random numbers itself, in {_name(func)}")
        if torch.Tag.dynamic_output_shape in func.tags and not _picks_by_number(func, args):
            raise Untraceable(f"the shape of the result of {_name(func)} depends on the numbers in a tensor")
        result = func(*args, **kwargs)
        if func.overloadpacket.__name__ in SAME:
            self._know(result, self.node_of(args[0]))
            return result
        named = {name: self._nodes_in(value) for name, value in kwargs.items()}
        node = self.graph.call_function(func, self._nodes_in(tuple(args)), named)
        if isinstance(result, Tensor):
            self._know(result, node)
        elif isinstance(result, tuple | list):
            for i, part in enumerate(result):
                if isinstance(part, Tensor):
                    self._know(part, self.graph.call_function(_item, (node, i)))
        return result


def _name(func: Any) -> str:
    return f"aten::{func.overloadpacket.__name__}"


class _NoEscape(TorchFunctionMode):
    """Refuses calls that read numbers out of a tensor unseen by a dispatch mode: in a trace they would be constants."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__dlpack__):
            raise Untraceable("it takes the numbers out of a tensor, for NumPy or Python")
        return func(*args, **(kwargs or {}))


def _picks_by_number(func: Any, args: Sequence[Any]) -> bool:
    """Whether a call indexes by numbers alone: then its result has the shape of its indices. With masks it has not."""
    if func is not torch.ops.aten.index.Tensor:
        return False
    return all(index is None or index.dtype in (torch.int64, torch.int32) for index in args[1])


def _like(tensor: Tensor) -> tuple[object, ...] | None:
    """What a tensor that takes this one's place in memory must have in common with it; None if it has strides."""
    return (tensor.shape, tensor.dtype, tensor.device) if tensor.is_contiguous() else None


def _item(results: Sequence[Tensor], index: int) -> Tensor:
    return results[index]


def recorded(
    function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]
) -> tuple[fx.Graph, nn.Module]:
    """The operations of a function, as a graph, and a module with the tensors that the graph gets as attributes.

    Args:
        function: takes tensors and returns a tuple of tensors; it may change its inputs in place. It is run once.
        inputs: examples of them.

    Raises:
        Untraceable: the computation depends on numbers in tensors, or on a random number generator.
    """
    recorder = _Recorder(inputs)
    with _NoEscape(), recorder:
        outputs = function(*inputs)
    recorder.graph.output(tuple(recorder.node_of(output) for output in outputs))
    recorder.graph.eliminate_dead_code()
    return recorder.graph, recorder.root


def trace(function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The operations of a function, in a module that carries them out one after another.

    Args:
        function: see `recorded`.
        inputs: examples of its inputs; every later call must have inputs of the same shapes.

    Returns:
        A module with the inputs and outputs of the function, without autograd and vmap.

    Raises:
        Untraceable: the computation depends on numbers in tensors, or on a random number generator.
    """
    graph, constants = recorded(function, inputs)
    return fx.GraphModule(constants, graph)
