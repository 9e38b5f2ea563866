"""Places of a tensor that are numbers themselves: reading from them, and adding to them or writing there, in order.

Memory is never left: an index outside its tensor reads, and writes, what is not a number, so that the loss is none
either and the run stops. An index that cannot be outside (`ranges.py`) is used as it is.
"""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import fx

from ravine.native.expressions import Affine, Expr, Index, Stored, Value, counters
from ravine.native.lowering import Composite, Lowering
from ravine.native.tensors import Tensors, Unsupported, broadcast

_NONE = {"f32": float("nan"), "i64": -(2**63), "i1": False}  # what is read where nothing is

At = Callable[[Index], Expr]


class Indices:
    """Numbers that say where in some dimensions of a tensor.

    Args:
        tensors: where they are used.
        shape: of what is read or written, whose counters they depend on.
        given: by dimension of the tensor, its size there and the number at an index.
        from_end: whether numbers below 0 count from the end.
    """

    def __init__(
        self,
        tensors: Tensors,
        shape: Sequence[int],
        given: Mapping[int, tuple[int, At]],
        from_end: bool = False,
    ) -> None:
        self._pool, self.dims = tensors.pool, list(given)
        self._numbers: list[At] = []
        self._checks: list[tuple[int, At]] = []
        for size, at in given.values():
            number, trusted = at, _is_trusted(at(counters(len(shape))))
            reach = tensors.range_of(Value(shape=tuple(shape), kind="i64", at=at))
            if from_end and reach.low < 0 and not trusted:
                number = self._wrapped(at, size)
            if not trusted and (reach.low < 0 or reach.high >= size):
                self._checks.append((size, number))
                number = self._kept(number, size)
            self._numbers.append(number)

    def at(self, index: Index) -> list[Expr]:
        """The numbers, inside their dimensions."""
        return [number(index) for number in self._numbers]

    def checked(self, value: Expr, index: Index) -> Expr:
        """A value, or none where some index is outside."""
        for size, number in self._checks:
            nothing = self._pool.const(_NONE[value.kind], value.kind)
            value = self._pool.op("select", value.kind, self._inside(number(index), size), value, nothing)
        return value

    def _inside(self, number: Expr, size: int) -> Expr:
        return self._pool.op("ult", "i1", number, self._pool.const(size, "i64"))

    def _kept(self, at: At, size: int) -> At:
        def kept(index: Index) -> Expr:
            number = at(index)
            return self._pool.op(
                "select", "i64", self._inside(number, size), number, self._pool.const(0, "i64")
            )

        return kept

    def _wrapped(self, at: At, size: int) -> At:
        pool = self._pool

        def wrapped(index: Index) -> Expr:
            number = at(index)
            below = pool.op("lt", "i1", number, pool.const(0, "i64"))
            return pool.op(
                "select", "i64", below, pool.op("add", "i64", number, pool.const(size, "i64")), number
            )

        return wrapped


def _is_trusted(expr: Expr) -> bool:
    return expr.op == "load" and expr.buffer.trusted


def read_at(
    tensors: Tensors,
    source: Value,
    shape: Sequence[int],
    indices: Indices,
    rest: Callable[[Index], Sequence[Affine]],
) -> Value:
    """The numbers of a tensor at some indices; ``rest`` gives the places in all dimensions, those of indices as 0."""
    real = tensors.real(source)
    strides = [real.strides[dim] for dim in indices.dims]

    def at(index: Index) -> Expr:
        found = tensors.pool.load(real.buffer, real.place(rest(index)), indices.at(index), strides)
        return indices.checked(found, index)

    return Value(shape=tuple(shape), kind=real.kind, at=at)


def write_at(
    tensors: Tensors,
    target: Stored,
    source: Value,
    indices: Indices,
    rest: Callable[[Index], Sequence[Affine]],
    adds: bool,
) -> None:
    """Numbers of a source added to a tensor in memory, or written there, one after another."""
    if target.kind == "i1" and adds:
        raise Unsupported("adding truth values to places")
    index = counters(len(source.shape))
    if any(load.buffer is target.buffer for load in tensors.loads(source)):
        source = tensors.copied(source)
    numbers = indices.at(index)
    if any(load.buffer is target.buffer for number in numbers for load in number.loads):
        raise Unsupported("places that are read from what is written")
    tensors.changes(target)
    strides = [target.strides[dim] for dim in indices.dims]
    expr = indices.checked(source.at(index), index)
    where = list(zip(numbers, strides, strict=True))
    tensors.schedule.scatter(source.shape, target, target.place(rest(index)), expr, where, adds)


