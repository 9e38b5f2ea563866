"""A graph while it is lowered: what its nodes have come to, and what their lowerings may ask and do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from torch import fx

from ravine import aten
from ravine.native.expressions import Stored, Value, stored
from ravine.native.tensors import Tensors

Composite = Callable[..., Any]
"""The lowering of an operation: of a `Lowering`, its node, and its arguments with values in place of nodes."""


def dims_of(x: Value, dims: Sequence[int] | int | None) -> list[int]:
    """The dimensions that an operation goes over: those that it names; all, where it names none."""
    if dims is None or dims == []:
        return list(range(len(x.shape)))
    return [dims] if isinstance(dims, int) else list(dims)


@final
class Lowering:
    """A graph while it is lowered.

    Args:
        tensors: where everything is put.
        graph: what is lowered; every node knows its result's shape and dtype (see `ravine.trace`).
    """

    def __init__(self, tensors: Tensors, graph: fx.Graph) -> None:
        self.tensors = tensors
        self.values: dict[fx.Node, Any] = {}
        self.changed = aten.changed(graph)
        self._homes: dict[fx.Node, Stored] = {}
        self._kept: dict[tuple[fx.Node, object], Stored] = {}
        self._place = {node: number for number, node in enumerate(graph.nodes)}
        self._last = {arg: number for node, number in self._place.items() for arg in node.all_input_nodes}

    def before_writing(self, node: fx.Node, target: Stored) -> None:
        """Compute now what was to be computed later from numbers that a node writes over next."""
        for other, pending in list(self.values.items()):
            needed = self._last.get(other, -1) > self._place[node] and isinstance(pending, Value)
            if not needed or isinstance(pending, Stored):
                continue
            if any(load.buffer is target.buffer for load in self.tensors.loads(pending)):
                self.values[other] = self.tensors.real(pending)

    def once(self, node: fx.Node, what: object, make: Callable[[], Stored]) -> Stored:
        """What is made of a node's result, made once if nothing changes the result."""
        if aten.root(node) in self.changed:
            return make()
        if (node, what) not in self._kept:
            self._kept[node, what] = make()
        return self._kept[node, what]

    def home(self, node: fx.Node) -> Stored | None:
        """Where the result of a node may be put at once; None: anywhere."""
        return self._homes.get(node)

    def find_home(self, node: fx.Node, target: Stored) -> None:
        """Let the operation behind the views that end in a node put its result where theirs is wanted."""
        while node.op == "call_function" and len(node.users) == 1:
            name = aten.name_of(node) if aten.is_operation(node) else ""
            before = node.args[0]
            if name == "t" or (name == "transpose" and len(node.meta["tensor"][0]) == 2):
                flipped = target.strides[::-1] if len(target.strides) > 1 else target.strides
                target = self._at(target, target.shape[::-1], flipped)
            elif name in ("view", "_unsafe_view", "select_backward", "unsqueeze", "squeeze") and isinstance(
                before, fx.Node
            ):
                shape = before.meta["tensor"][0]
                strides = [s for s, size in zip(target.strides, target.shape, strict=True) if size != 1]
                if [size for size in shape if size != 1] != [size for size in target.shape if size != 1]:
                    return
                left = iter(strides)
                target = self._at(target, shape, [0 if size == 1 else next(left) for size in shape])
            else:
                self._homes[node] = target
                return
            assert isinstance(before, fx.Node), "a view is of a node"
            node = before

    def _at(self, target: Stored, shape: Sequence[int], strides: Sequence[int]) -> Stored:
        return stored(self.tensors.pool, target.buffer, shape, strides, target.offset)
