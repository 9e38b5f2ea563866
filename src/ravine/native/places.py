"""Places of a tensor that are numbers themselves: reading from them, and adding to them or writing there, in order.

Memory is never left: an index outside its tensor reads, and writes, what is not a number, so that the loss is none
either and the run stops. An index that cannot be outside (`ranges.py`) is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ravine.native.expressions import Affine, Expr, Index, Stored, Value, counters
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


def along(dim: int) -> Callable[[Index], Sequence[Affine]]:
    """An index but for one dimension."""
    return lambda index: [Affine() if i == dim else each for i, each in enumerate(index)]


def of_dimension(places: Value, dim: int) -> At:
    """The numbers along one dimension of a result."""
    return lambda index: places.at([index[dim]] if places.shape else [])


def first_of(dims: Sequence[int]) -> int:
    """Where the dimensions of indices come in a result: in place of theirs; or first of all, if theirs are apart."""
    return dims[0] if list(dims) == list(range(dims[0], dims[0] + len(dims))) else 0


def spread(
    tensors: Tensors, sizes: Sequence[int], given: Sequence[Value | None], shape: Sequence[int]
) -> tuple[Indices, Callable[[Index], Sequence[Affine]]]:
    """Indices of some dimensions of a tensor, and the places in all dimensions, for a result of a shape."""
    by_dim = {dim: each for dim, each in enumerate(given) if each is not None}
    if any(each.kind != "i64" for each in by_dim.values()):
        raise Unsupported("an index of truth values")
    common = broadcast(*(each.shape for each in by_dim.values()))
    start = first_of(list(by_dim))
    others = [dim for dim in range(len(sizes)) if dim not in by_dim]
    place = {dim: i if i < start else i + len(common) for i, dim in enumerate(others)}

    def of(dim: int, each: Value) -> tuple[int, At]:
        settled = tensors.real(each) if tensors.depth(each) and each.shape != tuple(shape) else each

        def at(index: Index) -> Expr:
            own = index[start + len(common) - len(settled.shape) : start + len(common)]
            return settled.at(
                [Affine() if size == 1 else i for size, i in zip(settled.shape, own, strict=True)]
            )

        return sizes[dim], at

    indices = Indices(tensors, shape, {dim: of(dim, each) for dim, each in by_dim.items()}, from_end=True)
    return indices, lambda index: [
        Affine() if dim in by_dim else index[place[dim]] for dim in range(len(sizes))
    ]
