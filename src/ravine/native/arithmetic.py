"""Operations on numbers and vectors of them, as LLVM's instructions.

Functions of a vector come from polynomials (Cephes by S. Moshier, 1989; erf's is a rational function as in XLA), of a
single number from the C library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ravine.native.code import Code, Kind, literal, vector_type

# LLVM must not contract anything to a fused multiply-add: where it does so depends on the operations around, so a run's
# bits would depend on operations that do nothing to it, such as a neighbour's dropout at its own rate of 0.
_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTEGER = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "shl": "shl",
    "shr": "ashr",
    "quotient": "sdiv",
    "rest": "srem",
}
# Ordered: false where a number is none, but for "ne".
_COMPARE_FLOAT = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_COMPARE_INTEGER = {
    "eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "ult": "ult", "ule": "ule",
}  # fmt: skip
_SIZES = {"widen": "zext", "narrow": "trunc"}
_INTRINSICS = {
    "sqrt": "sqrt",
    "abs": "fabs",
    "fma": "fma",
    "max": "maximum",
    "min": "minimum",
    "round": "rint",
    "ceil": "ceil",
    "floor": "floor",
    "trunc": "trunc",
}
_LIBRARY = {
    "exp": "expf", "log": "logf", "tanh": "tanhf", "erf": "erff", "expm1": "expm1f", "log1p": "log1pf",
    "sin": "sinf", "cos": "cosf", "pow": "powf", "rest": "fmodf",
    "atan": "atanf", "atan2": "atan2f", "tan": "tanf", "acos": "acosf", "asin": "asinf", "sinh": "sinhf",
    "cosh": "coshf", "exp2": "exp2f", "log2": "log2f", "log10": "log10f",
}  # fmt: skip


class Arithmetic:
    """Writes operations into a function.

    Args:
        code: the function.
        lanes: numbers that each operation takes at once; 1 for single numbers.
    """

    def __init__(self, code: Code, lanes: int) -> None:
        self.code, self.lanes = code, lanes

    def type(self, kind: Kind) -> str:
        """LLVM's type of an operand."""
        return vector_type(kind, self.lanes)

    def const(self, value: float, kind: Kind) -> str:
        """A number, in every lane."""
        written = literal(value, kind)
        return written if self.lanes == 1 else self.code.splat(written, kind)

    def apply(self, op: str, kind: Kind, kinds: Sequence[Kind], args: Sequence[str]) -> str:
        """The result of an operation.

        Args:
            op: its name.
            kind: of the result.
            kinds: of the arguments.
            args: their names.
        """
        first = kinds[0]
        if op == "cast":
            return self._cast(first, kind, args[0])
        if op in _SIZES:
            return self.code.value(f"{_SIZES[op]} {self.type(first)} {args[0]} to {self.type(kind)}")
        if op == "select":
            picked = f"{self.type(kind)} {args[1]}, {self.type(kind)} {args[2]}"
            return self.code.value(f"select {self.type('i1')} {args[0]}, {picked}")
        if op in _COMPARE_INTEGER:
            if first == "f32":
                return self.code.value(f"fcmp {_COMPARE_FLOAT[op]} {self.type(first)} {args[0]}, {args[1]}")
            return self.code.value(f"icmp {_COMPARE_INTEGER[op]} {self.type(first)} {args[0]}, {args[1]}")
        if kind == "f32":
            return self._float(op, args)
        if op in ("max", "min"):
            width = "i64" if self.lanes == 1 else f"v{self.lanes}i64"
            typed = self.type(kind)
            return self.code.call(typed, f"llvm.s{op}.{width}", (typed, args[0]), (typed, args[1]))
        instruction = "lshr" if (op, kind) == ("shr", "i32") else _INTEGER[op]
        return self.code.value(f"{instruction} {self.type(kind)} {args[0]}, {args[1]}")

    def _cast(self, before: Kind, after: Kind, value: str) -> str:
        if before == after:
            return value
        if after == "i1":
            zero = "zeroinitializer" if self.lanes > 1 else "0.0" if before == "f32" else "0"
            compare = "fcmp une" if before == "f32" else "icmp ne"
            return self.code.value(f"{compare} {self.type(before)} {value}, {zero}")
        how = {
            ("i64", "f32"): "sitofp",
            ("i32", "f32"): "uitofp",
            ("i1", "f32"): "uitofp",
            ("f32", "i64"): "fptosi",
            ("i1", "i64"): "zext",
        }
        made = self.code.value(f"{how[before, after]} {self.type(before)} {value} to {self.type(after)}")
        if (before, after) == ("f32", "i64"):  # of what is too large it is some number, but one number
            made = self.code.value(f"freeze {self.type(after)} {made}")
        return made

    def _float(self, op: str, args: Sequence[str]) -> str:
        f32 = self.type("f32")
        if op in _FLOAT:
            return self.code.value(f"{_FLOAT[op]} {f32} {args[0]}, {args[1]}")
        if op == "neg":
            return self.code.value(f"fneg {f32} {args[0]}")
        if op in _INTRINSICS:
            width = "f32" if self.lanes == 1 else f"v{self.lanes}f32"
            return self.code.call(f32, f"llvm.{_INTRINSICS[op]}.{width}", *((f32, arg) for arg in args))
        if self.lanes > 1 and op in _VECTOR:
            return _VECTOR[op](self, args[0])
        if self.lanes == 1:
            return self.code.call(f32, _LIBRARY[op], *((f32, arg) for arg in args))
        return self._lane_by_lane(op, args)

    def _lane_by_lane(self, op: str, args: Sequence[str]) -> str:
        f32, made = self.type("f32"), "poison"
        for lane in range(self.lanes):
            parts = [self.code.value(f"extractelement {f32} {arg}, i64 {lane}") for arg in args]
            one = self.code.call("float", _LIBRARY[op], *(("float", part) for part in parts))
            made = self.code.value(f"insertelement {f32} {made}, float {one}, i64 {lane}")
        return made

    # What the polynomials are written in.

    def f(self, op: str, *args: str | float) -> str:
        """An operation on floats, some of which may be known numbers."""
        return self._float(op, [self.const(arg, "f32") if isinstance(arg, float) else arg for arg in args])

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """By Horner's rule, highest power first."""
        result = self.const(coefficients[0], "f32")
        for coefficient in coefficients[1:]:
            result = self.f("fma", result, x, coefficient)
        return result

    def power_of_two(self, exponent: str) -> str:
        """2 to a vector of i32 within the exponents of normal numbers."""
        i32 = f"<{self.lanes} x i32>"
        biased = self.code.value(f"add {i32} {exponent}, {self._i32(127)}")
        shifted = self.code.value(f"shl {i32} {biased}, {self._i32(23)}")
        return self.code.value(f"bitcast {i32} {shifted} to {self.type('f32')}")

    def _i32(self, value: int) -> str:
        return "<" + ", ".join([f"i32 {value}"] * self.lanes) + ">"


