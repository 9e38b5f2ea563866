"""PyTorch's operations that look something up by index, or write by index: see `ravine.native.places`."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import fx

from ravine.native.expressions import Affine, Expr, Index, Stored, Value
from ravine.native.lowering import Composite, Lowering
from ravine.native.places import At, Indices, along, first_of, of_dimension, read_at, spread, write_at
from ravine.native.tensors import Tensors, Unsupported, broadcast

# Reading.


def _index_select(low: Lowering, node: fx.Node, x: Value, dim: int, places: Value) -> Value:
    dim, shape = dim % len(x.shape), tuple(node.meta["tensor"][0])
    at = of_dimension(places, dim)
    return read_at(low.tensors, x, shape, Indices(low.tensors, shape, {dim: (x.shape[dim], at)}), along(dim))


def embedding(low: Lowering, weight: Value, places: Value) -> Value:
    """Rows of a weight, one for each number of another tensor."""
    num, shape = len(places.shape), (*places.shape, weight.shape[1])
    indices = Indices(low.tensors, shape, {0: (weight.shape[0], lambda index: places.at(index[:num]))})
    return read_at(low.tensors, weight, shape, indices, lambda index: [Affine(), index[num]])


def _embedding(low: Lowering, node: fx.Node, weight: Value, places: Value, *_: Any) -> Value:
    return embedding(low, weight, places)


def _gather(low: Lowering, node: fx.Node, x: Value, dim: int, places: Value, **_: Any) -> Value:
    dim, shape = dim % len(x.shape), tuple(node.meta["tensor"][0])
    return read_at(
        low.tensors, x, shape, Indices(low.tensors, shape, {dim: (x.shape[dim], places.at)}), along(dim)
    )


def _index(low: Lowering, node: fx.Node, x: Value, given: Sequence[Value | None]) -> Value:
    """``x[i, :, j]``: indices are repeated to one shape, which takes their place, or comes first if they are apart."""
    shape = tuple(node.meta["tensor"][0])
    indices, rest = spread(low.tensors, x.shape, given, shape)
    return read_at(low.tensors, x, shape, indices, rest)


# Writing, into memory.

Write = Callable[..., None]
"""Of a `Lowering`, its node, the tensor that is written to, and the operation's other arguments."""


def _index_add(
    low: Lowering, node: fx.Node, target: Stored, dim: int, places: Value, source: Value, *, alpha: float = 1
) -> None:
    tensors, dim = low.tensors, dim % len(target.shape)
    source = source if alpha == 1 else tensors.op("mul", source, float(alpha))
    indices = Indices(tensors, source.shape, {dim: (target.shape[dim], of_dimension(places, dim))})
    write_at(tensors, target, source, indices, along(dim), adds=True)


def _index_copy(low: Lowering, node: fx.Node, target: Stored, dim: int, places: Value, source: Value) -> None:
    dim %= len(target.shape)
    indices = Indices(low.tensors, source.shape, {dim: (target.shape[dim], of_dimension(places, dim))})
    write_at(low.tensors, target, source, indices, along(dim), adds=False)


def _scatter_add(
    low: Lowering, node: fx.Node, target: Stored, dim: int, places: Value, source: Value
) -> None:
    _scattered(low, target, dim, places, source, adds=True)


def _scatter(
    low: Lowering,
    node: fx.Node,
    target: Stored,
    dim: int,
    places: Value,
    source: Value | float,
    *,
    reduce: str | None = None,
) -> None:
    if reduce not in (None, "add"):
        raise Unsupported(f"aten::scatter with reduce = {reduce!r}")
    _scattered(low, target, dim, places, source, adds=reduce == "add")


def _scattered(
    low: Lowering, target: Stored, dim: int, places: Value, source: Value | float, *, adds: bool
) -> None:
    tensors, dim = low.tensors, dim % len(target.shape)
    number = source.at if isinstance(source, Value) else _constant(tensors, target, source)
    part = Value(shape=places.shape, kind=target.kind, at=number)  # as much of the source as there are places
    indices = Indices(tensors, places.shape, {dim: (target.shape[dim], places.at)})
    write_at(tensors, target, part, indices, along(dim), adds)


def _constant(tensors: Tensors, target: Stored, number: float) -> At:
    value = tensors.pool.const(number, target.kind)
    return lambda _: value


