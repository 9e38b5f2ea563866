"""Expressions of single float64 numbers: what a traced function of a few numbers comes down to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
TRUTHS = frozenset({*COMPARISONS, "and", "or", "not"})
"""Operations whose result is a truth value."""

_FOLDED: dict[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "neg": lambda x: -x,
}


@dataclass(frozen=True, eq=False, slots=True)
class Scalar:
    """A number. Equal ones are one object, as long as they are made by one `ScalarPool`.

    Args:
        op: "const", "input", or an operation's name.
        args: what the operation takes.
        value: of a constant, the number; of an input, its name.
    """

    op: str
    args: tuple[Scalar, ...] = ()
    value: float | str = 0.0

    @property
    def is_truth(self) -> bool:
        """Whether it is a truth value and no number."""
        return self.op in TRUTHS


class ScalarPool:
    """Makes scalars, each once."""

    def __init__(self) -> None:
        self._known: dict[object, Scalar] = {}

    def _one(self, op: str, args: tuple[Scalar, ...], value: float | str = 0.0) -> Scalar:
        key = (op, tuple(map(id, args)), repr(value))
        if key not in self._known:
            self._known[key] = Scalar(op, args, value)
        return self._known[key]

    def const(self, value: float) -> Scalar:
        """A number that is known now."""
        return self._one("const", (), float(value))

    def input(self, name: str) -> Scalar:
        """A number that is given later."""
        return self._one("input", (), name)

    def op(self, op: str, *args: Scalar) -> Scalar:
        """An operation, unless it leaves its argument as it is or its result is known now."""
        if op in _FOLDED and all(arg.op == "const" for arg in args):
            return self.const(_FOLDED[op](*(arg.value for arg in args)))
        if op in ("add", "sub") and _is(args[1], 0.0):
            return args[0]
        if op == "add" and _is(args[0], 0.0):
            return args[1]
        if op in ("mul", "div") and _is(args[1], 1.0):
            return args[0]
        if op == "mul" and _is(args[0], 1.0):
            return args[1]
        return self._one(op, args)


def _is(scalar: Scalar, value: float) -> bool:
    return scalar.op == "const" and scalar.value == value and math.copysign(1.0, value) > 0


def in_order(scalars: Sequence[Scalar]) -> Iterator[Scalar]:
    """All parts of some scalars, each once, what is needed first comes first."""
    seen: set[Scalar] = set()
    stack = [(scalar, False) for scalar in reversed(scalars)]
    while stack:
        scalar, ready = stack.pop()
        if ready:
            yield scalar
        elif scalar not in seen:
            seen.add(scalar)
            stack.append((scalar, True))
            stack.extend((arg, False) for arg in reversed(scalar.args) if arg not in seen)
