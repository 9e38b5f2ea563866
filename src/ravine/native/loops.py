"""Loops and reductions as text: one number of every lane at a time along the innermost counter.

A counter is known by its number; the vector counter is the one whose neighbours lie in neighbouring lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

from ravine.native.arithmetic import Arithmetic
from ravine.native.code import Code, Kind, literal, vector_type
from ravine.native.expressions import Affine, Buffer, Expr, below
from ravine.native.machine import machine
from ravine.native.schedule import Assign, Loops, Reduction, Scatter

_IDENTITY: dict[tuple[str, Kind], float] = {
    ("add", "f32"): 0.0, ("add", "i64"): 0, ("max", "f32"): float("-inf"), ("min", "i64"): 2**62,
    ("min", "f32"): float("inf"), ("mul", "f32"): 1.0, ("max", "i64"): -(2**62),
}  # fmt: skip

_SPARE = 6  # registers that are left when sums are side by side

_PARSED: Mapping[Kind, Callable[[Any], float]] = {
    "f32": float, "i64": int, "i32": int, "i1": "True".__eq__,
}  # fmt: skip


class Nest:
    """Loops around expressions; what does not depend on a counter is computed outside its loop.

    Args:
        code: the function they are written into.
        pointers: where buffers lie.
        sizes: of the counters, by number.
        vector: the vector counter; None: single numbers.
        roots: the expressions.
        written: buffers that the loops write to: what reads them has its time.
        length: name of the vector counter's size, where it is known only when the code runs.
    """

    def __init__(
        self,
        code: Code,
        pointers: Mapping[Buffer, str],
        sizes: Sequence[int],
        vector: int | None,
        roots: Sequence[Expr],
        written: frozenset[Buffer] = frozenset(),
        length: str | None = None,
    ) -> None:
        self.written, self.length = written, length
        self.code, self.pointers, self.sizes, self.vector = code, pointers, sizes, vector
        self.one, self.many = Arithmetic(code, 1), Arithmetic(code, code.lanes)
        self.num = code.lanes  # lanes in use
        self.counters: dict[int, str] = {}
        self.values: dict[Expr, str] = {}
        self.order = list(below(roots))
        self.needs = {expr: _needs(expr) for expr in self.order}
        for expr in self.order:
            for arg in expr.args:
                self.needs[expr] |= self.needs[arg]
        self.reads: dict[Expr, set[Buffer]] = {}
        for expr in self.order:
            self.reads[expr] = {expr.buffer} if expr.op == "load" else set()
            for arg in expr.args:
                self.reads[expr] |= self.reads[arg]

    def is_vector(self, expr: Expr) -> bool:
        """Whether it differs from lane to lane."""
        return self.vector in self.needs[expr]

    def around(self, counters: Sequence[int], body: Callable[[], None]) -> None:
        """The body within loops over some counters, outermost first."""
        self._hoist()
        if not counters:
            body()
            return
        counter, *others = counters
        size = self.sizes[counter]
        if counter != self.vector:
            self._within(counter, size, 1, others, body)
            return
        lanes = self.code.lanes
        if self.length is not None:
            whole = self.code.value(f"and i64 {self.length}, {-lanes}")
            self._within(counter, whole, lanes, others, body, "0")
            self.num = 1
            self._within(counter, self.length, 1, others, body, whole)
            self.num = lanes
            return
        full = size // lanes * lanes
        if full:
            self._within(counter, full, lanes, others, body)
        if full < size:
            self.num, before = size - full, self.values
            self.counters[counter], self.values = str(full), dict(before)
            self.around(others, body)
            self.num, self.values = lanes, before
            del self.counters[counter]

    def _within(
        self,
        counter: int,
        stop: int | str,
        step: int,
        others: Sequence[int],
        body: Callable[[], None],
        start: str | None = None,
    ) -> None:
        before = self.values
        with self.code.loop(stop, step, start) as i:
            self.counters[counter], self.values = i, dict(before)
            self.around(others, body)
        self.values = before
        del self.counters[counter]

    @contextmanager
    def at(self, fixed: Mapping[int, int]) -> Iterator[None]:
        """Within it, some counters have these values."""
        before = self.values
        self.counters |= {counter: str(value) for counter, value in fixed.items()}
        self.values = dict(before)
        yield
        self.values = before
        for counter in fixed:
            del self.counters[counter]

    def _hoist(self) -> None:
        """Compute what depends on no counter of an inner loop."""
        for expr in self.order:
            known = expr in self.values or self.reads[expr] & self.written
            if not known and self.needs[expr] <= self.counters.keys():
                self.get(expr)

    def get(self, expr: Expr) -> str:
        """The name of a value, a vector if it differs from lane to lane."""
        if expr not in self.values:
            self.values[expr] = self._made(expr)
        return self.values[expr]

    def wide(self, expr: Expr) -> str:
        """The name of a value in every lane."""
        value = self.get(expr)
        if self.vector is None or self.is_vector(expr):
            return value
        return self.code.splat(value, expr.kind)

    def _made(self, expr: Expr) -> str:
        vector = self.is_vector(expr)
        if expr.op == "const":
            return literal(_PARSED[expr.kind](expr.data), expr.kind)
        if expr.op == "index":
            return self._lanes_of(expr.data) if vector else self._offset(expr.data)  # type: ignore[arg-type]
        if expr.op == "load":
            return self._load(expr)
        if expr.op == "narrow" and expr.args[0].op == "index" and vector:
            return self._lanes_of(expr.args[0].data, "i32")  # type: ignore[arg-type]
        args = [self.wide(arg) if vector else self.get(arg) for arg in expr.args]
        arithmetic = self.many if vector else self.one
        return arithmetic.apply(expr.op, expr.kind, [arg.kind for arg in expr.args], args)

    def _load(self, expr: Expr) -> str:
        pointer = self.pointers[expr.buffer]
        if not any(self.is_vector(arg) for arg in expr.args):
            along = 0 if self.vector is None else expr.offset.coef(self.vector)
            if along in (0, 1):
                offset = self._offset(expr.offset)
                for arg, stride in zip(expr.args, expr.strides, strict=True):
                    far = self.code.value(f"mul nsw i64 {self.get(arg)}, {stride}")
                    offset = self.code.value(f"add nsw i64 {offset}, {far}")
                if along == 0:
                    return self.code.load(pointer, offset, expr.kind)
                return self.code.load_vector(pointer, offset, expr.kind, self.num)
        offsets, wide = self._lanes_of(expr.offset), vector_type("i64", self.code.lanes)
        for arg, stride in zip(expr.args, expr.strides, strict=True):
            far = self.code.value(f"mul nsw {wide} {self.wide(arg)}, {self.code.splat(str(stride), 'i64')}")
            offsets = self.code.value(f"add nsw {wide} {offsets}, {far}")
        return self.code.gather(pointer, offsets, expr.kind, self.num)

    def _offset(self, affine: Affine) -> str:
        """An affine number at the first lane."""
        total = str(affine.const)
        for counter, coef in affine.terms:
            term = self.counters[counter]
            if coef != 1:
                term = self.code.value(f"mul nsw i64 {term}, {coef}")
            total = term if total == "0" else self.code.value(f"add nsw i64 {total}, {term}")
        return total

    def _lanes_of(self, affine: Affine, kind: Kind = "i64") -> str:
        """An affine number in each lane, or its lowest bits."""
        coef, wide = affine.coef(self.vector or 0), vector_type(kind, self.code.lanes)
        steps = (
            "<" + ", ".join(f"{kind} {literal(coef * lane, kind)}" for lane in range(self.code.lanes)) + ">"
        )
        first, how = self._offset(affine), "add nsw"
        if kind == "i32":
            first, how = self.code.value(f"trunc i64 {first} to i32"), "add"
        return self.code.value(f"{how} {wide} {self.code.splat(first, kind)}, {steps}")

    def store(self, assign: Assign, value: str) -> None:
        """Write a value, a vector if there is a vector counter, to its place."""
        pointer = self.pointers[assign.buffer]
        if self.vector is None:
            self.code.store(pointer, self._offset(assign.place), assign.buffer.kind, value)
        elif assign.place.coef(self.vector) == 1:
            offset = self._offset(assign.place)
            self.code.store_vector(pointer, offset, assign.buffer.kind, value, self.num)
        else:
            offsets = self._lanes_of(assign.place)
            self.code.scatter(pointer, offsets, assign.buffer.kind, value, self.num)

    def overwrite(self, assign: Assign, value: str) -> None:
        """From now on, loads of an assignment's place have its value."""
        stale = [expr for expr in self.values if assign.buffer in self.reads[expr]]
        for expr in stale:
            del self.values[expr]
        for expr in self.order:
            if (
                expr.op == "load"
                and expr.buffer is assign.buffer
                and not expr.args
                and expr.offset == assign.place
            ):
                self.values[expr] = value


