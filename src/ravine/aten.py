"""What PyTorch's operations do to numbers and to memory: elementwise, view, in place. Each fact is here, once.

Machine code, traced programs, `ravine.optim` and surfaces each translate operations in their own way, and keep their
translations to themselves. What an operation *is* they all look up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import fx

_OF_ONE = (
    "abs", "acos", "asin", "atan", "bitwise_not", "ceil", "celu", "clamp", "clamp_max", "clamp_min", "cos", "cosh",
    "elu", "erf", "erfinv", "exp", "exp2", "expm1", "floor", "gelu", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "isinf", "isnan", "leaky_relu", "log", "log10", "log1p", "log2", "logical_not", "mish",
    "nan_to_num", "neg", "reciprocal", "relu", "round", "rsqrt", "sgn", "sigmoid", "sign", "silu", "sin", "sinh",
    "softplus", "softshrink", "sqrt", "square", "tan", "tanh", "trunc",
)  # fmt: skip
_OF_TWO = (
    "__lshift__", "__rshift__", "_prelu_kernel", "add", "atan2", "bitwise_and", "bitwise_or", "bitwise_xor", "div",
    "elu_backward", "eq", "floor_divide", "fmod", "ge", "gelu_backward", "gt", "hardshrink_backward",
    "hardsigmoid_backward", "hardswish_backward", "hardtanh_backward", "le", "leaky_relu_backward", "logical_and",
    "logical_or", "lt", "maximum", "minimum", "mish_backward", "mul", "ne", "pow", "remainder", "rsub",
    "sigmoid_backward", "silu_backward", "softplus_backward", "softshrink_backward", "sub", "tanh_backward",
    "threshold_backward",
)  # fmt: skip
_OF_THREE = ("addcdiv", "addcmul", "lerp", "masked_fill", "where")

ELEMENTWISE: Mapping[str, int] = {
    **dict.fromkeys(_OF_ONE, 1),
    **dict.fromkeys(_OF_TWO, 2),
    **dict.fromkeys(_OF_THREE, 3),
}
"""How many operands each elementwise operation takes: a number of its result depends on one number of each operand.

The operands are its first arguments, tensors or numbers; but the second operand of ``elu_backward`` comes last.
"""

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
"""Elementwise operations whose result is a truth value, though their operands are numbers."""

SAME = ("detach", "alias", "lift_fresh")
"""Operations whose result is their argument."""

COPIES = ("clone", "_to_copy", "contiguous")
"""Operations that copy their argument into new memory; ``contiguous`` does so only where it must."""

RESHAPES = ("view", "_unsafe_view", "reshape", "_reshape_alias")
"""Operations that give their argument's numbers, row by row, another shape."""

# Views in fact, though their schemas do not say so.
_HIDDEN_VIEWS = (
    torch.ops.aten._unsafe_view.default,
    torch.ops.aten.unsafe_split.Tensor,
    torch.ops.aten.unsafe_split_with_sizes.default,
)
# Writes to running statistics, its arguments 3 and 4, though its schema does not say so.
_BATCH_NORM = torch.ops.aten.native_batch_norm.default


def is_operation(node: fx.Node) -> bool:
    """Whether a node is one of PyTorch's operations; else it is an input, a constant, or one of several results."""
    return isinstance(node.target, torch._ops.OpOverload)


def name_of(node: fx.Node) -> str:
    """The name of an operation, without its overload: ``add`` for ``aten::add.Tensor`` and ``aten::add_.Tensor``."""
    schema = _schema(node)
    name: str = schema.name.removeprefix("aten::")
    return name.removesuffix("_") if schema.is_mutable else name


def is_in_place(node: fx.Node) -> bool:
    """Whether an operation changes one of its arguments, as its schema says."""
    return is_operation(node) and _kind(node.target).in_place


def writes(node: fx.Node) -> bool:
    """Whether an operation changes one of its arguments, whether its schema says so or not."""
    return is_operation(node) and _kind(node.target).writes


def written(node: fx.Node) -> list[fx.Node]:
    """The arguments that an operation changes."""
    if node.target is _BATCH_NORM:
        return [arg for arg in node.args[3:5] if isinstance(arg, fx.Node)]
    named = [argument.name for argument in _schema(node).arguments]
    given = {**dict(zip(named, node.args, strict=False)), **node.kwargs}
    found: list[fx.Node] = []
    for argument in _schema(node).arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            fx.map_arg(given.get(argument.name), found.append)
    return found


def is_view(node: fx.Node) -> bool:
    """Whether the result of an operation is a view of its first argument."""
    return is_operation(node) and _kind(node.target).view


def root(node: fx.Node, *, apart: bool = False) -> fx.Node:
    """The node whose memory this one is, or is a view of.

    ``node.meta["root"]``, where it is set, is the answer; where results are apart, first ``node.meta["memory"]``.

    Args:
        node: of a graph.
        apart: whether several results that an operation makes anew have a memory each; else they count as one.
    """
    while True:
        if apart and "memory" in node.meta:
            return node.meta["memory"]  # type: ignore[no-any-return]
        if "root" in node.meta:
            return node.meta["root"]  # type: ignore[no-any-return]
        if node.op != "call_function" or (apart and _is_new_result(node)):
            return node
        kind = _kind(node.target) if is_operation(node) else None
        if kind is None or kind.view:
            node = node.args[0]  # type: ignore[assignment]
        elif kind.writes and kind.aliased:
            node = written(node)[0]
        else:
            return node


def _is_new_result(node: fx.Node) -> bool:
    """Whether a node is one of several results, which share no memory with an argument."""
    if is_operation(node):
        return False
    kind = _kind(node.args[0].target)  # type: ignore[union-attr]
    return not kind.view and not kind.aliased


def changed(graph: fx.Graph) -> set[fx.Node]:
    """The roots that some operation of a graph changes."""
    return {root(arg) for node in graph.nodes if writes(node) for arg in written(node)}


class _Kind(NamedTuple):
    """What an operation's schema, and what we know beyond it, say of memory."""

    in_place: bool
    writes: bool
    aliased: bool  # a result shares memory with an argument
    view: bool


@cache
def _kind(target: Any) -> _Kind:
    """Kept for each operation: passes over a graph ask for every node, again and again."""
    in_place = bool(target._schema.is_mutable)
    aliased = any(ret.alias_info is not None for ret in target._schema.returns)
    changes = in_place or target is _BATCH_NORM
    return _Kind(in_place, changes, aliased, not changes and (aliased or target in _HIDDEN_VIEWS))


def _schema(node: fx.Node) -> Any:
    return node.target._schema  # type: ignore[union-attr]
