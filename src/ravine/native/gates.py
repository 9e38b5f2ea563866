"""Work that a closed gate makes needless: it is left out while the code runs.

A gate is a truth value that is the same everywhere, such as whether a block of a network takes part in this step:
``where(gate, block(x), 0)``. Where it is false, what is computed for the block alone is read by nobody. Backward, the
block is given a gradient of zeros, so the gradients of its weights, and what it adds to that of x, are zeros: they are
written down, and nothing is computed for them. Buffers that a layer keeps, ``where(gate, new, old)``, stay as they are.

Each gate is looked at alone, as if it were closed and nothing were known of the others; since more closed gates only
leave more work out, what each of them allows is allowed together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, final

from ravine.native.expressions import Affine, Buffer, Expr, ExprPool, below
from ravine.native.schedule import Assign, Loops, Product, Reduction, Scatter, Work, written

Action = Literal["run", "zero", "skip"]

_MUCH = 4096  # numbers and products that a gate must leave out, to be asked at all
# Of 0 they are 0.
_KEEP_ZERO = ("neg", "cast", "abs", "sqrt", "round", "floor", "ceil", "tanh", "erf", "sin", "expm1", "log1p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What is done instead of some work while a gate is closed.

    Args:
        gate: a truth value in memory.
        closed: the value that means closed.
        action: "skip" it, or write "zero".
    """

    gate: Buffer
    closed: bool
    action: Action


def guards(works: Sequence[Work]) -> list[list[Guard]]:
    """Of each piece of work, the gates that make it needless."""
    found: list[list[Guard]] = [[] for _ in works]
    for gate in _gates(works):
        for closed in (False, True):
            actions = _Closed(works, gate, closed).actions()
            spared = (
                _size(work)
                for work, action in zip(works, actions, strict=True)
                if action == "skip" or (action == "zero" and not isinstance(work, Loops))
            )
            if sum(spared) < _MUCH:
                continue
            for own, action in zip(found, actions, strict=True):
                if action != "run":
                    own.append(Guard(gate=gate, closed=closed, action=action))
    return found


def zeros(pool: ExprPool, work: Work) -> Loops | None:
    """The work that writes zeros where some work writes its numbers; None: nothing is to be done."""
    if isinstance(work, Loops):
        assigns = [replace(each, expr=pool.const(0, each.buffer.kind)) for each in work.assigns]
        return Loops(sizes=work.sizes, assigns=assigns)
    if isinstance(work, Reduction):
        assign = replace(work.assign, expr=pool.const(0, work.assign.buffer.kind))
        return Loops(sizes=work.sizes[: work.num_outer], assigns=[assign])
    if isinstance(work, Product) and not work.adds_up:
        num_sums, first = len(work.sums), len(work.stack) + len(work.rows)
        terms = [(c if c < first else c - num_sums, coef) for c, coef in work.out.place.terms]
        place = Affine(tuple(terms), work.out.place.const)
        sizes = (*work.stack, *work.rows, work.columns)
        assign = Assign(buffer=work.out.buffer, place=place, expr=pool.const(0.0, "f32"))
        return Loops(sizes=sizes, assigns=[assign])
    return None


def _exprs(work: Work) -> list[Expr]:
    if isinstance(work, Loops):
        return [assign.expr for assign in work.assigns]
    if isinstance(work, Product):
        return []
    return [work.assign.expr] if isinstance(work, Reduction) else [work.assign.expr, *work.indices]


def _size(work: Work) -> int:
    if isinstance(work, Product):
        return prod((*work.stack, *work.rows, *work.sums, work.columns))
    return prod(work.sizes)


def _gates(works: Sequence[Work]) -> list[Buffer]:
    """Truth values that loops choose by, each computed once, before."""
    writers: dict[Buffer, int] = {}
    for work in works:
        for buffer in written(work):
            writers[buffer] = writers.get(buffer, 0) + 1
    found: dict[Buffer, None] = {}
    for work in works:
        if isinstance(work, Product) or not work.sizes:
            continue
        for part in below(_exprs(work)):
            for load in _conditions(part) if part.op == "select" else ():
                if writers.get(load.buffer) == 1 and load.buffer.source is None:
                    found[load.buffer] = None
    return list(found)


def _conditions(select: Expr) -> Iterator[Expr]:
    """The single truth values in memory that a choice depends on."""
    for part in below([select.args[0]]):
        if part.op == "load" and part.kind == "i1" and part.buffer.size == 1:
            yield part


