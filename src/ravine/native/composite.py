"""PyTorch's operations that are more than elementwise: views, sums, products."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

from ravine import aten
from ravine.native.activations import ACTIVATIONS
from ravine.native.arranging import ARRANGING
from ravine.native.bags import BAGS
from ravine.native.code import Kind
from ravine.native.convolution import CONVOLUTIONS
from ravine.native.expressions import Affine, Expr, Index, Stored, Value
from ravine.native.extremes import EXTREMES
from ravine.native.lookups import LOOKUPS
from ravine.native.lowering import Composite, Lowering, dims_of
from ravine.native.norms import NORMS, mean_of
from ravine.native.pooling import POOLING
from ravine.native.statistics import STATISTICS
from ravine.native.tensors import Unsupported, kind_of


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor"][0])


def _kind(node: fx.Node) -> Kind:
    return kind_of(node.meta["tensor"][1])


# Views.


def _view(low: Lowering, node: fx.Node, x: Value, *_: Any) -> Value:
    return low.tensors.reshaped(x, _shape(node))


def _t(low: Lowering, node: fx.Node, x: Value) -> Value:
    return low.tensors.transposed(x, range(len(x.shape))[::-1])


def _transpose(low: Lowering, node: fx.Node, x: Value, first: int, second: int) -> Value:
    order = list(range(len(x.shape)))
    order[first], order[second] = order[second], order[first]
    return low.tensors.transposed(x, order)


def _permute(low: Lowering, node: fx.Node, x: Value, order: Sequence[int]) -> Value:
    return low.tensors.transposed(x, order)


def _expand(low: Lowering, node: fx.Node, x: Value, shape: Sequence[int], *, implicit: bool = False) -> Value:
    return low.tensors.expanded(x, _shape(node))


def _select(low: Lowering, node: fx.Node, x: Value, dim: int, place: int) -> Value:
    return low.tensors.without(low.tensors.sliced(x, dim, place % x.shape[dim], 1), [dim])


def _slice(
    low: Lowering,
    node: fx.Node,
    x: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    first = slice(start, end, step).indices(x.shape[dim])[0]
    return low.tensors.sliced(x, dim, first, _shape(node)[dim], step)


def _split(low: Lowering, node: fx.Node, x: Value, size: int | Sequence[int], dim: int = 0) -> list[Value]:
    sizes = (
        [min(size, x.shape[dim] - i) for i in range(0, x.shape[dim], size)] if isinstance(size, int) else size
    )
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [low.tensors.sliced(x, dim, start, num) for start, num in zip(starts, sizes, strict=True)]


def _unbind(low: Lowering, node: fx.Node, x: Value, dim: int = 0) -> list[Value]:
    return [low.tensors.without(low.tensors.sliced(x, dim, i, 1), [dim]) for i in range(x.shape[dim])]


def _unfold(low: Lowering, node: fx.Node, x: Value, dim: int, size: int, step: int) -> Value:
    def move(index: Index) -> list[Affine]:
        inside = index[-1]
        return [
            each.times(step) + inside if i == dim % len(x.shape) else each
            for i, each in enumerate(index[:-1])
        ]

    return low.tensors.view(x, _shape(node), move)


def _slice_backward(
    low: Lowering, node: fx.Node, grad: Value, sizes: Sequence[int], dim: int, start: int, end: int, step: int
) -> Value:
    whole = low.tensors.memory(grad.kind, sizes)
    low.tensors.fill(whole, 0)
    first = slice(start, end, step).indices(sizes[dim])[0]
    target = low.tensors.sliced(whole, dim, first, grad.shape[dim], step)
    assert isinstance(target, Stored), "a view of memory is memory"
    low.tensors.real(grad, target)
    return whole


def _select_backward(
    low: Lowering, node: fx.Node, grad: Value, sizes: Sequence[int], dim: int, place: int
) -> Value:
    dim %= len(sizes)
    wider = low.tensors.reshaped(grad, [1 if i == dim else size for i, size in enumerate(sizes)])
    if sizes[dim] == 1:
        return wider
    first = place % sizes[dim]
    return _slice_backward(low, node, wider, sizes, dim, first, first + 1, 1)


def _pad(low: Lowering, node: fx.Node, x: Value, pads: Sequence[int], number: float = 0.0) -> Value:
    """Places around a tensor, the last dimension's come first; less than none: it is cut."""
    tensors, places, sizes = low.tensors, [], list(x.shape)
    for i in range(len(pads) // 2):
        dim, (before, after) = len(x.shape) - 1 - i, pads[2 * i : 2 * i + 2]
        sizes[dim] += before + after
        first = max(0, -before)
        x = tensors.sliced(x, dim, first, x.shape[dim] - first - max(0, -after))
        places.append((dim, max(0, before), x.shape[dim]))
    if tuple(sizes) == x.shape:
        return x
    whole = tensors.memory_like(x, sizes)
    tensors.fill(whole, number)
    target: Value = whole
    for dim, before, size in places:
        target = tensors.sliced(target, dim, before, size)
    assert isinstance(target, Stored), "a view of memory is memory"
    tensors.real(x, target)
    return whole


# Numbers that depend on nothing but their place.


def _filled(number: float | None) -> Composite:
    def lower(low: Lowering, node: fx.Node, *args: Any, **_: Any) -> Value:
        value = args[-1] if number is None else number
        kind = _kind(node)
        return Value(shape=_shape(node), kind=kind, at=lambda _: low.tensors.pool.const(value, kind))

    return lower


def _arange(low: Lowering, node: fx.Node, *args: Any, **_: Any) -> Value:
    start, step = (args[0] if len(args) > 1 else 0), (args[2] if len(args) > 2 else 1)
    if _kind(node) != "i64":
        raise Unsupported("arange of floats")
    return Value(
        shape=_shape(node), kind="i64", at=lambda index: low.tensors.pool.index(index[0].times(step, start))
    )


def _triangle(side: str) -> Composite:
    """What is not above ("le") or not below ("ge") a diagonal; zeros elsewhere."""

    def lower(low: Lowering, node: fx.Node, x: Value, diagonal: int = 0) -> Value:
        pool = low.tensors.pool

        def at(index: Index) -> Expr:
            inside = pool.op(side, "i1", pool.index(index[-1]), pool.index(index[-2].times(1, diagonal)))
            return pool.op("select", x.kind, inside, x.at(index), pool.const(0, x.kind))

        return Value(shape=x.shape, kind=x.kind, at=at)

    return lower


# Several in one.


def _cat(low: Lowering, node: fx.Node, parts: Sequence[Value], dim: int = 0) -> Value:
    if len(parts) == 1:
        return parts[0]
    return low.tensors.joined([low.tensors.cast(part, _kind(node)) for part in parts], dim)


def _stack(low: Lowering, node: fx.Node, parts: Sequence[Value], dim: int = 0) -> Value:
    dim %= len(parts[0].shape) + 1
    wider = [low.tensors.reshaped(part, (*part.shape[:dim], 1, *part.shape[dim:])) for part in parts]
    return _cat(low, node, wider, dim)


# Sums.


def _sum(
    low: Lowering, node: fx.Node, x: Value, dims: Any = None, keep: bool = False, *, dtype: Any = None
) -> Value:
    x = low.tensors.cast(x, _kind(node))
    return low.tensors.reduced("add", x, dims_of(x, dims), keep, low.home(node))


def _mean(
    low: Lowering, node: fx.Node, x: Value, dims: Any = None, keep: bool = False, *, dtype: Any = None
) -> Value:
    return mean_of(low, x, dims_of(x, dims), keep)


def _logsumexp(low: Lowering, node: fx.Node, x: Value, dims: Sequence[int], keep: bool = False) -> Value:
    tensors, x = low.tensors, low.tensors.real(x)
    top = tensors.real(tensors.reduced("max", x, dims_of(x, dims), True))
    total = tensors.reduced("add", tensors.op("exp", tensors.op("sub", x, top)), dims_of(x, dims), True)
    return tensors.reshaped(tensors.op("add", tensors.op("log", total), top), _shape(node))


# Products.


def _mm(low: Lowering, node: fx.Node, left: Value, right: Value) -> Value:
    return low.tensors.product(left, right, low.home(node))


def _addmm(
    low: Lowering, node: fx.Node, base: Value, left: Value, right: Value, *, beta: float = 1, alpha: float = 1
) -> Value:
    product: Value = low.tensors.product(left, right)
    if alpha != 1:
        product = low.tensors.op("mul", product, float(alpha))
    return low.tensors.op("add", base if beta == 1 else low.tensors.op("mul", base, float(beta)), product)


def _mv(low: Lowering, node: fx.Node, left: Value, right: Value) -> Value:
    column = low.tensors.reshaped(right, (*right.shape, 1))
    return low.tensors.reshaped(low.tensors.product(left, column), _shape(node))


COMPOSITE: Mapping[str, Composite] = {
    **NORMS, **CONVOLUTIONS, **POOLING, **LOOKUPS, **BAGS, **EXTREMES,
    **ACTIVATIONS, **STATISTICS, **ARRANGING,
    **dict.fromkeys((*aten.RESHAPES, "unsqueeze", "squeeze"), _view),
    "t": _t, "transpose": _transpose, "permute": _permute, "expand": _expand,
    "select": _select, "slice": _slice, "unbind": _unbind,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), _split),
    "unfold": _unfold,
    "select_backward": _select_backward, "slice_backward": _slice_backward, "constant_pad_nd": _pad,
    "zeros_like": _filled(0), "ones_like": _filled(1), "new_zeros": _filled(0), "new_ones": _filled(1),
    "empty": _filled(0), "new_empty": _filled(0), "empty_like": _filled(0), "new_empty_strided": _filled(0),
    "zeros": _filled(0), "ones": _filled(1),
    "full": _filled(None), "full_like": _filled(None), "new_full": _filled(None),
    "scalar_tensor": _filled(None), "arange": _arange, "tril": _triangle("le"), "triu": _triangle("ge"),
    "cat": _cat, "stack": _stack,
    "sum": _sum, "mean": _mean, "logsumexp": _logsumexp, "mm": _mm,
    "bmm": _mm, "addmm": _addmm, "baddbmm": _addmm, "mv": _mv,
}  # fmt: skip
