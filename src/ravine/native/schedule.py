"""What is to be done, in which order, and what is done in one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from ravine.native.code import BYTES, whole_lines
from ravine.native.expressions import Affine, Buffer, Expr, ExprPool, Stored, below


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """``target[place] = expr`` for every value of the counters."""

    buffer: Buffer
    place: Affine
    expr: Expr


@dataclass(slots=True, kw_only=True)
class Loops:
    """Assignments that are carried out one after another at each value of some counters.

    Args:
        sizes: of the counters; the last one is the innermost.
        assigns: in order.
    """

    sizes: tuple[int, ...]
    assigns: list[Assign] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """``target[place] = op over the inner counters of expr``, for every value of the outer ones.

    Args:
        sizes: of the outer counters and then of the inner ones.
        num_outer: how many are outer.
        op: "add" or "max".
        assign: where to, and of what.
    """

    sizes: tuple[int, ...]
    num_outer: int
    op: str
    assign: Assign


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A matrix of a product, in memory: number ``place`` of a buffer, for every value of the counters."""

    buffer: Buffer
    place: Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """``out[stack, row, column] = sum over sums of left[stack, row, sums] right[stack, sums, column]``.

    Counters are numbered: those of the stack, those of rows, those of the sum, and the column's as the last one.
    A convolution has several of each: its rows are places of a picture, its sum runs over a window and channels.

    Args:
        stack: sizes of counters around everything. One that ``out`` does not know adds up.
        rows: sizes of the counters of a row.
        sums: sizes of the counters of the sum.
        columns: how many; they are neighbours in ``out``.
        left: of each row.
        right: of each column.
        out: the result.
        adds_up: whether the result is added to what is there.
    """

    stack: tuple[int, ...]
    rows: tuple[int, ...]
    sums: tuple[int, ...]
    columns: int
    left: Matrix
    right: Matrix
    out: Matrix
    adds_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """``target[place + sum stride index] += expr``, for every value of the counters, one after another.

    Args:
        sizes: of the counters.
        wide: whether neighbours along the last counter are neighbours in the target and share their indices.
        assign: where to, for indices of 0, and what.
        indices: numbers that say where in the target.
        strides: of each index.
        adds: whether numbers are added to what is there; else they take its place.
    """

    sizes: tuple[int, ...]
    wide: bool
    assign: Assign
    indices: tuple[Expr, ...]
    strides: tuple[int, ...]
    adds: bool


Work = Loops | Reduction | Product | Scatter


def canonical(
    pool: ExprPool, sizes: Sequence[int], num_outer: int, buffer: Buffer, place: Affine, expr: Expr
) -> tuple[tuple[int, ...], int, Assign]:
    """An assignment with as few counters as possible.

    Counters of size 1 vanish, the outer ones (and with them the inner ones, those of a reduction) are put in the
    order of memory, and two become one where everything that they index allows it.

    Returns:
        Sizes of the counters, how many of them are outer, the assignment.
    """
    affines = [place, *_affines([expr])]

    def far(counter: int) -> int:
        return max((abs(affine.coef(counter)) for affine in affines[(counter >= num_outer) :]), default=0)

    outer = sorted((c for c in range(num_outer) if sizes[c] > 1), key=lambda c: -abs(place.coef(c)))
    inner = sorted((c for c in range(num_outer, len(sizes)) if sizes[c] > 1), key=lambda c: -far(c))
    groups = [_joined(outer, sizes, affines), _joined(inner, sizes, affines)]
    new_sizes = [prod(sizes[c] for c in run) for group in groups for run in group]
    last = {run[-1]: number for number, run in enumerate([*groups[0], *groups[1]])}

    def move(affine: Affine) -> Affine:
        terms = sorted((last[counter], coef) for counter, coef in affine.terms if counter in last)
        return Affine(tuple(terms), affine.const)

    assign = Assign(buffer=buffer, place=move(place), expr=pool.moved(expr, move, {}))
    return tuple(new_sizes), len(groups[0]), assign