def _exp(a: Arithmetic, x: str) -> str:
    i32 = f"<{a.lanes} x i32>"
    x = a.f("max", a.f("min", x, 89.0), -105.0)
    n = a.f("round", a.f("mul", x, 1.44269504088896341))
    r = a.f("fma", n, 2.12194440e-4, a.f("fma", n, -0.693359375, x))
    p = a.polynomial(
        r,
        (
            1.9875691500e-4,
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            5.0000001201e-1,
        ),
    )
    y = a.f("add", a.f("add", a.f("mul", a.f("mul", r, r), p), r), 1.0)
    # In two halves: 2^n itself may be no normal number.
    whole = a.code.value(f"fptosi {a.type('f32')} {n} to {i32}")
    half = a.code.value(f"ashr {i32} {whole}, {a._i32(1)}")
    rest = a.code.value(f"sub {i32} {whole}, {half}")
    return a.f("mul", a.f("mul", y, a.power_of_two(half)), a.power_of_two(rest))


def _log(a: Arithmetic, x: str) -> str:
    f32, i32, i1 = a.type("f32"), f"<{a.lanes} x i32>", a.type("i1")

    def select(condition: str, yes: str, no: str) -> str:
        return a.code.value(f"select {i1} {condition}, {f32} {yes}, {f32} {no}")

    def compare(how: str, left: str, right: float) -> str:
        return a.code.value(f"fcmp {how} {f32} {left}, {a.const(right, 'f32')}")

    tiny = compare("olt", x, 2.0**-126)
    scaled = select(tiny, a.f("mul", x, 2.0**25), x)
    bits = a.code.value(f"bitcast {f32} {scaled} to {i32}")
    exponent = a.code.value(f"ashr {i32} {bits}, {a._i32(23)}")
    exponent = a.code.value(f"sub {i32} {exponent}, {a._i32(126)}")
    mantissa = a.code.value(f"and {i32} {bits}, {a._i32(0x7FFFFF)}")
    mantissa = a.code.value(f"or {i32} {mantissa}, {a._i32(0x3F000000)}")
    m = a.code.value(f"bitcast {i32} {mantissa} to {f32}")
    e = a.code.value(f"sitofp {i32} {exponent} to {f32}")
    e = select(tiny, a.f("sub", e, 25.0), e)
    small = compare("olt", m, 0.707106781186547524)
    e = select(small, a.f("sub", e, 1.0), e)
    m = a.f("sub", select(small, a.f("add", m, m), m), 1.0)
    z = a.f("mul", m, m)
    p = a.polynomial(
        m,
        (
            7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
            -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
        ),
    )  # fmt: skip
    y = a.f("add", a.f("mul", a.f("mul", p, m), z), a.f("mul", e, -2.12194440e-4))
    y = a.f("sub", y, a.f("mul", z, 0.5))
    y = a.f("add", a.f("add", m, y), a.f("mul", e, 0.693359375))
    y = select(compare("oeq", x, float("inf")), x, y)
    y = select(compare("oeq", x, 0.0), a.const(float("-inf"), "f32"), y)
    y = select(compare("olt", x, 0.0), a.const(float("nan"), "f32"), y)
    return select(compare("uno", x, 0.0), x, y)


