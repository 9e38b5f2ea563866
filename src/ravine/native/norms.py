"""PyTorch's norms and softmax, and their gradients, in sums and elementwise operations."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from torch import fx

from ravine.native.expressions import Stored, Value

if TYPE_CHECKING:
    from ravine.native.lower import Lowering

Composite = Callable[..., Any]


def mean_of(low: Lowering, x: Value, dims: Sequence[int], keep: bool = True) -> Value:
    """The mean over some dimensions."""
    num = prod(x.shape[dim] for dim in dims) if x.shape else 1
    return low.t.op("mul", low.t.reduced("add", x, dims, keep), 1.0 / num)


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
    t, x, dims = low.t, low.t.real(x), [dim for dim in range(len(x.shape)) if dim != 1]
    if not training:
        assert mean is not None, "without statistics of its own it uses the batch's"
        assert variance is not None, "mean and variance are there together"
        center, scale = _frozen(low, mean, variance, x, eps)
        empty = t.memory("f32", (0,))
        return _affine(low, x, center, scale, weight, bias), empty, empty
    num = prod(x.shape) // x.shape[1]
    center = t.real(mean_of(low, x, dims))
    offset = t.op("sub", x, center)
    spread = t.real(mean_of(low, t.op("mul", offset, offset), dims))
    scale = t.real(t.op("div", 1.0, t.op("sqrt", t.op("add", spread, eps))))
    for running, new in (
        (mean, center),
        (variance, t.op("mul", spread, num / (num - 1) if num > 1 else float("nan"))),
    ):
        if running is not None:
            assert isinstance(running, Stored), "running statistics lie in memory"
            flat = t.reshaped(new, running.shape)
            kept = t.op("mul", running, 1.0 - momentum)
            low.before_writing(running)
            t.real(t.op("add", kept, t.op("mul", flat, momentum)), running)
    short = (x.shape[1],)
    return _affine(low, x, center, scale, weight, bias), t.reshaped(center, short), t.reshaped(scale, short)


def _frozen(low: Lowering, mean: Value, variance: Value, x: Value, eps: float) -> tuple[Value, Value]:
    """A batch norm's own center and scale."""
    spread = low.t.op("add", _channels(low, variance, x), eps)
    return _channels(low, mean, x), low.t.real(low.t.op("div", 1.0, low.t.op("sqrt", spread)))


def _channels(low: Lowering, values: Value, x: Value) -> Value:
    return low.t.reshaped(values, [size if dim == 1 else 1 for dim, size in enumerate(x.shape)])


def _affine(
    low: Lowering, x: Value, center: Value, scale: Value, weight: Value | None, bias: Value | None
) -> Value:
    result = low.t.op("mul", low.t.op("sub", x, center), scale)
    if weight is not None:
        result = low.t.op("mul", result, _channels(low, weight, x))
    return result if bias is None else low.t.op("add", result, _channels(low, bias, x))


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
    t, x, grad = low.t, low.t.real(x), low.t.real(grad)
    dims = [dim for dim in range(len(x.shape)) if dim != 1]
    if training:
        center, scale = _channels(low, center, x), _channels(low, scale, x)
    else:
        assert mean is not None, "without statistics of its own it uses the batch's"
        assert variance is not None, "mean and variance are there together"
        center, scale = _frozen(low, mean, variance, x, eps)
    normal = t.op("mul", t.op("sub", x, center), scale)
    by_bias = t.real(t.reduced("add", grad, dims, True))
    by_weight = t.real(t.reduced("add", t.op("mul", grad, normal), dims, True))
    by_x: Value = grad
    if training:
        num = prod(x.shape) // x.shape[1]
        pulled = t.op("add", by_bias, t.op("mul", normal, by_weight))
        by_x = t.op("sub", grad, t.op("mul", pulled, 1.0 / num))
    by_x = t.op("mul", by_x, scale)
    if weight is not None:
        by_x = t.op("mul", by_x, _channels(low, weight, x))
    short = (x.shape[1],)
    return by_x, t.reshaped(by_weight, short), t.reshaped(by_bias, short)


