"""PyTorch's norms and softmax, and their gradients, in sums and elementwise operations."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import fx

from ravine.native.expressions import Stored, Value
from ravine.native.lowering import Composite, Lowering


def mean_of(low: Lowering, x: Value, dims: Sequence[int], keep: bool = True) -> Value:
    """The mean over some dimensions."""
    num = prod(x.shape[dim] for dim in dims) if x.shape else 1
    return low.tensors.op("mul", low.tensors.reduced("add", x, dims, keep), 1.0 / num)


def _moments(low: Lowering, x: Value, dims: Sequence[int]) -> tuple[Value, Value, Value]:
    """The mean over some dimensions, the distances from it, and the mean of their squares."""
    center = low.tensors.real(mean_of(low, x, dims))
    offset = low.tensors.op("sub", x, center)
    return center, offset, mean_of(low, low.tensors.op("mul", offset, offset), dims)


def _inverse_root(low: Lowering, spread: Value, eps: float) -> Value:
    """``1 / sqrt(spread + eps)``."""
    op = low.tensors.op
    return low.tensors.real(op("div", 1.0, op("sqrt", op("add", spread, eps))))


def _through(low: Lowering, inward: Value, normal: Value, scale: Value, dims: Sequence[int]) -> Value:
    """The gradient that passes through a standardization: without its mean, and without its part along ``normal``."""
    op = low.tensors.op
    average = low.tensors.real(mean_of(low, inward, dims))
    along = low.tensors.real(mean_of(low, op("mul", inward, normal), dims))
    return op("mul", op("sub", op("sub", inward, average), op("mul", normal, along)), scale)


def _batch_norm(
    low: Lowering,
    node: fx.Node,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Value, ...]:
    tensors, x, dims = low.tensors, low.tensors.real(x), [dim for dim in range(len(x.shape)) if dim != 1]
    if not training:
        assert mean is not None, "without statistics of its own it uses the batch's"
        assert variance is not None, "mean and variance are there together"
        center, scale = _frozen(low, mean, variance, x, eps)
        empty = tensors.memory("f32", (0,))
        return _affine(low, x, center, scale, weight, bias), empty, empty
    num = prod(x.shape) // x.shape[1]
    center, _, spread = _moments(low, x, dims)
    spread = tensors.real(spread)
    scale = _inverse_root(low, spread, eps)
    for running, new in (
        (mean, center),
        (variance, tensors.op("mul", spread, num / (num - 1) if num > 1 else float("nan"))),
    ):
        if running is not None:
            assert isinstance(running, Stored), "running statistics lie in memory"
            flat = tensors.reshaped(new, running.shape)
            kept = tensors.op("mul", running, 1.0 - momentum)
            low.before_writing(node, running)
            tensors.real(tensors.op("add", kept, tensors.op("mul", flat, momentum)), running)
    short = (x.shape[1],)
    return (
        _affine(low, x, center, scale, weight, bias),
        tensors.reshaped(center, short),
        tensors.reshaped(scale, short),
    )


def _frozen(low: Lowering, mean: Value, variance: Value, x: Value, eps: float) -> tuple[Value, Value]:
    """A batch norm's own center and scale."""
    scale = _inverse_root(low, _channels(low, variance, x), eps)
    return _channels(low, mean, x), scale


def _channels(low: Lowering, values: Value, x: Value) -> Value:
    return low.tensors.reshaped(values, [size if dim == 1 else 1 for dim, size in enumerate(x.shape)])


def _affine(
    low: Lowering, x: Value, center: Value, scale: Value, weight: Value | None, bias: Value | None
) -> Value:
    result = low.tensors.op("mul", low.tensors.op("sub", x, center), scale)
    if weight is not None:
        result = low.tensors.op("mul", result, _channels(low, weight, x))
    return result if bias is None else low.tensors.op("add", result, _channels(low, bias, x))