def _needs(expr: Expr) -> set[int]:
    if expr.op == "load":
        return {counter for counter, _ in expr.offset.terms}
    if expr.op == "index":
        return {counter for counter, _ in expr.data.terms}  # type: ignore[attr-defined]
    return set()


def write_loops(code: Code, work: Loops, pointers: Mapping[Buffer, str], length: str | None = None) -> None:
    """Assignments one after another; a buffer without a pointer is passed on and not written.

    Args:
        code: what they are written into.
        work: the loops.
        pointers: where buffers lie.
        length: name of the innermost counter's size, where it is known only when the code runs.
    """
    num = len(work.sizes)
    roots = [assign.expr for assign in work.assigns]
    written = frozenset(assign.buffer for assign in work.assigns)
    nest = Nest(code, pointers, work.sizes, num - 1 if num else None, roots, written, length)

    def body() -> None:
        for assign in work.assigns:
            value = nest.wide(assign.expr)
            if assign.buffer in pointers:
                nest.store(assign, value)
            nest.overwrite(assign, value)

    nest.around(range(num), body)


def write_reduction(code: Code, work: Reduction, pointers: Mapping[Buffer, str]) -> None:
    """A reduction: with a vector of results, or with a vector of partial results that are put together at the end."""
    outer, inner = list(range(work.num_outer)), list(range(work.num_outer, len(work.sizes)))
    expr, kind = work.assign.expr, work.assign.buffer.kind
    vector = _vector_counter(work, outer, inner)
    nest = Nest(code, pointers, work.sizes, vector, [expr])
    if vector in outer:
        outer = [counter for counter in outer if counter != vector] + [vector]
    else:
        inner = [counter for counter in inner if counter != vector] + ([] if vector is None else [vector])
    side = _side_by_side(work, outer, vector)
    outer = [counter for counter in outer if counter not in side]
    arithmetic = nest.one if vector is None else nest.many
    kinds = (kind, kind)

    def around() -> None:
        places = list(product(*(range(work.sizes[counter]) for counter in side)))
        totals = [code.place(arithmetic.type(kind)) for _ in places]
        start = arithmetic.const(_IDENTITY[work.op, kind], kind)
        for total in totals:
            code.do(f"store {arithmetic.type(kind)} {start}, ptr {total}")

        def add() -> None:
            for place, total in zip(places, totals, strict=True):
                with nest.at(dict(zip(side, place, strict=True))):
                    value = nest.wide(expr)
                if vector in inner and nest.num < code.lanes:
                    typed = f"{arithmetic.type(kind)}"
                    value = code.value(
                        f"select <{code.lanes} x i1> {code.mask(nest.num)}, {typed} {value}, {typed} {start}"
                    )
                so_far = code.value(f"load {arithmetic.type(kind)}, ptr {total}")
                more = arithmetic.apply(work.op, kind, kinds, (so_far, value))
                code.do(f"store {arithmetic.type(kind)} {more}, ptr {total}")

        nest.around(inner, add)
        for place, total in zip(places, totals, strict=True):
            result = code.value(f"load {arithmetic.type(kind)}, ptr {total}")
            with nest.at(dict(zip(side, place, strict=True))):
                if vector in inner:
                    result = _across(code, arithmetic, work.op, kind, result)
                    offset = nest._offset(work.assign.place)
                    code.store(pointers[work.assign.buffer], offset, kind, result)
                else:
                    nest.store(work.assign, result)

    nest.around(outer, around)