def _layer_norm(
    low: Lowering,
    node: fx.Node,
    x: Value,
    shape: Sequence[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> tuple[Value, ...]:
    t, x, dims = low.t, low.t.real(x), list(range(len(x.shape) - len(shape), len(x.shape)))
    center = t.real(mean_of(low, x, dims))
    offset = t.op("sub", x, center)
    spread = mean_of(low, t.op("mul", offset, offset), dims)
    scale = t.real(t.op("div", 1.0, t.op("sqrt", t.op("add", spread, eps))))
    result = t.op("mul", offset, scale)
    if weight is not None:
        result = t.op("mul", result, weight)
    return (result if bias is None else t.op("add", result, bias)), center, scale


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
    t, x, grad = low.t, low.t.real(x), low.t.real(grad)
    before = list(range(len(x.shape) - len(shape)))
    dims = list(range(len(before), len(x.shape)))
    normal = t.op("mul", t.op("sub", x, center), scale)
    inward = grad if weight is None else t.op("mul", grad, weight)
    average = t.real(mean_of(low, inward, dims))
    along = t.real(mean_of(low, t.op("mul", inward, normal), dims))
    by_x = t.op("mul", t.op("sub", t.op("sub", inward, average), t.op("mul", normal, along)), scale)
    by_weight = t.reduced("add", t.op("mul", grad, normal), before, False) if wanted[1] else None
    by_bias = t.reduced("add", grad, before, False) if wanted[2] else None
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
    t, x = low.t, low.t.real(x)
    parts = _groups(low, x, groups)
    dims = list(range(2, len(parts.shape)))
    center = t.real(mean_of(low, parts, dims))
    offset = t.op("sub", parts, center)
    spread = mean_of(low, t.op("mul", offset, offset), dims)
    scale = t.real(t.op("div", 1.0, t.op("sqrt", t.op("add", spread, eps))))
    result = t.op("mul", offset, scale)
    for factor, op in ((weight, "mul"), (bias, "add")):
        if factor is not None:
            result = t.op(op, result, _of_group(low, factor, parts))
    return t.reshaped(t.real(result), x.shape), center, scale


def _groups(low: Lowering, x: Value, groups: int) -> Value:
    """(B, C, ...) as (B, G, C / G, ...)."""
    batch, channels, *rest = x.shape
    return low.t.reshaped(x, (batch, groups, channels // groups, *rest))


def _of_group(low: Lowering, values: Value, parts: Value) -> Value:
    """(C,) as (G, C / G, 1, ...)."""
    return low.t.reshaped(values, (*parts.shape[1:3], *[1] * (len(parts.shape) - 3)))


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
    t, x, grad = low.t, low.t.real(x), low.t.real(grad)
    parts, inward = _groups(low, x, groups), _groups(low, grad, groups)
    dims = list(range(2, len(parts.shape)))
    short = (*parts.shape[:2], *[1] * len(dims))
    center, scale = t.reshaped(center, short), t.reshaped(scale, short)
    normal = t.op("mul", t.op("sub", parts, center), scale)
    others = [0, *dims[1:]]
    by_weight = t.reduced("add", t.op("mul", inward, normal), others, False) if wanted[1] else None
    by_bias = t.reduced("add", inward, others, False) if wanted[2] else None
    if weight is not None:
        inward = t.op("mul", inward, _of_group(low, weight, parts))
    average = t.real(mean_of(low, inward, dims))
    along = t.real(mean_of(low, t.op("mul", inward, normal), dims))
    by_x = t.op("mul", t.op("sub", t.op("sub", inward, average), t.op("mul", normal, along)), scale)
    return t.reshaped(t.real(by_x), x.shape), by_weight, by_bias


def _softmax(low: Lowering, node: fx.Node, x: Value, dim: int, half: bool) -> Value:
    exps = low.t.real(_exps(low, x, dim))
    return low.t.op("div", exps, low.t.reduced("add", exps, [dim], True))


def _exps(low: Lowering, x: Value, dim: int) -> Value:
    x = low.t.real(x)
    return low.t.op("exp", low.t.op("sub", x, low.t.reduced("max", x, [dim], True)))


def _softmax_backward(low: Lowering, node: fx.Node, grad: Value, y: Value, dim: int, _: Any) -> Value:
    t, grad = low.t, low.t.real(grad)
    total = t.reduced("add", t.op("mul", grad, y), [dim], True)
    return t.op("mul", t.op("sub", grad, total), y)


def _log_softmax(low: Lowering, node: fx.Node, x: Value, dim: int, half: bool) -> Value:
    t, x = low.t, low.t.real(x)
    shifted = t.real(t.op("sub", x, t.reduced("max", x, [dim], True)))
    return t.op("sub", shifted, t.op("log", t.reduced("add", t.op("exp", shifted), [dim], True)))


def _log_softmax_backward(low: Lowering, node: fx.Node, grad: Value, y: Value, dim: int, _: Any) -> Value:
    t, grad = low.t, low.t.real(grad)
    return t.op("sub", grad, t.op("mul", t.op("exp", y), t.reduced("add", grad, [dim], True)))


NORMS: Mapping[str, Composite] = {
    "native_batch_norm": _batch_norm, "native_batch_norm_backward": _batch_norm_backward,
    "native_group_norm": _group_norm, "native_group_norm_backward": _group_norm_backward,
    "native_layer_norm": _layer_norm, "native_layer_norm_backward": _layer_norm_backward,
    "_softmax": _softmax, "_softmax_backward_data": _softmax_backward, "_log_softmax": _log_softmax,
    "_log_softmax_backward_data": _log_softmax_backward,
}  # fmt: skip