def _batch_norm_backward(
    low: Lowering,
    node: fx.Node,
    grad: Value,
    x: Value,
    weight: Value | None,
    mean: Value | None,
    variance: Value | None,
    center: Value,
    scale: Value,
    training: bool,
    eps: float,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    tensors, x, grad = low.tensors, low.tensors.real(x), low.tensors.real(grad)
    dims = [dim for dim in range(len(x.shape)) if dim != 1]
    if training:
        center, scale = _channels(low, center, x), _channels(low, scale, x)
    else:
        assert mean is not None, "without statistics of its own it uses the batch's"
        assert variance is not None, "mean and variance are there together"
        center, scale = _frozen(low, mean, variance, x, eps)
    normal = tensors.op("mul", tensors.op("sub", x, center), scale)
    by_bias = tensors.real(tensors.reduced("add", grad, dims, True))
    by_weight = tensors.real(tensors.reduced("add", tensors.op("mul", grad, normal), dims, True))
    by_x: Value = grad
    if training:
        num = prod(x.shape) // x.shape[1]
        pulled = tensors.op("add", by_bias, tensors.op("mul", normal, by_weight))
        by_x = tensors.op("sub", grad, tensors.op("mul", pulled, 1.0 / num))
    by_x = tensors.op("mul", by_x, scale)
    if weight is not None:
        by_x = tensors.op("mul", by_x, _channels(low, weight, x))
    short = (x.shape[1],)
    return by_x, tensors.reshaped(by_weight, short), tensors.reshaped(by_bias, short)


def _layer_norm(
    low: Lowering,
    node: fx.Node,
    x: Value,
    shape: Sequence[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> tuple[Value, ...]:
    tensors, x, dims = low.tensors, low.tensors.real(x), list(range(len(x.shape) - len(shape), len(x.shape)))
    center, offset, spread = _moments(low, x, dims)
    scale = _inverse_root(low, spread, eps)
    result = tensors.op("mul", offset, scale)
    if weight is not None:
        result = tensors.op("mul", result, weight)
    return (result if bias is None else tensors.op("add", result, bias)), center, scale


def _layer_norm_backward(
    low: Lowering,
    node: fx.Node,
    grad: Value,
    x: Value,
    shape: Sequence[int],
    center: Value,
    scale: Value,
    weight: Value | None,
    bias: Value | None,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    tensors, x, grad = low.tensors, low.tensors.real(x), low.tensors.real(grad)
    before = list(range(len(x.shape) - len(shape)))
    dims = list(range(len(before), len(x.shape)))
    normal = tensors.op("mul", tensors.op("sub", x, center), scale)
    inward = grad if weight is None else tensors.op("mul", grad, weight)
    by_x = _through(low, inward, normal, scale, dims)
    by_weight = tensors.reduced("add", tensors.op("mul", grad, normal), before, False) if wanted[1] else None
    by_bias = tensors.reduced("add", grad, before, False) if wanted[2] else None
    return by_x, by_weight, by_bias


def _group_norm(
    low: Lowering,
    node: fx.Node,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    batch: int,
    channels: int,
    places: int,
    groups: int,
    eps: float,
) -> tuple[Value, ...]:
    tensors, x = low.tensors, low.tensors.real(x)
    parts = _groups(low, x, groups)
    dims = list(range(2, len(parts.shape)))
    center, offset, spread = _moments(low, parts, dims)
    scale = _inverse_root(low, spread, eps)
    result = tensors.op("mul", offset, scale)
    for factor, op in ((weight, "mul"), (bias, "add")):
        if factor is not None:
            result = tensors.op(op, result, _of_group(low, factor, parts))
    return tensors.reshaped(tensors.real(result), x.shape), center, scale


def _groups(low: Lowering, x: Value, groups: int) -> Value:
    """(B, C, ...) as (B, G, C / G, ...)."""
    batch, channels, *rest = x.shape
    return low.tensors.reshaped(x, (batch, groups, channels // groups, *rest))


def _of_group(low: Lowering, values: Value, parts: Value) -> Value:
    """(C,) as (G, C / G, 1, ...)."""
    return low.tensors.reshaped(values, (*parts.shape[1:3], *[1] * (len(parts.shape) - 3)))


def _group_norm_backward(
    low: Lowering,
    node: fx.Node,
    grad: Value,
    x: Value,
    center: Value,
    scale: Value,
    weight: Value | None,
    batch: int,
    channels: int,
    places: int,
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    tensors, x, grad = low.tensors, low.tensors.real(x), low.tensors.real(grad)
    parts, inward = _groups(low, x, groups), _groups(low, grad, groups)
    dims = list(range(2, len(parts.shape)))
    short = (*parts.shape[:2], *[1] * len(dims))
    center, scale = tensors.reshaped(center, short), tensors.reshaped(scale, short)
    normal = tensors.op("mul", tensors.op("sub", parts, center), scale)
    others = [0, *dims[1:]]
    by_weight = (
        tensors.reduced("add", tensors.op("mul", inward, normal), others, False) if wanted[1] else None
    )
    by_bias = tensors.reduced("add", inward, others, False) if wanted[2] else None
    if weight is not None:
        inward = tensors.op("mul", inward, _of_group(low, weight, parts))
    by_x = _through(low, inward, normal, scale, dims)
    return tensors.reshaped(tensors.real(by_x), x.shape), by_weight, by_bias


def _softmax(low: Lowering, node: fx.Node, x: Value, dim: int, half: bool) -> Value:
    exps = low.tensors.real(_exps(low, x, dim))
    return low.tensors.op("div", exps, low.tensors.reduced("add", exps, [dim], True))


def _exps(low: Lowering, x: Value, dim: int) -> Value:
    x = low.tensors.real(x)
    return low.tensors.op("exp", low.tensors.op("sub", x, low.tensors.reduced("max", x, [dim], True)))


def _safe_softmax(low: Lowering, node: fx.Node, x: Value, dim: int, dtype: Any = None) -> Value:
    """As a softmax, but zeros where all is minus infinity: where attention may look at nothing."""
    tensors, x = low.tensors, low.tensors.real(x)
    top = tensors.real(tensors.reduced("max", x, [dim], True))
    lowest = Value(shape=(), kind="f32", at=lambda _: tensors.pool.const(float("-inf"), "f32"))
    nothing = tensors.op("eq", top, lowest, kind="i1")
    exps = tensors.real(tensors.op("exp", tensors.op("sub", x, top)))
    share = tensors.op("div", exps, tensors.reduced("add", exps, [dim], True))
    return tensors.op("select", nothing, 0.0, share)


def _softmax_backward(low: Lowering, node: fx.Node, grad: Value, y: Value, dim: int, _: Any) -> Value:
    tensors, grad = low.tensors, low.tensors.real(grad)
    total = tensors.reduced("add", tensors.op("mul", grad, y), [dim], True)
    return tensors.op("mul", tensors.op("sub", grad, total), y)


def _log_softmax(low: Lowering, node: fx.Node, x: Value, dim: int, half: bool) -> Value:
    tensors, x = low.tensors, low.tensors.real(x)
    shifted = tensors.real(tensors.op("sub", x, tensors.reduced("max", x, [dim], True)))
    return tensors.op(
        "sub", shifted, tensors.op("log", tensors.reduced("add", tensors.op("exp", shifted), [dim], True))
    )


def _log_softmax_backward(low: Lowering, node: fx.Node, grad: Value, y: Value, dim: int, _: Any) -> Value:
    tensors, grad = low.tensors, low.tensors.real(grad)
    return tensors.op(
        "sub", grad, tensors.op("mul", tensors.op("exp", y), tensors.reduced("add", grad, [dim], True))
    )


NORMS: Mapping[str, Composite] = {
    "native_batch_norm": _batch_norm, "native_batch_norm_backward": _batch_norm_backward,
    "native_group_norm": _group_norm, "native_group_norm_backward": _group_norm_backward,
    "native_layer_norm": _layer_norm, "native_layer_norm_backward": _layer_norm_backward,
    "_softmax": _softmax, "_safe_softmax": _safe_softmax, "_softmax_backward_data": _softmax_backward,
    "_log_softmax": _log_softmax,
    "_log_softmax_backward_data": _log_softmax_backward,
}  # fmt: skip
