"""The largest and the smallest of some numbers, and where they are."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx

from ravine.native.expressions import Affine, Expr, Index, Value
from ravine.native.lowering import Composite, Lowering, dims_of
from ravine.native.tensors import Unsupported


def _reduced(op: str) -> Composite:
    def lower(low: Lowering, node: fx.Node, x: Value, dims: Any = None, keep: bool = False) -> Value:
        return low.tensors.reduced(op, x, dims_of(x, dims), keep)

    return lower


def _place(op: str) -> Composite:
    """The first place of the largest number: the smallest of all places with that number."""

    def lower(low: Lowering, node: fx.Node, x: Value, dim: int | None = None, keep: bool = False) -> Value:
        if dim is None:
            raise Unsupported(f"arg{op} over all dimensions")
        return _first(low, low.tensors.real(x), dim, _top(low, op, x, dim), keep)

    return lower


def _top(low: Lowering, op: str, x: Value, dim: int) -> Value:
    return low.tensors.real(low.tensors.reduced(op, low.tensors.real(x), [dim], True))


def _first(low: Lowering, x: Value, dim: int, top: Value, keep: bool) -> Value:
    tensors, pool, dim = low.tensors, low.tensors.pool, dim % len(x.shape)

    def place(index: Index) -> Expr:
        at_top = [Affine() if i == dim else each for i, each in enumerate(index)]
        hit = pool.op("eq", "i1", x.at(index), top.at(at_top))
        return pool.op("select", "i64", hit, pool.index(index[dim]), pool.const(x.shape[dim], "i64"))

    return tensors.reduced("min", Value(shape=x.shape, kind="i64", at=place), [dim], keep)


def largest_along(low: Lowering, op: str, x: Value, dim: int, keep: bool = False) -> tuple[Value, Value]:
    """The largest ("max") or smallest ("min") along a dimension, and its first place."""
    x = low.tensors.real(x)
    top = _top(low, op, x, dim)
    found = top if keep else low.tensors.without(top, [dim])
    return found, _first(low, x, dim, top, keep)


def _both(op: str) -> Composite:
    """``x.max()``, ``x.max(dim)`` with its places, or the larger of two tensors."""

    def lower(
        low: Lowering, node: fx.Node, x: Value, other: Value | int | None = None, keep: bool = False
    ) -> Value | tuple[Value, Value]:
        if other is None:
            return low.tensors.reduced(op, x, dims_of(x, None), False)
        if isinstance(other, Value):
            return low.tensors.op(op, x, other, kind=x.kind)
        return largest_along(low, op, x, other, keep)

    return lower


EXTREMES: Mapping[str, Composite] = {
    "amax": _reduced("max"),
    "amin": _reduced("min"),
    "argmax": _place("max"),
    "argmin": _place("min"),
    "max": _both("max"),
    "min": _both("min"),
}
