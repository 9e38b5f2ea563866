"""Tensors while they are lowered: views, elementwise expressions, and when one gets memory of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import torch

from ravine.errors import RavineError
from ravine.native.code import Kind
from ravine.native.expressions import (
    Affine,
    Buffer,
    Expr,
    ExprPool,
    Index,
    Stored,
    Value,
    contiguous_strides,
    counters,
    stored,
)
from ravine.native.narrow import is_word, narrowed
from ravine.native.ranges import Range, range_of
from ravine.native.schedule import Schedule

Operand = Value | float | int | bool

_MANY = 1024  # numbers that are not added up one after another


class Unsupported(RavineError):
    """What no machine code is made for; the program then runs in another way."""


_KINDS: Mapping[torch.dtype, Kind] = {torch.float32: "f32", torch.int64: "i64", torch.bool: "i1"}


def kind_of(dtype: torch.dtype) -> Kind:
    """The kind of a tensor's numbers.

    Raises:
        Unsupported: no code is made for these.
    """
    if dtype not in _KINDS:
        raise Unsupported(f"tensors of {dtype}")
    return _KINDS[dtype]


class Tensors:
    """Operations on tensors that are put into a schedule as far as they need memory."""

    def __init__(self) -> None:
        self.pool = ExprPool(narrowed)
        self.schedule = Schedule(self.pool)
        self._ranges: dict[Buffer, Range] = {}  # of integers in scratch memory

    def memory(self, kind: Kind, shape: Sequence[int]) -> Stored:
        """Scratch memory for a tensor."""
        return stored(self.pool, Buffer(kind, prod(shape)), shape)

    def fill(self, target: Value, number: float) -> None:
        """Write one number everywhere."""
        assert isinstance(target, Stored), "a view of memory is memory"
        value = self.pool.const(number, target.kind)
        self.real(Value(shape=target.shape, kind=target.kind, at=lambda _: value), target)

    def channels_last(self, kind: Kind, shape: Sequence[int]) -> Stored:
        """Scratch memory for pictures (B, C, *spatial) whose channels lie side by side."""
        return self._memory_in(kind, shape, [0, *range(2, len(shape)), 1])

    def _memory_in(self, kind: Kind, shape: Sequence[int], order: Sequence[int]) -> Stored:
        """Scratch memory whose dimensions lie in an order, the farthest first."""
        strides = [0] * len(shape)
        for dim, stride in zip(order, contiguous_strides([shape[dim] for dim in order]), strict=True):
            strides[dim] = stride
        return stored(self.pool, Buffer(kind, prod(shape)), shape, strides)

    def memory_like(self, value: Value, shape: Sequence[int]) -> Stored:
        """Scratch memory for a shape, in the order in which what a tensor is computed from lies."""
        dims = [dim for dim, size in enumerate(value.shape) if size > 1]
        if len(dims) > 2:
            for load in self.loads(value):
                far = {dim: abs(load.offset.coef(dim)) for dim in dims}
                if all(far.values()):
                    order = sorted(range(len(value.shape)), key=lambda dim: -far.get(dim, 0))
                    return self._memory_in(value.kind, shape, order)
        return self.memory(value.kind, shape)

    def real(self, value: Value, target: Stored | None = None) -> Stored:
        """A tensor in memory: as it is where it has some, or computed now."""
        if target is None and isinstance(value, Stored):
            return value
        if target is None:
            target = self.memory_like(value, value.shape)
            self.changes(target, value)
        else:
            self.changes(target)
        index = counters(len(value.shape))
        self.schedule.assign(value.shape, target, target.place(index), value.at(index))
        return target

    def elementwise(
        self, shape: Sequence[int], kind: Kind, function: Callable[..., Expr], *operands: Operand
    ) -> Value:
        """A tensor whose numbers depend on the same place of others, which may be smaller: those are repeated.

        Args:
            shape: of the result.
            kind: of its numbers.
            function: of the operands' expressions.
            operands: tensors and numbers.
        """
        num = prod(shape)
        # What is repeated is computed once.
        settled = [
            self.real(each)
            if isinstance(each, Value) and prod(each.shape) < num and self.depth(each)
            else each
            for each in operands
        ]

        def at(index: Index) -> Expr:
            return function(*(self.operand(each, index, kind) for each in settled))

        return Value(shape=tuple(shape), kind=kind, at=at)

    def operand(self, operand: Operand, index: Index, kind: Kind) -> Expr:
        """An operand's expression at an index of the result."""
        if not isinstance(operand, Value):
            if kind == "i64" and isinstance(operand, float):
                kind = "f32"
            return self.pool.const(operand, kind)
        own = index[len(index) - len(operand.shape) :]
        return operand.at(
            [Affine() if size == 1 else each for size, each in zip(operand.shape, own, strict=True)]
        )

    def depth(self, value: Value) -> int:
        """How many operations its expression has on the way down."""
        return value.at(counters(len(value.shape))).depth

    def loads(self, value: Value) -> list[Expr]:
        """What its expression reads from memory, by one counter for each dimension."""
        expr = value.at(counters(len(value.shape)))
        return list(expr.loads)

    def changes(self, target: Stored, value: Value | None = None) -> None:
        """Note that memory is written to: with all of a value, or in a way that leaves nothing known about it."""
        self._ranges.pop(target.buffer, None)
        target.buffer.words = False
        if value is not None and value.kind == "i64":
            self._ranges[target.buffer] = self.range_of(value)
            target.buffer.words = is_word(value.at(counters(len(value.shape))))

    def range_of(self, value: Value) -> Range:
        """The integers that a tensor's numbers lie among."""
        return range_of(value.at(counters(len(value.shape))), value.shape, self._ranges)

    def cast(self, value: Value, kind: Kind) -> Value:
        """A tensor of another kind of numbers."""
        if value.kind == kind:
            return value

        def at(index: Index) -> Expr:
            return self.pool.op("cast", kind, value.at(index))

        return Value(shape=value.shape, kind=kind, at=at)

    def op(self, name: str, *operands: Operand, kind: Kind = "f32") -> Value:
        """An operation on floats, elementwise, with repetition of what is smaller."""
        shape = broadcast(*(each.shape for each in operands if isinstance(each, Value)))
        return self.elementwise(shape, kind, lambda *args: self.pool.op(name, kind, *args), *operands)

    def view(self, value: Value, shape: Sequence[int], move: Callable[[Index], Sequence[Affine]]) -> Value:
        """The tensor whose number at an index is that of another one at the index's move."""
        if isinstance(value, Stored):
            place = value.place(move(counters(len(shape))))
            strides = [place.coef(i) for i in range(len(shape))]
            return stored(self.pool, value.buffer, shape, strides, place.const)
        return Value(shape=tuple(shape), kind=value.kind, at=lambda index: value.at(move(index)))

    def reshaped(self, value: Value, shape: Sequence[int]) -> Value:
        """The same numbers in the order of rows, in another shape."""
        shape = tuple(shape)
        if shape == value.shape:
            return value
        old = [(i, size) for i, size in enumerate(value.shape) if size != 1]
        new = [(i, size) for i, size in enumerate(shape) if size != 1]
        groups = _split(old, new)
        if groups is not None:

            def move(index: Index) -> list[Affine]:
                moved = [Affine()] * len(value.shape)
                for i, parts in groups:
                    rest = 1
                    for part in reversed(parts):
                        moved[i] = moved[i] + index[part].times(rest)
                        rest *= shape[part]
                return moved

            return self.view(value, shape, move)
        real = value if isinstance(value, Stored) and value.contiguous else self.copied(value)
        return stored(self.pool, real.buffer, shape, None, real.offset)

    def copied(self, value: Value, target: Stored | None = None) -> Stored:
        """A tensor in memory of its own, row by row, or in a target's."""
        return self.real(value, self.memory(value.kind, value.shape) if target is None else target)

    def expanded(self, value: Value, shape: Sequence[int]) -> Value:
        """A tensor repeated along dimensions of size 1, and along new ones in front."""
        before = len(shape) - len(value.shape)
        sizes = [value.shape[i - before] if size == -1 else size for i, size in enumerate(shape)]
        if prod(value.shape) < prod(sizes) and self.depth(value):
            value = self.real(value)
        own = value.shape
        return self.view(
            value,
            sizes,
            lambda index: [
                Affine() if size == 1 else each for size, each in zip(own, index[before:], strict=True)
            ],
        )

    def transposed(self, value: Value, order: Sequence[int]) -> Value:
        """Dimensions in another order."""
        order = [dim % len(value.shape) for dim in order]
        return self.view(
            value,
            [value.shape[dim] for dim in order],
            lambda index: [index[order.index(dim)] for dim in range(len(order))],
        )

    def sliced(self, value: Value, dim: int, start: int, num: int, step: int = 1) -> Value:
        """Some of the places of a dimension."""
        dim %= len(value.shape)
        shape = [num if i == dim else size for i, size in enumerate(value.shape)]
        return self.view(
            value,
            shape,
            lambda index: [each.times(step, start) if i == dim else each for i, each in enumerate(index)],
        )

    def joined(self, parts: Sequence[Value], dim: int) -> Stored:
        """Tensors one behind the other along a dimension."""
        first, dim = parts[0], dim % len(parts[0].shape)
        sizes = [part.shape[dim] for part in parts]
        shape = [sum(sizes) if i == dim else size for i, size in enumerate(first.shape)]
        whole, start = self.memory(first.kind, shape), 0
        for part, size in zip(parts, sizes, strict=True):
            if prod(part.shape):
                target = self.sliced(whole, dim, start, size)
                assert isinstance(target, Stored), "a view of memory is memory"
                self.real(self.cast(part, whole.kind), target)
                start += size
        return whole

    def without(self, value: Value, dims: Sequence[int]) -> Value:
        """A tensor without some dimensions, of which it is the first place."""
        gone = {dim % len(value.shape) for dim in dims}
        kept = [i for i in range(len(value.shape)) if i not in gone]
        return self.view(
            value,
            [value.shape[i] for i in kept],
            lambda index: [index[kept.index(i)] if i in kept else Affine() for i in range(len(value.shape))],
        )

    def reduced(
        self, op: str, value: Value, dims: Sequence[int], keep: bool, target: Stored | None = None
    ) -> Value:
        """The sum ("add") or the largest ("max") over some dimensions."""
        num = len(value.shape)
        gone = sorted(dim % num for dim in dims) if num else []
        kept = [i for i in range(num) if i not in gone]
        short = [value.shape[i] for i in kept]
        shape = [1 if i in gone else size for i, size in enumerate(value.shape)] if keep else short
        if all(value.shape[i] == 1 for i in gone):
            return self.reshaped(value, shape)
        several = sum(value.shape[i] > 1 for i in gone) > 1
        if op == "add" and several and prod(value.shape[i] for i in gone) > _MANY:
            parts = self.reduced(op, value, gone[1:], True)  # sums of sums: less is rounded away
            return self.reduced(op, parts, gone, keep, target)
        target = self.memory(value.kind, shape) if target is None else target
        bare = self.without(target, gone) if keep else target
        assert isinstance(bare, Stored), "a view of memory is memory"
        order = [*kept, *gone]
        by_counter = counters(num)
        index = [by_counter[order.index(i)] for i in range(num)]
        self.schedule.reduce(
            op,
            [value.shape[i] for i in order],
            len(kept),
            bare,
            bare.place(by_counter[: len(kept)]),
            value.at(index),
        )
        return target

    def product(self, left: Value, right: Value, target: Stored | None = None) -> Stored:
        """The product of two matrices, or of two stacks of them."""
        shape = (*left.shape[:-1], right.shape[-1])
        if target is None or (target.strides[-1] != 1 and shape[-1] != 1):
            target = self.memory("f32", shape)
        a, b = self.real(left), self.real(right)
        num = len(shape) - 2
        *stack, row, inner, column = counters(num + 3)
        self.schedule.multiply(
            (shape[:num], shape[num:-1], left.shape[-1:], shape[-1]),
            (a.buffer, a.place([*stack, row, inner])),
            (b.buffer, b.place([*stack, inner, column])),
            (target.buffer, target.place([*stack, row, column])),
        )
        return target


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that elementwise operations on these shapes have.

    Example:
        >>> broadcast((3, 1), (4,))
        (3, 4)
    """
    num = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (num - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def _split(
    old: Sequence[tuple[int, int]], new: Sequence[tuple[int, int]]
) -> list[tuple[int, list[int]]] | None:
    """Which new dimensions each old one is split into; None if some are joined."""
    groups, j = [], 0
    for i, size in old:
        parts, so_far = [], 1
        while so_far < size and j < len(new):
            parts.append(new[j][0])
            so_far *= new[j][1]
            j += 1
        if so_far != size:
            return None
        groups.append((i, parts))
    return groups if j == len(new) else None