def _tanh(a: Arithmetic, x: str) -> str:
    size = a.f("abs", x)
    large = a.f("sub", 1.0, a.f("div", 2.0, a.f("add", _exp(a, a.f("add", size, size)), 1.0)))
    large = a.code.call(
        a.type("f32"), f"llvm.copysign.v{a.lanes}f32", (a.type("f32"), large), (a.type("f32"), x)
    )
    z = a.f("mul", x, x)
    p = a.polynomial(
        z, (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
    )
    small = a.f("add", a.f("mul", a.f("mul", p, z), x), x)
    is_small = a.code.value(f"fcmp olt {a.type('f32')} {size}, {a.const(0.625, 'f32')}")
    return a.code.value(f"select {a.type('i1')} {is_small}, {a.type('f32')} {small}, {a.type('f32')} {large}")


def _erf(a: Arithmetic, x: str) -> str:
    x = a.f("max", a.f("min", x, 3.832506856900711), -3.832506856900711)
    z = a.f("mul", x, x)
    above = a.polynomial(
        z,
        (
            0.00022905065861350646,
            0.0034082910107109506,
            0.050955695062380861,
            0.18520832239976145,
            1.128379143519084,
        ),
    )
    below = a.polynomial(
        z,
        (
            -1.1791602954361697e-7, 0.000023547966471313185, 0.0010179625278914885, 0.014070470171167667,
            0.11098505178285362, 0.49746925110067538, 1.0,
        ),
    )  # fmt: skip
    return a.f("div", a.f("mul", x, above), below)


_VECTOR: dict[str, Callable[[Arithmetic, str], str]] = {"exp": _exp, "log": _log, "tanh": _tanh, "erf": _erf}