def _along(dim: int) -> Callable[[Index], Sequence[Affine]]:
    """An index but for one dimension."""
    return lambda index: [Affine() if i == dim else each for i, each in enumerate(index)]


# Reading.


def _index_select(low: Lowering, node: fx.Node, x: Value, dim: int, places: Value) -> Value:
    dim, shape = dim % len(x.shape), tuple(node.meta["tensor"][0])
    at = _of_dimension(places, dim)
    return read_at(low.tensors, x, shape, Indices(low.tensors, shape, {dim: (x.shape[dim], at)}), _along(dim))


def _of_dimension(places: Value, dim: int) -> At:
    return lambda index: places.at([index[dim]] if places.shape else [])


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
        low.tensors, x, shape, Indices(low.tensors, shape, {dim: (x.shape[dim], places.at)}), _along(dim)
    )


def _index(low: Lowering, node: fx.Node, x: Value, given: Sequence[Value | None]) -> Value:
    """``x[i, :, j]``: indices are repeated to one shape, which stands where they do, or in front if they are apart."""
    shape = tuple(node.meta["tensor"][0])
    indices, rest = _spread(low.tensors, x.shape, given, shape)
    return read_at(low.tensors, x, shape, indices, rest)


def _spread(
    tensors: Tensors, sizes: Sequence[int], given: Sequence[Value | None], shape: Sequence[int]
) -> tuple[Indices, Callable[[Index], Sequence[Affine]]]:
    """Indices of some dimensions of a tensor, and the places in all dimensions, for a result of a shape."""
    by_dim = {dim: each for dim, each in enumerate(given) if each is not None}
    if any(each.kind != "i64" for each in by_dim.values()):
        raise Unsupported("an index of truth values")
    common = broadcast(*(each.shape for each in by_dim.values()))
    dims = list(by_dim)
    together = dims == list(range(dims[0], dims[0] + len(dims)))
    start = dims[0] if together else 0
    others = [dim for dim in range(len(sizes)) if dim not in by_dim]
    place = {dim: i if i < start else i + len(common) for i, dim in enumerate(others)}

    def of(each: Value) -> tuple[int, At]:
        dim = next(dim for dim, other in by_dim.items() if other is each)
        settled = tensors.real(each) if tensors.depth(each) and each.shape != tuple(shape) else each

        def at(index: Index) -> Expr:
            own = index[start + len(common) - len(settled.shape) : start + len(common)]
            return settled.at(
                [Affine() if size == 1 else i for size, i in zip(settled.shape, own, strict=True)]
            )

        return sizes[dim], at

    indices = Indices(tensors, shape, {dim: of(each) for dim, each in by_dim.items()}, from_end=True)
    return indices, lambda index: [
        Affine() if dim in by_dim else index[place[dim]] for dim in range(len(sizes))
    ]


# Writing, into memory.

Write = Callable[..., None]
"""Of a `Lowering`, its node, the tensor that is written to, and the operation's other arguments."""


def _index_add(
    low: Lowering, node: fx.Node, target: Stored, dim: int, places: Value, source: Value, *, alpha: float = 1
) -> None:
    tensors, dim = low.tensors, dim % len(target.shape)
    source = source if alpha == 1 else tensors.op("mul", source, float(alpha))
    indices = Indices(tensors, source.shape, {dim: (target.shape[dim], _of_dimension(places, dim))})
    write_at(tensors, target, source, indices, _along(dim), adds=True)


def _index_copy(low: Lowering, node: fx.Node, target: Stored, dim: int, places: Value, source: Value) -> None:
    dim %= len(target.shape)
    indices = Indices(low.tensors, source.shape, {dim: (target.shape[dim], _of_dimension(places, dim))})
    write_at(low.tensors, target, source, indices, _along(dim), adds=False)


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
    write_at(tensors, target, part, indices, _along(dim), adds)


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
    start = dims[0] if dims == list(range(dims[0], dims[0] + len(dims))) else 0
    others = [size for dim, size in enumerate(target.shape) if dim not in dims]
    shape = (*others[:start], *common, *others[start:])
    indices, rest = _spread(tensors, target.shape, given, shape)
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
        own = _along(dim)(index)
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


PLACES: Mapping[str, Composite] = {
    "index_select": _index_select,
    "embedding": _embedding,
    "gather": _gather,
    **dict.fromkeys(("index", "_unsafe_index"), _index),
    **{name: _into_copy(write) for name, write in WRITES.items()},
    "scatter_add": _one_place_added,
    "embedding_dense_backward": _embedding_backward,
}
