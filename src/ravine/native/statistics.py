"""Variances, deviations and norms of some numbers, and sums of all before one."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, prod
from typing import Any

from torch import fx

from ravine.native.expressions import Expr, Index, Value
from ravine.native.lowering import Composite, Lowering, dims_of
from ravine.native.norms import mean_of
from ravine.native.tensors import Unsupported, kind_of

_MANY = 512  # numbers whose sums up to each are not found by adding all of them for each


def _spread(root: bool, with_mean: bool) -> Composite:
    """``var``, ``std`` and those with the mean, by the mean square of distances from the mean."""

    def lower(
        low: Lowering, node: fx.Node, x: Value, dims: Any = None, unbiased: bool = True, keepdim: bool = False,
        *, correction: float | None = None,
    ) -> Value | tuple[Value, Value]:  # fmt: skip
        tensors = low.tensors
        if isinstance(dims, bool):
            dims, unbiased = None, dims
        dims = dims_of(x, dims)
        less = float(unbiased) if correction is None else float(correction)
        num = prod(x.shape[dim] for dim in dims)
        center = tensors.real(mean_of(low, tensors.real(x), dims))
        offset = tensors.op("sub", x, center)
        squares = tensors.reduced("add", tensors.op("mul", offset, offset), dims, True)
        found: Value = tensors.op("mul", squares, 1.0 / (num - less) if num > less else float("nan"))
        found = tensors.op("sqrt", found) if root else found
        middle: Value = center
        if not keepdim:
            found, middle = (tensors.without(tensors.real(each), dims) for each in (found, center))
        return (found, middle) if with_mean else found

    return lower


def _norm(
    low: Lowering, node: fx.Node, x: Value, power: float = 2, dims: Any = None, keep: bool = False, *,
    dtype: Any = None,
) -> Value:  # fmt: skip
    tensors, size = low.tensors, low.tensors.op("abs", x)
    dims = dims_of(x, dims)
    if power == 2:
        return tensors.op("sqrt", tensors.reduced("add", tensors.op("mul", x, x), dims, keep))
    if power == 1:
        return tensors.reduced("add", size, dims, keep)
    if power in (inf, -inf):
        return tensors.reduced("max" if power > 0 else "min", size, dims, keep)
    raise Unsupported(f"a norm of order {power}")


def _cumsum(low: Lowering, node: fx.Node, x: Value, dim: int, *, dtype: Any = None) -> Value:
    """Of a few numbers: for each place the sum of all up to it."""
    kind = kind_of(node.meta["tensor"][1])
    tensors, pool, dim = low.tensors, low.tensors.pool, dim % max(1, len(x.shape))
    size = x.shape[dim] if x.shape else 1
    if size > _MANY:
        raise Unsupported(f"aten::cumsum of {size} numbers")
    x = tensors.real(tensors.cast(x, kind))

    def at(index: Index) -> Expr:
        *place, other = index
        inside = pool.op("le", "i1", pool.index(other), pool.index(place[dim]))
        found = x.at([other if i == dim else each for i, each in enumerate(place)])
        return pool.op("select", kind, inside, found, pool.const(0, kind))

    return tensors.reduced("add", Value(shape=(*x.shape, size), kind=kind, at=at), [len(x.shape)], False)


def _prod(low: Lowering, node: fx.Node, x: Value, dim: Any = None, keep: bool = False, **_: Any) -> Value:
    dims: Sequence[int] = range(len(x.shape)) if dim is None else [dim]
    return low.tensors.reduced("mul", x, list(dims), keep)


STATISTICS: Mapping[str, Composite] = {
    "var": _spread(root=False, with_mean=False),
    "std": _spread(root=True, with_mean=False),
    "var_mean": _spread(root=False, with_mean=True),
    "std_mean": _spread(root=True, with_mean=True),
    "linalg_vector_norm": _norm,
    "cumsum": _cumsum,
    "prod": _prod,
}