def _index_put(
    low: Lowering,
    node: fx.Node,
    target: Stored,
    given: Sequence[Value | None],
    values: Value,
    accumulate: bool = False,
    unsafe: bool = False,
) -> None:
    tensors = low.tensors
    if [each.kind for each in given if each is not None] == ["i1"] and given[0] is not None:
        _put_where(tensors, target, given[0], values, accumulate)
        return
    numbers = [each for each in given if each is not None]
    common = broadcast(*(each.shape for each in numbers))
    dims = [dim for dim, each in enumerate(given) if each is not None]
    start = first_of(dims)
    others = [size for dim, size in enumerate(target.shape) if dim not in dims]
    shape = (*others[:start], *common, *others[start:])
    indices, rest = spread(tensors, target.shape, given, shape)
    write_at(tensors, target, tensors.expanded(values, shape), indices, rest, accumulate)


def _put_where(tensors: Tensors, target: Stored, mask: Value, values: Value, accumulate: bool) -> None:
    """One number wherever a mask is true."""
    if any(size != 1 for size in values.shape):
        raise Unsupported("several numbers where a mask is true")
    mask = tensors.reshaped(mask, (*mask.shape, *[1] * (len(target.shape) - len(mask.shape))))
    number = tensors.copied(tensors.reshaped(values, ()))
    put = tensors.op("add", target, number, kind=target.kind) if accumulate else number
    tensors.real(tensors.op("select", mask, put, target, kind=target.kind), target)


WRITES: Mapping[str, Write] = {
    "index_add": _index_add,
    "index_copy": _index_copy,
    "scatter_add": _scatter_add,
    "scatter": _scatter,
    "index_put": _index_put,
    "_index_put_impl": _index_put,
    "_unsafe_index_put": _index_put,
}
"""Operations that change some places of their first argument, in place or in a copy of it."""


def _into_copy(write: Write) -> Composite:
    def lower(low: Lowering, node: fx.Node, base: Value, *args: Any, **kwargs: Any) -> Value:
        home = low.home(node)
        target = low.tensors.real(base, low.tensors.memory(base.kind, base.shape) if home is None else home)
        write(low, node, target, *args, **kwargs)
        return target

    return lower


def _one_place_added(
    low: Lowering, node: fx.Node, base: Value, dim: int, places: Value, source: Value
) -> Value:
    """A scatter_add of one place in each row: a choice at every place needs no memory."""
    dim %= len(base.shape)
    others = base.shape[:dim] + base.shape[dim + 1 :]
    if places.shape[dim] != 1 or others != places.shape[:dim] + places.shape[dim + 1 :]:
        found: Value = _into_copy(_scatter_add)(low, node, base, dim, places, source)
        return found
    pool = low.tensors.pool
    indices = Indices(low.tensors, places.shape, {dim: (base.shape[dim], places.at)})

    def at(index: Index) -> Expr:
        own = along(dim)(index)
        (number,) = indices.at(own)
        hit = pool.op("eq", "i1", pool.index(index[dim]), number)
        value = indices.checked(source.at(own), own)
        added = pool.op("select", base.kind, hit, value, pool.const(0, base.kind))
        return pool.op("add", base.kind, base.at(index), added)

    return Value(shape=base.shape, kind=base.kind, at=at)


def embedding_backward(
    low: Lowering, node: fx.Node, grad: Value, places: Value, num: int, padding: int
) -> Value:
    """Rows of the gradient added to those of the words."""
    tensors, pool, width = low.tensors, low.tensors.pool, grad.shape[-1]
    total = low.home(node) or tensors.memory("f32", (num, width))
    tensors.fill(total, 0.0)
    grad, places = tensors.real(grad), tensors.real(places)

    def kept(index: Index) -> Expr:
        skipped = pool.op("eq", "i1", places.at(index[:-1]), pool.const(padding, "i64"))
        return pool.op("select", "f32", skipped, pool.const(0.0, "f32"), grad.at(index))

    source = Value(shape=grad.shape, kind="f32", at=kept) if padding >= 0 else grad
    indices = Indices(tensors, grad.shape, {0: (num, lambda index: places.at(index[:-1]))})
    write_at(tensors, total, source, indices, lambda index: [Affine(), index[-1]], adds=True)
    return total


def _embedding_backward(
    low: Lowering, node: fx.Node, grad: Value, places: Value, num: int, padding: int, by_frequency: bool
) -> Value:
    if by_frequency:
        raise Unsupported("an embedding whose gradient is scaled by frequency")
    return embedding_backward(low, node, grad, places, num, padding)


LOOKUPS: Mapping[str, Composite] = {
    "index_select": _index_select,
    "embedding": _embedding,
    "gather": _gather,
    **dict.fromkeys(("index", "_unsafe_index"), _index),
    **{name: _into_copy(write) for name, write in WRITES.items()},
    "scatter_add": _one_place_added,
    "embedding_dense_backward": _embedding_backward,
}
