"""Activations as expressions, beside those of `pointwise.py`: pieces of lines, and functions made of others."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import fx

from ravine.native.expressions import Expr, ExprPool, Value
from ravine.native.lowering import Composite, Lowering

Make = Callable[..., Expr]


def activations(pool: ExprPool) -> dict[str, Make]:
    """By name, see `ravine.native.pointwise.table`."""

    def const(value: float) -> Expr:
        return pool.const(value, "f32")

    def op(name: str, *args: Expr | float) -> Expr:
        return pool.op(name, "f32", *(arg if isinstance(arg, Expr) else const(arg) for arg in args))

    def where(test: str, x: Expr, bound: float, yes: Expr | float, no: Expr | float) -> Expr:
        arms = (arm if isinstance(arm, Expr) else const(arm) for arm in (yes, no))
        return pool.op("select", "f32", pool.op(test, "i1", x, const(bound)), *arms)

    def hard_sigmoid(x: Expr) -> Expr:
        up = op("div", op("add", x, 3.0), 6.0)
        return where("lt", up, 0.0, 0.0, where("gt", up, 1.0, 1.0, up))

    def hard_sigmoid_backward(grad: Expr, x: Expr) -> Expr:
        return where("gt", x, -3.0, where("lt", x, 3.0, op("mul", grad, 1 / 6), 0.0), 0.0)

    def hard_swish_backward(grad: Expr, x: Expr) -> Expr:
        slope = op("add", op("div", x, 3.0), 0.5)
        return where("le", x, -3.0, 0.0, where("lt", x, 3.0, op("mul", grad, slope), grad))

    def soft(x: Expr) -> Expr:
        return where("gt", x, 20.0, x, op("log1p", op("exp", x)))

    def sigmoid(x: Expr) -> Expr:
        return op("div", 1.0, op("add", 1.0, op("exp", op("neg", x))))

    def mish_backward(grad: Expr, x: Expr) -> Expr:
        up = op("tanh", soft(x))
        bent = op("mul", op("mul", x, sigmoid(x)), op("sub", 1.0, op("mul", up, up)))
        return op("mul", grad, op("add", up, bent))

    def celu(x: Expr, alpha: float = 1.0) -> Expr:
        return where("gt", x, 0.0, x, op("mul", float(alpha), op("expm1", op("mul", x, 1 / alpha))))

    def soft_shrink(x: Expr, size: float = 0.5) -> Expr:
        below = where("lt", x, -size, op("add", x, float(size)), op("mul", x, 0.0))
        return where("gt", x, float(size), op("sub", x, float(size)), below)

    def shrink_backward(grad: Expr, x: Expr, size: float) -> Expr:
        return where("ge", x, -size, where("le", x, float(size), 0.0, grad), grad)

    def hard_tanh_backward(grad: Expr, x: Expr, low: float, high: float) -> Expr:
        return where("le", x, float(low), 0.0, where("ge", x, float(high), 0.0, grad))

    def number(
        x: Expr, none: float | None = None, top: float | None = None, low: float | None = None
    ) -> Expr:
        largest = 3.4028234663852886e38
        found = where("gt", x, largest, largest if top is None else float(top), x)
        found = where("lt", x, -largest, -largest if low is None else float(low), found)
        return pool.op("select", "f32", pool.op("ne", "i1", x, x), const(none or 0.0), found)

    return {
        "hardsigmoid": hard_sigmoid,
        "hardsigmoid_backward": hard_sigmoid_backward,
        "hardswish": lambda x: op("mul", x, hard_sigmoid(x)),
        "hardswish_backward": hard_swish_backward,
        "mish": lambda x: op("mul", x, op("tanh", soft(x))),
        "mish_backward": mish_backward,
        "celu": celu,
        "softshrink": soft_shrink,
        "softshrink_backward": shrink_backward,
        "hardshrink": lambda x, size=0.5: shrink_backward(x, x, size),
        "hardshrink_backward": shrink_backward,
        "hardtanh_backward": hard_tanh_backward,
        "_prelu_kernel": lambda x, slope: where("gt", x, 0.0, x, op("mul", slope, x)),
        "nan_to_num": number,
        "isnan": lambda x: pool.op("ne", "i1", x, x),
        "isinf": lambda x: pool.op("eq", "i1", op("abs", x), const(float("inf"))),
        "fmod": lambda x, y: pool.op("rest", x.kind, x, y),
        **{
            name: lambda *args, name=name: pool.op(name, "f32", *args)
            for name in (
                "trunc", "atan", "atan2", "tan", "acos", "asin", "sinh", "cosh", "exp2", "log2", "log10",
            )
        },
    }  # fmt: skip


def _prelu_backward(low: Lowering, node: fx.Node, grad: Value, x: Value, slope: Value) -> tuple[Value, Value]:
    tensors, pool = low.tensors, low.tensors.pool

    def above(x: Expr, yes: Expr, no: Expr) -> Expr:
        return pool.op("select", "f32", pool.op("gt", "i1", x, pool.const(0.0, "f32")), yes, no)

    by_x = tensors.elementwise(x.shape, "f32", above, x, grad, tensors.op("mul", grad, slope))
    return by_x, tensors.elementwise(x.shape, "f32", above, x, 0.0, tensors.op("mul", grad, x))


def _log_sigmoid(low: Lowering, node: fx.Node, x: Value) -> tuple[Value, None]:
    """``min(x, 0) - log(1 + exp(-|x|))``."""
    op = low.tensors.op
    rest = op("log1p", op("exp", op("neg", op("abs", x))))
    return op("sub", op("min", x, 0.0), rest), None


def _log_sigmoid_backward(low: Lowering, node: fx.Node, grad: Value, x: Value, *_: Any) -> Value:
    op = low.tensors.op
    return op("div", grad, op("add", 1.0, op("exp", x)))


def _glu(low: Lowering, node: fx.Node, x: Value, dim: int = -1) -> Value:
    op = low.tensors.op
    first, second = _halves(low, x, dim)
    return op("div", first, op("add", 1.0, op("exp", op("neg", second))))


def _glu_backward(low: Lowering, node: fx.Node, grad: Value, x: Value, dim: int) -> Value:
    tensors, op = low.tensors, low.tensors.op
    first, second = _halves(low, x, dim)
    up = tensors.real(op("div", 1.0, op("add", 1.0, op("exp", op("neg", second)))))
    parts = op("mul", grad, up), op("mul", op("mul", op("mul", grad, first), up), op("sub", 1.0, up))
    return tensors.joined(parts, dim)


def _halves(low: Lowering, x: Value, dim: int) -> tuple[Value, Value]:
    half = x.shape[dim] // 2
    return low.tensors.sliced(x, dim, 0, half), low.tensors.sliced(x, dim, half, half)


ACTIVATIONS: Mapping[str, Composite] = {
    "_prelu_kernel_backward": _prelu_backward,
    "log_sigmoid_forward": _log_sigmoid,
    "log_sigmoid_backward": _log_sigmoid_backward,
    "glu": _glu,
    "glu_backward": _glu_backward,
}
