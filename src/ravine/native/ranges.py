"""Which integers an expression may be: an index that cannot leave its tensor needs no look when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ravine.native.expressions import Affine, Buffer, Expr, below

_ALL = (-(2**63), 2**63 - 1)
_FITS = 2**62  # sums and products within it stay within 64 bits


@dataclass(frozen=True, slots=True)
class Range:
    """Integers from ``low`` to ``high``, both included."""

    low: int
    high: int


def range_of(expr: Expr, sizes: Sequence[int], known: Mapping[Buffer, Range]) -> Range:
    """The integers that an expression lies among, for all values of its counters.

    Args:
        expr: an integer.
        sizes: of its counters, by number.
        known: what numbers of some buffers lie among.
    """
    found: dict[Expr, Range] = {}
    for part in below([expr]):
        found[part] = _of(part, [found[arg] for arg in part.args], sizes, known)
    return found[expr]


def _of(expr: Expr, args: Sequence[Range], sizes: Sequence[int], known: Mapping[Buffer, Range]) -> Range:
    if expr.kind == "i1":
        return Range(0, 1)
    if expr.kind != "i64":
        return Range(*_ALL)
    if expr.op == "const":
        value = int(expr.data)  # type: ignore[call-overload]
        return Range(value, value)
    if expr.op == "index":
        return _of_affine(expr.data, sizes)  # type: ignore[arg-type]
    if expr.op == "load":
        return known.get(expr.buffer, Range(*_ALL))
    if expr.op == "cast":
        return args[0]
    if expr.op == "widen":
        return _of_word(expr.args[0])
    if expr.op == "select":
        return _of_choice(expr, args)
    if expr.op in _COMBINED:
        return _COMBINED[expr.op](*args)
    return Range(*_ALL)


def _of_word(low: Expr) -> Range:
    """Of 32 bits without a sign."""
    given = low.args[-1].data if low.op in ("and", "shr") and low.args[-1].op == "const" else None
    if given is None:
        return Range(0, 2**32 - 1)
    number = int(given)  # type: ignore[call-overload]
    return Range(0, number if low.op == "and" else (2**32 - 1) >> number)


def _of_affine(affine: Affine, sizes: Sequence[int]) -> Range:
    ends = [(coef * (sizes[counter] - 1)) for counter, coef in affine.terms]
    return Range(
        affine.const + sum(min(0, end) for end in ends), affine.const + sum(max(0, end) for end in ends)
    )


def _of_choice(expr: Expr, args: Sequence[Range]) -> Range:
    """Of a select: one that keeps a number within bounds says more than its parts."""
    condition, yes, no = expr.args
    _, first, second = args
    if condition.op in ("lt", "gt", "le", "ge") and condition.args[0].kind == "i64":
        left, right = condition.args
        if right.op == "const":
            bound = int(right.data)  # type: ignore[call-overload]
            under, strict = condition.op in ("lt", "le"), condition.op in ("lt", "gt")
            if left is no:
                second = _beyond(second, bound, not under, not strict)
            elif left is yes:
                first = _beyond(first, bound, under, strict)
    return Range(min(first.low, second.low), max(first.high, second.high))


def _beyond(given: Range, bound: int, under: bool, strict: bool) -> Range:
    """The part of a range that is below a bound, or above it."""
    if under:
        return Range(given.low, max(given.low, min(given.high, bound - strict)))
    return Range(min(given.high, max(given.low, bound + strict)), given.high)


def _checked(low: int, high: int) -> Range:
    return Range(low, high) if low >= -_FITS and high <= _FITS else Range(*_ALL)


def _add(x: Range, y: Range) -> Range:
    return _checked(x.low + y.low, x.high + y.high)


def _sub(x: Range, y: Range) -> Range:
    return _checked(x.low - y.high, x.high - y.low)


def _mul(x: Range, y: Range) -> Range:
    ends = [a * b for a in (x.low, x.high) for b in (y.low, y.high)]
    return _checked(min(ends), max(ends))


def _and(x: Range, y: Range) -> Range:
    tops = [each.high for each in (x, y) if each.low >= 0]
    return Range(0, min(tops)) if tops else Range(*_ALL)


def _shr(x: Range, y: Range) -> Range:
    return Range(x.low >> y.low, x.high >> y.low) if y.low == y.high and 0 <= y.low < 64 else Range(*_ALL)


def _rest(x: Range, y: Range) -> Range:
    """Of a division, which has the sign of x; that with the sign of y is made of it."""
    far = max(abs(y.low), abs(y.high)) - 1
    return _checked(0 if x.low >= 0 else -far, 0 if x.high <= 0 else far)


def _quotient(x: Range, y: Range) -> Range:
    if y.low != y.high or y.low <= 0:
        return Range(*_ALL)
    ends = [abs(end) // y.low * (1 if end >= 0 else -1) for end in (x.low, x.high)]
    return Range(min(ends), max(ends))


def _max(x: Range, y: Range) -> Range:
    return Range(max(x.low, y.low), max(x.high, y.high))


def _min(x: Range, y: Range) -> Range:
    return Range(min(x.low, y.low), min(x.high, y.high))


_COMBINED: Mapping[str, Callable[[Range, Range], Range]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "and": _and,
    "shr": _shr,
    "rest": _rest,
    "quotient": _quotient,
    "max": _max,
    "min": _min,
}