def _side_by_side(work: Reduction, outer: Sequence[int], vector: int | None) -> list[int]:
    """Outer counters whose results are all added up at once, in registers: of what does not depend on them, one load
    serves all. So it is with the places of a window in the gradient of a depthwise convolution's weights.
    """
    loads, found, num = work.assign.expr.loads, [], 1
    if vector not in outer or len(loads) < 2 or work.op != "add" or any(load.args for load in loads):
        return []
    for counter in reversed(outer):
        needed = sum(bool(load.offset.coef(counter)) for load in loads)
        if counter == vector or not 0 < needed < len(loads):
            continue
        if num * work.sizes[counter] > machine().registers - _SPARE:
            break
        num *= work.sizes[counter]
        found.append(counter)
    return found[::-1]


def write_scatter(code: Code, work: Scatter, pointers: Mapping[Buffer, str]) -> None:
    """Numbers at places that are numbers themselves: a vector at a time where neighbours go side by side."""
    assign, last = work.assign, len(work.sizes) - 1
    roots, changed = [assign.expr, *work.indices], frozenset([assign.buffer])
    nest = Nest(code, pointers, work.sizes, last if work.wide else None, roots, changed)
    kind, pointer = assign.buffer.kind, pointers[assign.buffer]
    arithmetic = nest.many if work.wide else nest.one

    def body() -> None:
        offset = nest._offset(assign.place)
        for index, stride in zip(work.indices, work.strides, strict=True):
            far = code.value(f"mul nsw i64 {nest.get(index)}, {stride}")
            offset = code.value(f"add nsw i64 {offset}, {far}")
        value = nest.wide(assign.expr)
        if work.adds:
            here = (
                code.load_vector(pointer, offset, kind, nest.num)
                if work.wide
                else code.load(pointer, offset, kind)
            )
            value = arithmetic.apply("add", kind, (kind, kind), (here, value))
        if work.wide:
            code.store_vector(pointer, offset, kind, value, nest.num)
        else:
            code.store(pointer, offset, kind, value)

    nest.around(range(len(work.sizes)), body)


def _vector_counter(work: Reduction, outer: Sequence[int], inner: Sequence[int]) -> int | None:
    """The counter along which most loads go through neighbouring numbers."""
    loads = work.assign.expr.loads
    candidates = [*inner, *outer]
    if not candidates:
        return None
    return max(
        candidates,
        key=lambda c: (sum(load.offset.coef(c) == 1 for load in loads), work.sizes[c] > 1, c in outer),
    )


def _across(code: Code, arithmetic: Arithmetic, op: str, kind: Kind, vector: str) -> str:
    """The lanes of a vector put together, halves by halves."""
    wide, half = arithmetic.type(kind), code.lanes // 2
    while half:
        order = ", ".join(f"i32 {(lane + half) % code.lanes}" for lane in range(code.lanes))
        turned = code.value(f"shufflevector {wide} {vector}, {wide} poison, <{code.lanes} x i32> <{order}>")
        vector = arithmetic.apply(op, kind, (kind, kind), (vector, turned))
        half //= 2
    return code.value(f"extractelement {wide} {vector}, i64 0")
