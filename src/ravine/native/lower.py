"""A traced graph, operation by operation, as a schedule of loops, reductions and products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, final

from torch import fx

from ravine import aten
from ravine.native import pointwise
from ravine.native.code import Kind
from ravine.native.composite import COMPOSITE
from ravine.native.expressions import Stored, Value, contiguous_strides, counters, strides_agree
from ravine.native.lookups import WRITES
from ravine.native.lowering import Lowering
from ravine.native.tensors import Tensors, Unsupported, kind_of

_BOUNDS = {"clamp_min": "maximum", "clamp_max": "minimum"}  # by a tensor
# In place, these change a tensor's shape and strides, but no number.
_TURNED = ("t", "transpose", "squeeze", "unsqueeze")


def lower(
    tensors: Tensors,
    graph: fx.Graph,
    inputs: Sequence[Stored],
    constants: Mapping[str, Stored],
    outputs: Sequence[Stored | None],
) -> None:
    """Put a graph into a schedule.

    Args:
        tensors: they have the schedule.
        graph: what to lower; every node knows its result's shape and dtype (see `ravine.trace`).
        inputs: of the graph, in memory.
        constants: the tensors of its get_attr nodes, in memory.
        outputs: where its results are wanted, in memory of their own; None: anywhere.

    Raises:
        Unsupported: no machine code is made for some operation.
    """
    low = Lowering(tensors, graph)
    operations = _Operations(low)
    placeholders = iter(inputs)
    results: Sequence[fx.Node] = next(node for node in graph.nodes if node.op == "output").args[0]
    for node, target in zip(results, outputs, strict=True):
        if target is not None:
            low.find_home(node, target)
    for node in graph.nodes:
        if node.op == "placeholder":
            low.values[node] = next(placeholders)
        elif node.op == "get_attr":
            low.values[node] = constants[str(node.target)]
        elif node.op == "call_function":
            operations.lower(node)
    for node, target in zip(results, outputs, strict=True):
        value = low.values[node]
        if target is not None and not _is_at(value, target):
            tensors.real(tensors.reshaped(value, target.shape), target)


@final
class _Operations:
    """Lowers the operations of a graph, one after another."""

    def __init__(self, low: Lowering) -> None:
        self._low, self._tensors = low, low.tensors
        self._pointwise = pointwise.table(low.tensors.pool)

    def lower(self, node: fx.Node) -> None:
        """Lower one operation, whose arguments have been lowered."""
        values, tensors = self._low.values, self._tensors
        shape, dtype = node.meta.get("tensor", (None, None))
        if not aten.is_operation(node):
            value = values[node.args[0]][node.args[1]]  # type: ignore[index]
        else:
            name = aten.name_of(node)
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), values.__getitem__)
            if aten.is_in_place(node):
                self._overwrite(node, name, args, kwargs)
                return
            value = self._computed(node, name, args, kwargs)
        if isinstance(value, Value):
            if shape is None or value.shape != tuple(shape):
                value = tensors.reshaped(value, shape)
            value = tensors.cast(value, kind_of(dtype))
            several = len(node.users) > 1 and tensors.depth(value) > 0
            made_by = node if aten.is_operation(node) else node.args[0]  # which may have several results
            if not isinstance(value, Stored) and (several or node in self._low.changed):
                value = tensors.real(value)
            elif made_by in self._low.changed and not aten.is_view(node):
                value = tensors.copied(value)
        values[node] = value

    def _computed(self, node: fx.Node, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        shape, dtype = node.meta.get("tensor", (None, None))
        is_copy = name in aten.COPIES and isinstance(args[0], Value)
        if is_copy and aten.root(node.all_input_nodes[0]) in self._low.changed:
            return Value(shape=args[0].shape, kind=args[0].kind, at=args[0].at)  # as it is now
        if name in (*aten.SAME, *aten.COPIES):
            return args[0]
        if name == "as_strided" and _is_in_order(node):
            return self._tensors.reshaped(self._in_order(args[0]), shape)
        if name in COMPOSITE:
            return COMPOSITE[name](self._low, node, *args, **kwargs)
        if name in self._pointwise and dtype is not None:
            return self._elementwise(name, shape, kind_of(dtype), args, kwargs)
        raise Unsupported(f"aten::{name}")

    def _elementwise(
        self, name: str, shape: Sequence[int], kind: Kind, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Value:
        if name in _BOUNDS and len(args) > 1 and isinstance(args[1], Value):
            name = _BOUNDS[name]
        make, num = self._pointwise[name], aten.ELEMENTWISE[name]
        if name == "elu_backward":  # whose second tensor comes last
            args = (args[0], args[-1], *args[1:-1])
        operands, others = list(args[:num]), args[num:]
        if (kwargs.get("rounding_mode") or name == "floor_divide") and kind != "i64":
            raise Unsupported(f"aten::{name} of floats with a rounding mode")
        named = {
            key: value
            for key, value in kwargs.items()
            if key in ("alpha", "value", "min", "max", "approximate", "rounding_mode")
        }
        if name == "clamp":
            others = (*others, *((named.pop(key, None)) for key in ("min", "max")[len(others) :]))
        given: list[Kind | None] = [each.kind if isinstance(each, Value) else None for each in operands]
        wanted = pointwise.kinds(name, given, kind)
        settled = [
            self._tensors.cast(each, to) if isinstance(each, Value) else self._number_as(each, to)
            for each, to in zip(operands, wanted, strict=True)
        ]
        return self._tensors.elementwise(shape, kind, lambda *exprs: make(*exprs, *others, **named), *settled)

    def _number_as(self, value: float | int | bool, kind: Kind) -> Value:
        """A Python number as a tensor of no dimensions."""
        return Value(shape=(), kind=kind, at=lambda _: self._tensors.pool.const(value, kind))

    def _in_order(self, value: Value) -> Stored:
        """The tensor itself, which must be in memory row by row: a view of it may be written to."""
        if not isinstance(value, Stored) or not value.contiguous:
            raise Unsupported("aten::as_strided")
        return value

    def _overwrite(self, node: fx.Node, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Lower an operation in place: values that still need the old numbers are computed first."""
        tensors, target = self._tensors, args[0]
        if aten.written(node) != [node.args[0]] or (name == "as_strided" and not _is_in_order(node)):
            raise Unsupported(f"aten::{name}, in place")
        if name == "as_strided":
            self._low.values[node] = self._tensors.reshaped(self._in_order(target), args[1])
            return
        if name in _TURNED:
            self._low.values[node] = COMPOSITE[name](self._low, node, *args)
            return
        if not isinstance(target, Stored):
            raise Unsupported(f"aten::{name}_ of a tensor that has no memory")
        if name in WRITES:
            self._low.before_writing(node, target)
            WRITES[name](self._low, node, target, *args[1:], **kwargs)
            self._low.values[node] = target
            return
        if name == "copy":
            value = tensors.expanded(tensors.cast(args[1], target.kind), target.shape)
        elif name in ("zero", "fill"):
            given = args[1] if name == "fill" else 0
            number = given if isinstance(given, Value) else self._number_as(given, target.kind)
            value = tensors.expanded(tensors.cast(number, target.kind), target.shape)
        elif name not in self._pointwise:
            raise Unsupported(f"aten::{name}, in place")
        else:
            value = self._elementwise(name, target.shape, target.kind, args, kwargs)
        if not _is_at(value, target):
            self._low.before_writing(node, target)
            place = target.place(counters(len(target.shape)))
            if any(load.offset != place for load in tensors.loads(value) if load.buffer is target.buffer):
                value = tensors.copied(value)
            tensors.real(value, target)
        self._low.values[node] = target


def _is_in_order(node: fx.Node) -> bool:
    """Whether an as_strided is the whole tensor, row by row.

    Pooling to one place makes one, to mark its result as channels last.
    """
    before, shape, strides, *rest = node.args
    assert isinstance(before, fx.Node), "it is of a node"
    contiguous = before.meta.get("like")
    if contiguous is None or contiguous[0].numel() != prod(shape) or any(rest):  # type: ignore[arg-type]
        return False
    return strides_agree(strides, contiguous_strides(shape), shape)  # type: ignore[arg-type]


def _is_at(value: Any, target: Stored) -> bool:
    if not isinstance(value, Stored) or value.buffer is not target.buffer or value.offset != target.offset:
        return False
    mine = [s for s, size in zip(value.strides, value.shape, strict=True) if size != 1]
    theirs = [s for s, size in zip(target.strides, target.shape, strict=True) if size != 1]
    return mine == theirs
