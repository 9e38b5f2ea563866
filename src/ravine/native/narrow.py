"""Random words in 32 bits: twice as many fit in a vector, whose products are a third of the work of those of 64 bits.

PyTorch's integers have 64 bits, and so do the words of `ravine.rng`, each within 32. Of a sum, a product or a mask the
lowest 32 bits depend on those of its parts alone; so ``(x * m) & 0xFFFFFFFF`` is done in 32 bits and made wide again.
The numbers are the same.
"""

from __future__ import annotations

from ravine.native.code import Kind
from ravine.native.expressions import Expr, ExprPool

_WORD = 0xFFFFFFFF
_ALIKE = ("add", "sub", "mul", "and", "or", "xor")


def narrowed(pool: ExprPool, op: str, kind: Kind, args: tuple[Expr, ...]) -> Expr | None:
    """An operation of 64-bit integers, done in 32 bits; None where it needs more."""
    if kind == "i1":
        return _below(pool, *args) if op == "lt" else None
    if kind == "f32":
        return _of_choice(pool, op, args[0]) if op in ("cast", "neg") else None
    if kind != "i64":
        return None
    if op == "shr" and args[0].op == "sub" and args[1].op == "const" and _number(args[1]) == 63:
        below = _below(pool, *args[0].args)  # the sign of a difference
        return (
            None
            if below is None
            else pool.op("select", "i64", below, pool.const(-1, "i64"), pool.const(0, "i64"))
        )
    if op == "and":
        for word, mask in (args, args[::-1]):
            if mask.op == "const" and 0 <= _number(mask) <= _WORD:
                low = _low(pool, word)
                return _wide(
                    pool, low if _number(mask) == _WORD else pool.op("and", "i32", low, _low(pool, mask))
                )
    if op in ("and", "or", "xor") and all(is_word(arg) for arg in args):
        return _wide(pool, pool.op(op, "i32", *(_low(pool, arg) for arg in args)))
    if op == "shr" and is_word(args[0]) and args[1].op == "const" and 0 <= _number(args[1]) < 32:
        return _wide(pool, pool.op("shr", "i32", _low(pool, args[0]), _low(pool, args[1])))
    return None


def _below(pool: ExprPool, word: Expr, bound: Expr) -> Expr | None:
    """Whether a word is below a number that is the same everywhere: two of 32 bits are compared."""
    if word.kind != "i64" or word.op == "const" or not is_word(word):
        return None
    low = _low(pool, word)
    if bound.op == "const":
        number = _number(bound)
        return pool.op("ult", "i1", low, _low(pool, bound)) if 0 <= number <= _WORD else None
    if bound.kind != "i64" or any(load.args or load.offset.terms for load in bound.loads):
        return None
    last = pool.op("min", "i64", pool.op("sub", "i64", bound, pool.const(1, "i64")), pool.const(_WORD, "i64"))
    some = pool.op("gt", "i1", bound, pool.const(0, "i64"))
    return pool.op("and", "i1", pool.op("ule", "i1", low, _low(pool, last)), some)


def _of_choice(pool: ExprPool, op: str, given: Expr) -> Expr | None:
    """A choice between two known numbers, changed before it is made."""
    if given.op != "select" or given.kind == "i1" or any(arg.op != "const" for arg in given.args[1:]):
        return None
    values = [float(arg.data) for arg in given.args[1:]]  # type: ignore[arg-type]
    arms = [pool.const(-value if op == "neg" else value, "f32") for value in values]
    return pool.op("select", "f32", given.args[0], *arms)


def _number(const: Expr) -> int:
    return int(const.data)  # type: ignore[call-overload, no-any-return]


def is_word(expr: Expr) -> bool:
    """Whether an integer is known to have 32 bits and no sign."""
    if expr.op == "const":
        return 0 <= _number(expr) <= _WORD
    return expr.op == "widen" or (expr.op == "load" and expr.buffer.words)


def _wide(pool: ExprPool, low: Expr) -> Expr:
    return pool.op("widen", "i64", low)


def _low(pool: ExprPool, expr: Expr) -> Expr:
    """The lowest 32 bits of an integer."""
    if expr.op == "const":
        return pool.const(_number(expr) & _WORD, "i32")
    if expr.op == "widen":
        return expr.args[0]
    if expr.op in _ALIKE:
        return pool.op(expr.op, "i32", *(_low(pool, arg) for arg in expr.args))
    if expr.op == "shl" and expr.args[1].op == "const" and 0 <= _number(expr.args[1]) < 32:
        return pool.op("shl", "i32", _low(pool, expr.args[0]), _low(pool, expr.args[1]))
    return pool.op("narrow", "i32", expr)