def _joined(counters: Sequence[int], sizes: Sequence[int], affines: Sequence[Affine]) -> list[list[int]]:
    """Neighbouring counters in runs that go through memory as one."""
    runs: list[list[int]] = []
    for counter in counters:
        if runs and all(
            affine.coef(runs[-1][-1]) == affine.coef(counter) * sizes[counter] for affine in affines
        ):
            runs[-1].append(counter)
        else:
            runs.append([counter])
    return runs


def counters_of(expr: Expr) -> set[int]:
    """The counters that an expression depends on."""
    return {counter for affine in _affines([expr]) for counter, _ in affine.terms}


def _affines(exprs: Sequence[Expr]) -> list[Affine]:
    found = []
    for expr in below(exprs):
        if expr.op == "load":
            found.append(expr.offset)
        elif expr.op == "index":
            found.append(expr.data)  # type: ignore[arg-type]
    return found


class Schedule:
    """The work of a function, in order.

    Args:
        pool: of its expressions.
    """

    def __init__(self, pool: ExprPool) -> None:
        self.pool = pool
        self.works: list[Work] = []

    def assign(self, sizes: Sequence[int], target: Stored, place: Affine, expr: Expr) -> None:
        """Add an assignment, into earlier loops of the same sizes where nothing in between forbids it."""
        new_sizes, _, assign = canonical(self.pool, sizes, len(sizes), target.buffer, place, expr)
        earliest = len(self.works)
        for work in reversed(self.works):
            if isinstance(work, Loops) and work.sizes == new_sizes and _in_step(work, assign):
                work.assigns.append(assign)
                return
            if _conflict(work, assign):
                break
            earliest -= 1
        # A single number is computed as soon as may be, so that it parts no loops that it is read in.
        self.works.insert(
            len(self.works) if new_sizes else earliest, Loops(sizes=new_sizes, assigns=[assign])
        )

    def reduce(
        self, op: str, sizes: Sequence[int], num_outer: int, target: Stored, place: Affine, expr: Expr
    ) -> None:
        """Add a reduction."""
        new_sizes, outer, assign = canonical(self.pool, sizes, num_outer, target.buffer, place, expr)
        self.works.append(Reduction(sizes=new_sizes, num_outer=outer, op=op, assign=assign))

    def scatter(
        self,
        sizes: Sequence[int],
        target: Stored,
        place: Affine,
        expr: Expr,
        indices: Sequence[tuple[Expr, int]],
        adds: bool,
    ) -> None:
        """Add numbers to places that are numbers in memory themselves, see `Scatter`; those of one place in order."""
        apart = {counter for index, _ in indices for counter in counters_of(index)}
        several = [counter for counter, size in enumerate(sizes) if size > 1]
        beside = [c for c in several if place.coef(c) == 1 and c not in apart]
        order = [c for c in several if c not in beside] + beside  # what meets in a place keeps its order
        number = {counter: i for i, counter in enumerate(order)}

        def move(affine: Affine) -> Affine:
            terms = sorted((number[counter], coef) for counter, coef in affine.terms if counter in number)
            return Affine(tuple(terms), affine.const)

        done: dict[Expr, Expr] = {}
        moved = [self.pool.moved(each, move, done) for each in (expr, *(index for index, _ in indices))]
        self.works.append(
            Scatter(
                sizes=tuple(sizes[counter] for counter in order),
                wide=bool(beside),
                assign=Assign(buffer=target.buffer, place=move(place), expr=moved[0]),
                indices=tuple(moved[1:]),
                strides=tuple(stride for _, stride in indices),
                adds=adds,
            )
        )

    def multiply(
        self,
        sizes: tuple[Sequence[int], Sequence[int], Sequence[int], int],
        left: tuple[Buffer, Affine],
        right: tuple[Buffer, Affine],
        out: tuple[Buffer, Affine],
    ) -> None:
        """Add a product, see `Product`.

        Args:
            sizes: of the counters of the stack, of rows, of the sum, of the column.
            left: buffer and place, in counters that are numbered through.
            right: likewise.
            out: likewise. If a counter of the stack adds up, there must be zeros.
        """
        *groups, columns = sizes
        all_sizes = [size for group in groups for size in group]
        affines = [left[1], right[1], out[1]]
        runs, start = [], 0
        for group in groups:
            several = [i for i in range(start, start + len(group)) if all_sizes[i] > 1]
            runs.append(_joined(several, all_sizes, affines))
            start += len(group)
        last = {run[-1]: i for i, run in enumerate(run for group in runs for run in group)}
        last[start] = len(last)

        def moved(matrix: tuple[Buffer, Affine]) -> Matrix:
            terms = sorted((last[counter], coef) for counter, coef in matrix[1].terms if counter in last)
            return Matrix(buffer=matrix[0], place=Affine(tuple(terms), matrix[1].const))

        stack, rows, sums = (tuple(prod(all_sizes[c] for c in run) for run in group) for group in runs)
        target = moved(out)
        self.works.append(
            Product(
                stack=stack,
                rows=rows,
                sums=sums,
                columns=columns,
                left=moved(left),
                right=moved(right),
                out=target,
                adds_up=any(target.place.coef(i) == 0 for i in range(len(stack))),
            )
        )

    def scratch(self, last_use: Mapping[Buffer, int]) -> tuple[dict[Buffer, int], int]:
        """Where scratch buffers lie, in bytes, and how much there must be in all.

        Buffers that only one piece of loops uses need no memory: their numbers are passed on.

        Args:
            last_use: of buffers that are looked at beside the work, the number of the last piece before which they are.
        """
        spans: dict[Buffer, tuple[int, int]] = {}
        for number, work in enumerate(self.works):
            for buffer in (*written(work), *read(work)):
                if buffer.source is None:
                    first, _ = spans.get(buffer, (number, number))
                    spans[buffer] = (first, max(number, last_use.get(buffer, number)))
        taken: dict[Buffer, tuple[int, int]] = {}
        for buffer, (first, last) in spans.items():
            if first == last and isinstance(self.works[first], Loops):
                continue
            size = whole_lines(buffer.size * BYTES[buffer.kind])
            start = 0
            for low, high in sorted(
                taken[other] for other in taken if spans[other][1] >= first and spans[other][0] <= last
            ):
                if start + size <= low:
                    break
                start = max(start, high)
            taken[buffer] = (start, start + size)
        return {buffer: start for buffer, (start, _) in taken.items()}, max(
            (end for _, end in taken.values()), default=0
        )


