"""What is computed for one place of a tensor, as an expression over the counters of the loops around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

from ravine.native.code import Kind


@dataclass(frozen=True, slots=True)
class Affine:
    """``const + sum coef counter``: an index, or an offset in memory.

    Args:
        terms: (number of the counter, coefficient), in the order of the counters, no coefficient is 0.
        const: the rest.
    """

    terms: tuple[tuple[int, int], ...] = ()
    const: int = 0

    def __add__(self, other: Affine) -> Affine:
        if not self.terms or not other.terms:
            return Affine(self.terms or other.terms, self.const + other.const)
        coefs = dict(self.terms)
        for counter, coef in other.terms:
            coefs[counter] = coefs.get(counter, 0) + coef
        terms = tuple(sorted((counter, coef) for counter, coef in coefs.items() if coef))
        return Affine(terms, self.const + other.const)

    def times(self, factor: int, plus: int = 0) -> Affine:
        """``factor self + plus``."""
        terms = tuple((counter, factor * coef) for counter, coef in self.terms) if factor else ()
        return Affine(terms, factor * self.const + plus)

    def coef(self, counter: int) -> int:
        """Of one counter."""
        return next((coef for each, coef in self.terms if each == counter), 0)


@dataclass(eq=False, slots=True)
class Buffer:
    """A piece of memory.

    Args:
        kind: of its numbers.
        size: how many; of scratch memory.
        source: number of the function's input that it is; None: scratch memory.
        trusted: whether its numbers, where they are indices, are known to be inside what they index.
        words: whether its integers are known to have 32 bits and no sign.
    """

    kind: Kind
    size: int = 0
    source: int | None = None
    trusted: bool = False
    words: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Expr:
    """A number. Equal ones are one object, as long as they are made by one `ExprPool`.

    Args:
        op: "load", "const", "index", or an operation's name.
        kind: of the number.
        args: what the operation takes; of a load, the indices that are numbers in memory themselves.
        data: of a load (buffer, affine offset, strides of args); of a constant its value; of an index itself.
        depth: operations above the loads, at most.
        loads_below: the loads that its args are made of, each once, what is needed first comes first.
    """

    op: str
    kind: Kind
    args: tuple[Expr, ...] = ()
    data: object = None
    depth: int = 0
    loads_below: tuple[Expr, ...] = ()

    @property
    def loads(self) -> tuple[Expr, ...]:
        """All loads that it is made of, itself included: kept, since each new piece of work asks all before it."""
        return (*self.loads_below, self) if self.op == "load" else self.loads_below

    @property
    def buffer(self) -> Buffer:
        """Of a load."""
        return self.data[0]  # type: ignore[index, no-any-return]

    @property
    def offset(self) -> Affine:
        """Of a load, the affine part."""
        return self.data[1]  # type: ignore[index, no-any-return]

    @property
    def strides(self) -> tuple[int, ...]:
        """Of a load, how far each of its args counts."""
        return self.data[2]  # type: ignore[index, no-any-return]


Simplify = Callable[["ExprPool", str, Kind, tuple[Expr, ...]], Expr | None]
"""Of a pool, an operation, the kind of its result and its arguments: a cheaper expression; None: there is none."""


class ExprPool:
    """Makes expressions, each once.

    Args:
        simplify: what operations are made cheaper by.
    """

    def __init__(self, simplify: Simplify | None = None) -> None:
        self._known: dict[object, Expr] = {}
        self._simplify = simplify

    def _one(self, op: str, kind: Kind, args: tuple[Expr, ...], data: object) -> Expr:
        key = (op, kind, tuple(map(id, args)), data)
        if key not in self._known:
            deeper = op not in ("load", "const", "index")
            depth = max((arg.depth for arg in args), default=0) + deeper
            loads = tuple(dict.fromkeys(load for arg in args for load in arg.loads))
            self._known[key] = Expr(op, kind, args, data, depth, loads)
        return self._known[key]

    def load(
        self, buffer: Buffer, offset: Affine, indices: Sequence[Expr] = (), strides: Sequence[int] = ()
    ) -> Expr:
        """The number at an offset of a buffer, to which each index adds its stride times itself."""
        return self._one("load", buffer.kind, tuple(indices), (buffer, offset, tuple(strides)))

    def const(self, value: float | int | bool, kind: Kind) -> Expr:
        """A number that is known now."""
        value = {"f32": float, "i64": int, "i32": int, "i1": bool}[kind](value)
        return self._one("const", kind, (), repr(value))

    def index(self, affine: Affine) -> Expr:
        """A counter as a number."""
        return self._one("index", "i64", (), affine)

    def op(self, op: str, kind: Kind, *args: Expr) -> Expr:
        """An operation on numbers."""
        simple = self._simplify(self, op, kind, args) if self._simplify is not None else None
        if simple is not None:
            return simple
        return self._one(op, kind, args, None)

    def moved(self, expr: Expr, move: Callable[[Affine], Affine], done: dict[Expr, Expr]) -> Expr:
        """The same expression over other counters."""
        if expr not in done:
            args = tuple(self.moved(arg, move, done) for arg in expr.args)
            data = expr.data
            if expr.op == "load":
                data = (expr.buffer, move(expr.offset), expr.strides)
            elif expr.op == "index":
                data = move(data)  # type: ignore[arg-type]
            done[expr] = self._one(expr.op, expr.kind, args, data)
        return done[expr]


def below(exprs: Sequence[Expr]) -> Iterator[Expr]:
    """All parts of some expressions, each once, what is needed first comes first."""
    seen: set[Expr] = set()
    for expr in exprs:
        above = [(expr, iter(expr.args))] if expr not in seen else []
        seen.add(expr)
        while above:
            part, args = above[-1]
            arg = next((arg for arg in args if arg not in seen), None)
            if arg is None:
                above.pop()
                yield part
            else:
                seen.add(arg)
                above.append((arg, iter(arg.args)))


Index = Sequence[Affine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor that is computed where it is needed.

    Args:
        shape: of it.
        kind: of its numbers.
        at: the expression for its number at an index.
    """

    shape: tuple[int, ...]
    kind: Kind
    at: Callable[[Index], Expr]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Value):
    """A tensor in memory.

    Args:
        buffer: where.
        strides: between neighbours in each dimension, in numbers.
        offset: of the first number.
    """

    buffer: Buffer
    strides: tuple[int, ...]
    offset: int = 0
    at: Callable[[Index], Expr] = field(repr=False)

    def place(self, index: Index) -> Affine:
        """Where the number at an index lies."""
        total = Affine((), self.offset)
        for stride, i in zip(self.strides, index, strict=True):
            total = total + i.times(stride)
        return total

    @property
    def contiguous(self) -> bool:
        """Whether its numbers lie side by side in the order of their indices."""
        return strides_agree(self.strides, contiguous_strides(self.shape), self.shape)


def stored(
    pool: ExprPool,
    buffer: Buffer,
    shape: Sequence[int],
    strides: Sequence[int] | None = None,
    offset: int = 0,
) -> Stored:
    """A tensor in a buffer, without strides row by row."""
    shape = tuple(shape)
    strides = contiguous_strides(shape) if strides is None else tuple(strides)
    made: Stored

    def at(index: Index) -> Expr:
        return pool.load(buffer, made.place(index))

    made = Stored(shape=shape, kind=buffer.kind, at=at, buffer=buffer, strides=strides, offset=offset)
    return made


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor laid out row by row.

    Example:
        >>> contiguous_strides((2, 3, 4))
        (12, 4, 1)
    """
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def strides_agree(left: Sequence[int], right: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether two layouts of a shape are one: the stride of a dimension of size 1 says nothing."""
    return all(a == b or size == 1 for a, b, size in zip(left, right, shape, strict=True))


def counters(num: int) -> list[Affine]:
    """The index whose dimension i is counter i."""
    return [Affine(((i, 1),)) for i in range(num)]
