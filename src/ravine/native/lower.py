"""A traced graph, operation by operation, as a schedule of loops, reductions and products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from ravine.native import pointwise
from ravine.native.code import Kind
from ravine.native.composite import COMPOSITE
from ravine.native.expressions import Affine, Index, Stored, Value, counters, stored
from ravine.native.tensors import Tensors, Unsupported, kind_of

_COPIES = ("clone", "_to_copy")
_SAME = ("detach", "alias", "lift_fresh", "contiguous", *_COPIES)


class Lowering:
    """Lowers graphs into one schedule.

    Args:
        tensors: where everything is put.
        graph: what to lower; every node knows its result's shape and dtype (see `ravine.trace`).
        inputs: of the graph, in memory.
        constants: what its get_attr nodes are, in memory.
        outputs: where its results are wanted, in memory that is nothing else; None: in no particular place.
    """

    def __init__(
        self,
        tensors: Tensors,
        graph: fx.Graph,
        inputs: Sequence[Stored],
        constants: Mapping[str, Stored],
        outputs: Sequence[Stored | None],
    ) -> None:
        self.t = tensors
        self.values: dict[fx.Node, Any] = {}
        self.homes: dict[fx.Node, Stored] = {}
        self._kept: dict[tuple[fx.Node, object], Stored] = {}
        self._pointwise = pointwise.table(tensors.pool)
        self._nodes = list(graph.nodes)
        self._last = {arg: number for number, node in enumerate(self._nodes) for arg in node.all_input_nodes}
        self._changed = {node.args[0] for node in self._nodes if _is_in_place(node)}
        for node in self._nodes:  # which its schema does not say
            if node.target is torch.ops.aten.native_batch_norm.default:
                self._changed.update(node.args[3:5])
        self._changed = {_root(node) for node in self._changed if isinstance(node, fx.Node)}
        placeholders = iter(inputs)
        results: Sequence[fx.Node] = next(node for node in self._nodes if node.op == "output").args[0]
        for node, target in zip(results, outputs, strict=True):
            if target is not None:
                self._find_home(node, target)
        for number, node in enumerate(self._nodes):
            self._number = number
            if node.op == "placeholder":
                self.values[node] = next(placeholders)
            elif node.op == "get_attr":
                self.values[node] = constants[str(node.target)]
            elif node.op == "call_function":
                self._lower(node)
        for node, target in zip(results, outputs, strict=True):
            value = self.values[node]
            if target is not None and not _is_at(value, target):
                self.t.real(self.t.reshaped(value, target.shape), target)

    def _lower(self, node: fx.Node) -> None:
        shape, dtype = node.meta.get("tensor", (None, None))
        if callable(node.target) and not isinstance(node.target, torch._ops.OpOverload):
            value = self.values[node.args[0]][node.args[1]]  # type: ignore[index]
        else:
            packet = node.target._schema.name.removeprefix("aten::")  # type: ignore[union-attr]
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), self.values.__getitem__)
            if _is_in_place(node):
                self._overwrite(node, packet.removesuffix("_"), args, kwargs)
                return
            value = self._computed(node, packet, args, kwargs)
        if isinstance(value, Value):
            if shape is None or value.shape != tuple(shape):
                value = self.t.reshaped(value, shape)
            value = self.t.cast(value, kind_of(dtype))
            several = len(node.users) > 1 and self.t.depth(value) > 0
            if not isinstance(value, Stored) and (several or node in self._changed):
                value = self.t.real(value)
            elif node in self._changed and _is_operation(node) and not _is_view(node):
                value = self.t.copied(value)
        self.values[node] = value

    def _computed(self, node: fx.Node, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        shape, dtype = node.meta.get("tensor", (None, None))
        if name in _COPIES and isinstance(args[0], Value) and _root(node.all_input_nodes[0]) in self._changed:
            return Value(shape=args[0].shape, kind=args[0].kind, at=args[0].at)  # as it is now
        if name in _SAME:
            return args[0]
        if name in COMPOSITE:
            return COMPOSITE[name](self, node, *args, **kwargs)
        if name in self._pointwise and dtype is not None:
            return self._elementwise(name, shape, kind_of(dtype), args, kwargs)
        raise Unsupported(f"aten::{name}")

    def _elementwise(
        self, name: str, shape: Sequence[int], kind: Kind, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Value:
        make, num = self._pointwise[name]
        if name == "elu_backward":  # whose second tensor comes last
            args = (args[0], args[-1], *args[1:-1])
        operands, others = list(args[:num]), args[num:]
        if kwargs.get("rounding_mode") is not None:
            raise Unsupported(f"aten::{name} with a rounding mode")
        named = {
            key: value
            for key, value in kwargs.items()
            if key in ("alpha", "value", "min", "max", "approximate")
        }
        if name == "clamp":
            others = (*others, *((named.pop(key, None)) for key in ("min", "max")[len(others) :]))
        given: list[Kind | None] = [each.kind if isinstance(each, Value) else None for each in operands]
        wanted = pointwise.kinds(name, given, kind)
        settled = [
            self.t.cast(each, to) if isinstance(each, Value) else self._number_as(each, to)
            for each, to in zip(operands, wanted, strict=True)
        ]
        return self.t.elementwise(shape, kind, lambda *exprs: make(*exprs, *others, **named), *settled)

    def _number_as(self, value: float | int | bool, kind: Kind) -> Value:
        """A Python number as a tensor of no dimensions."""
        return Value(shape=(), kind=kind, at=lambda _: self.t.pool.const(value, kind))

    def _overwrite(self, node: fx.Node, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """An operation in place: what still is to be computed from the old numbers is computed first."""
        target = args[0]
        if not isinstance(target, Stored):
            raise Unsupported(f"aten::{name}_ of a tensor that has no memory")
        if name == "copy":
            value = self.t.expanded(self.t.cast(args[1], target.kind), target.shape)
        elif name in ("zero", "fill"):
            given = args[1] if name == "fill" else 0
            number = given if isinstance(given, Value) else self._number_as(given, target.kind)
            value = self.t.expanded(self.t.cast(number, target.kind), target.shape)
        elif name not in self._pointwise or node.target._schema.arguments[0].alias_info is None:  # type: ignore[union-attr]
            raise Unsupported(f"aten::{name}, in place")
        else:
            value = self._elementwise(name, target.shape, target.kind, args, kwargs)
        if not _is_at(value, target):
            self.before_writing(target)
            place = target.place(counters(len(target.shape)))
            if any(load.offset != place for load in self.t.loads(value) if load.buffer is target.buffer):
                value = self.t.copied(value)
            self.t.real(value, target)
        self.values[node] = target

    def before_writing(self, target: Stored) -> None:
        """Compute now what was to be computed later from numbers that are written over next."""
        for other, pending in list(self.values.items()):
            needed = self._last.get(other, -1) > self._number and isinstance(pending, Value)
            if not needed or isinstance(pending, Stored):
                continue
            if any(load.buffer is target.buffer for load in self.t.loads(pending)):
                self.values[other] = self.t.real(pending)

    def _find_home(self, node: fx.Node, target: Stored) -> None:
        """The memory where a result is wanted, for the operation behind its views."""
        while node.op == "call_function" and len(node.users) == 1:
            name = node.target._schema.name.removeprefix("aten::") if _is_operation(node) else ""  # type: ignore[union-attr]
            before = node.args[0]
            if name == "t" or (name == "transpose" and len(node.meta["tensor"][0]) == 2):
                flipped = target.strides[::-1] if len(target.strides) > 1 else target.strides
                target = stored(self.t.pool, target.buffer, target.shape[::-1], flipped, target.offset)
            elif name in ("view", "_unsafe_view", "select_backward", "unsqueeze", "squeeze") and isinstance(
                before, fx.Node
            ):
                shape = before.meta["tensor"][0]
                strides = [s for s, size in zip(target.strides, target.shape, strict=True) if size != 1]
                if [size for size in shape if size != 1] != [size for size in target.shape if size != 1]:
                    return
                left = iter(strides)
                target = stored(
                    self.t.pool,
                    target.buffer,
                    shape,
                    [0 if size == 1 else next(left) for size in shape],
                    target.offset,
                )
            else:
                self.homes[node] = target
                return
            assert isinstance(before, fx.Node), "a view is of a node"
            node = before

    def once(self, node: fx.Node, what: object, make: Callable[[], Stored]) -> Stored:
        """What is made of a node's result, made once if nothing changes the result."""
        if _root(node) in self._changed:
            return make()
        if (node, what) not in self._kept:
            self._kept[node, what] = make()
        return self._kept[node, what]

    def home(self, node: fx.Node) -> Stored | None:
        """Where the result of a node may be put at once; None: anywhere."""
        return self.homes.get(node)

    def gathered(self, source: Value, dim: int, index: Callable[[Index], Any], shape: Sequence[int]) -> Value:
        """The tensor whose places of one dimension are numbers in memory themselves."""
        real = self.t.real(source)

        def at(where: Index) -> Any:
            rest = [Affine() if i == dim else each for i, each in enumerate(where)]
            return self.t.pool.load(real.buffer, real.place(rest), [index(where)], [real.strides[dim]])

        return Value(shape=tuple(shape), kind=real.kind, at=at)


def _is_operation(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload)


def _is_in_place(node: fx.Node) -> bool:
    return _is_operation(node) and node.target._schema.is_mutable  # type: ignore[union-attr]


def _is_view(node: fx.Node) -> bool:
    if not _is_operation(node) or _is_in_place(node):
        return False
    schema = node.target._schema  # type: ignore[union-attr]
    return any(result.alias_info is not None for result in schema.returns)


def _root(node: fx.Node) -> fx.Node:
    """The node whose memory another one shows."""
    while node.op == "call_function" and (
        _is_view(node) or _is_in_place(node) or not _is_operation(node)  # one of several results
    ):
        before = node.args[0]
        if not isinstance(before, fx.Node):
            break
        node = before
    return node


def _is_at(value: Any, target: Stored) -> bool:
    if not isinstance(value, Stored) or value.buffer is not target.buffer or value.offset != target.offset:
        return False
    mine = [s for s, size in zip(value.strides, value.shape, strict=True) if size != 1]
    theirs = [s for s, size in zip(target.strides, target.shape, strict=True) if size != 1]
    return mine == theirs