def written(work: Work) -> Iterator[Buffer]:
    """The buffers that some work writes to."""
    if isinstance(work, Loops):
        for assign in work.assigns:
            yield assign.buffer
    else:
        yield work.out.buffer if isinstance(work, Product) else work.assign.buffer


def read(work: Work) -> Iterator[Buffer]:
    """The buffers that some work reads."""
    if isinstance(work, Product):
        yield work.left.buffer
        yield work.right.buffer
        if work.adds_up:
            yield work.out.buffer
        return
    assigns = work.assigns if isinstance(work, Loops) else [work.assign]
    exprs = [assign.expr for assign in assigns]
    if isinstance(work, Scatter):
        yield work.assign.buffer
        exprs += work.indices
    for expr in exprs:
        yield from (load.buffer for load in expr.loads)


def _conflict(work: Work, assign: Assign) -> bool:
    """Whether an assignment must come after some work."""
    reads = {load.buffer for load in assign.expr.loads}
    changed = set(written(work))
    return assign.buffer in changed or assign.buffer in set(read(work)) or bool(reads & changed)


def _in_step(work: Loops, assign: Assign) -> bool:
    """Whether an assignment may join loops: what one of them writes, all touch at the same place at a time."""
    places: dict[Buffer, set[object]] = {}
    changed = {assign.buffer}
    for each in (*work.assigns, assign):
        places.setdefault(each.buffer, set()).add(each.place)
        changed.add(each.buffer)
        for load in each.expr.loads:
            places.setdefault(load.buffer, set()).add(object() if load.args else load.offset)
    return all(len(places[buffer]) == 1 for buffer in changed)