@final
class _Closed:
    """Some work, while a gate is closed.

    Args:
        works: all of it, in order.
        gate: a truth value.
        closed: its value.
    """

    def __init__(self, works: Sequence[Work], gate: Buffer, closed: bool) -> None:
        self._works, self._gate, self._closed = works, gate, closed
        self._known_from = next(number for number, work in enumerate(works) if gate in written(work)) + 1

    def actions(self) -> list[Action]:
        """What is to be done of each."""
        zero = self._which_are_zero()
        actions: list[Action] = ["run"] * len(self._works)
        needed: set[Buffer] = set()
        for number in reversed(range(self._known_from, len(self._works))):
            work, is_zero = self._works[number], zero[number]
            if isinstance(work, Loops):
                actions[number] = self._of_loops(work, is_zero, needed)
            elif not _is_wanted(work.out.buffer if isinstance(work, Product) else work.assign.buffer, needed):
                actions[number] = "skip"
            elif all(is_zero) and _adds(work):
                actions[number] = "skip"  # nothing is added to what is there
            elif all(is_zero) and not isinstance(work, Scatter):
                actions[number] = "zero"
            else:
                needed |= self._read_by(work)
        return actions

    def _of_loops(self, work: Loops, is_zero: Sequence[bool], needed: set[Buffer]) -> Action:
        live: list[tuple[Assign, bool]] = []
        before = set(needed)
        for assign, of_zero in zip(work.assigns[::-1], is_zero[::-1], strict=True):
            if _is_wanted(assign.buffer, before):
                live.append((assign, of_zero))
                before |= self._read([assign.expr])
        if all(self._is_itself(assign.expr, assign) for assign, _ in live):
            return "skip"
        if all(of_zero for _, of_zero in live):
            return "run" if all(assign.expr.op == "const" for assign, _ in live) else "zero"
        needed |= before
        return "run"

    def _which_are_zero(self) -> list[list[bool]]:
        """Of each work, whether what it writes, or adds, is 0: of each of its assignments."""
        state: dict[Buffer, bool] = {}
        found: list[list[bool]] = []
        for work in self._works:
            values: list[tuple[Buffer, bool]]
            if isinstance(work, Loops):
                values = []
                for assign in work.assigns:
                    is_zero = self._zero(assign.expr, {**state, **dict(values)}, {})
                    values.append((assign.buffer, is_zero))
            elif isinstance(work, Product):
                is_zero = state.get(work.left.buffer, False) or state.get(work.right.buffer, False)
                values = [(work.out.buffer, is_zero)]
            else:
                op = work.op if isinstance(work, Reduction) else "add"
                is_zero = op == "add" and self._zero(work.assign.expr, state, {})
                values = [(work.assign.buffer, is_zero)]
            found.append([is_zero for _, is_zero in values])
            for buffer, is_zero in values:
                # Of memory that had other numbers, perhaps only a part is 0 now.
                fresh = buffer not in state and buffer.source is None
                state[buffer] = is_zero and (fresh or state.get(buffer, False))
        return found

    def _zero(self, expr: Expr, state: dict[Buffer, bool], done: dict[Expr, bool]) -> bool:
        if expr not in done:
            done[expr] = self._is_zero(expr, state, done)
        return done[expr]

    def _is_zero(self, expr: Expr, state: dict[Buffer, bool], done: dict[Expr, bool]) -> bool:
        def zero(arg: Expr) -> bool:
            return self._zero(arg, state, done)

        if expr.op == "const":
            return expr.kind != "i1" and float(expr.data) == 0.0  # type: ignore[arg-type]
        if expr.op == "load":
            return state.get(expr.buffer, False)
        if expr.op == "select":
            condition = self._truth(expr.args[0])
            arms = expr.args[1:] if condition is None else [expr.args[1 if condition else 2]]
            return all(zero(arm) for arm in arms)
        if expr.op == "mul":
            return any(zero(arg) for arg in expr.args)
        if expr.op == "fma":
            return (zero(expr.args[0]) or zero(expr.args[1])) and zero(expr.args[2])
        if expr.op == "div":
            return zero(expr.args[0])
        if expr.op in ("add", "sub", "max", "min"):
            return all(zero(arg) for arg in expr.args)
        return expr.op in _KEEP_ZERO and expr.kind != "i1" and zero(expr.args[0])

    def _truth(self, expr: Expr) -> bool | None:
        """A truth value, where it is known."""
        if expr.op == "load":
            return self._closed if expr.buffer is self._gate else None
        if expr.op == "const" and expr.kind == "i1":
            return expr.data == "True"
        if expr.kind == "i1" and expr.op in ("and", "or", "xor"):
            left, right = (self._truth(arg) for arg in expr.args)
            if expr.op == "xor":
                return None if left is None or right is None else left != right
            settles = expr.op == "or"
            if settles in (left, right):
                return settles
            return None if left is None or right is None else not settles
        return None

    def _is_itself(self, expr: Expr, assign: Assign) -> bool:
        if expr.op == "select":
            condition = self._truth(expr.args[0])
            return condition is not None and self._is_itself(expr.args[1 if condition else 2], assign)
        return (
            expr.op == "load"
            and expr.buffer is assign.buffer
            and not expr.args
            and expr.offset == assign.place
        )

    def _read_by(self, work: Reduction | Product | Scatter) -> set[Buffer]:
        if isinstance(work, Product):
            found = {work.left.buffer, work.right.buffer}
            return found | {work.out.buffer} if work.adds_up else found
        found = self._read(_exprs(work))
        return found if isinstance(work, Reduction) else found | {work.assign.buffer}

    def _read(self, exprs: Sequence[Expr]) -> set[Buffer]:
        """What expressions read, but for what they choose not to."""
        found: set[Buffer] = {self._gate}
        seen: set[Expr] = set()
        above = list(exprs)
        while above:
            expr = above.pop()
            if expr in seen:
                continue
            seen.add(expr)
            condition = self._truth(expr.args[0]) if expr.op == "select" else None
            if expr.op == "load":
                found.add(expr.buffer)
            above += expr.args if condition is None else [expr.args[0], expr.args[1 if condition else 2]]
        return found


def _is_wanted(buffer: Buffer, needed: set[Buffer]) -> bool:
    return buffer.source is not None or buffer in needed


def _adds(work: Reduction | Product | Scatter) -> bool:
    """Whether it adds to what is there."""
    return work.adds_up if isinstance(work, Product) else isinstance(work, Scatter) and work.adds
