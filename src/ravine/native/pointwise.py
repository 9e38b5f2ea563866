"""PyTorch's elementwise operations as expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ravine.aten import COMPARISONS
from ravine.native.activations import activations
from ravine.native.code import Kind
from ravine.native.expressions import Expr, ExprPool

Make = Callable[..., Expr]

_ERFINV_NEAR = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 2.1858087e-04, -1.25372503e-03,
    -4.17768164e-03, 0.246640727, 1.50140941,
)  # fmt: skip
_ERFINV_FAR = (
    -2.00214257e-04, 1.00950558e-04, 1.34934322e-03, -3.67342844e-03, 5.73950773e-03, -7.6224613e-03,
    9.43887047e-03, 1.00167406, 2.83297682,
)  # fmt: skip


def table(pool: ExprPool) -> dict[str, Make]:
    """By name, the expression of an operation's operands (`ravine.aten.ELEMENTWISE` says how many there are).

    They are followed by the operation's remaining arguments as they are.
    """

    def const(value: float, like: Expr) -> Expr:
        return pool.const(value, like.kind)

    def op(name: str) -> Make:
        return lambda *args: pool.op(name, args[0].kind, *args)

    def compare(name: str) -> Make:
        return lambda x, y: pool.op(name, "i1", x, y)

    def add(x: Expr, y: Expr) -> Expr:
        return pool.op("add", x.kind, x, y)

    def sub(x: Expr, y: Expr) -> Expr:
        return pool.op("sub", x.kind, x, y)

    def mul(x: Expr, y: Expr) -> Expr:
        return pool.op("mul", x.kind, x, y)

    def div(x: Expr, y: Expr) -> Expr:
        return pool.op("div", x.kind, x, y)

    def fma(x: Expr, y: Expr, z: Expr) -> Expr:
        """``x y + z``, rounded once."""
        return pool.op("fma", "f32", x, y, z)

    def scaled(y: Expr, alpha: float) -> Expr:
        return y if alpha == 1 else mul(y, const(alpha, y))

    def select(condition: Expr, x: Expr, y: Expr) -> Expr:
        return pool.op("select", x.kind, condition, x, y)

    def neg(x: Expr) -> Expr:
        return pool.op("neg", "f32", x) if x.kind == "f32" else sub(const(0, x), x)

    def root(x: Expr) -> Expr:
        return pool.op("sqrt", "f32", x)

    def sigmoid(x: Expr) -> Expr:
        return div(const(1, x), add(const(1, x), pool.op("exp", "f32", neg(x))))

    def power(x: Expr, exponent: Expr) -> Expr:
        known = float(exponent.data) if exponent.op == "const" else None  # type: ignore[arg-type]
        if known == 2:
            return mul(x, x)
        if known == 3:
            return mul(mul(x, x), x)
        if known == 1:
            return x
        if known == 0.5:
            return root(x)
        if known == -0.5:
            return div(const(1, x), root(x))
        if known == -1:
            return div(const(1, x), x)
        return pool.op("pow", "f32", x, exponent)

    def sign(x: Expr) -> Expr:
        up = select(pool.op("gt", "i1", x, const(0, x)), const(1, x), const(0, x))
        return select(pool.op("lt", "i1", x, const(0, x)), const(-1, x), up)

    def clamp(x: Expr, low: float | None = None, high: float | None = None) -> Expr:
        # Comparisons that are false for what is no number, so that it remains.
        if low is not None:
            x = select(pool.op("lt", "i1", x, const(low, x)), const(low, x), x)
        if high is not None:
            x = select(pool.op("gt", "i1", x, const(high, x)), const(high, x), x)
        return x

    def remainder(x: Expr, y: Expr) -> Expr:
        """With the sign of y."""
        rest, zero = pool.op("rest", x.kind, x, y), const(0, x)
        apart = pool.op("ne", "i1", pool.op("lt", "i1", rest, zero), pool.op("lt", "i1", y, zero))
        some = pool.op("ne", "i1", rest, zero)
        return select(pool.op("and", "i1", apart, some), add(rest, y), rest)

    def quotient(x: Expr, y: Expr, rounding: str) -> Expr:
        """Of integers, rounded down or towards 0."""
        if rounding == "trunc":
            return pool.op("quotient", "i64", x, y)
        return pool.op("quotient", "i64", sub(x, remainder(x, y)), y)

    def threshold_backward(grad: Expr, x: Expr, threshold: float) -> Expr:
        return select(pool.op("le", "i1", x, const(threshold, x)), const(0, grad), grad)

    def leaky(x: Expr, slope: float = 0.01) -> Expr:
        return select(pool.op("gt", "i1", x, const(0, x)), x, mul(x, const(slope, x)))

    def leaky_backward(grad: Expr, x: Expr, slope: float, _: bool) -> Expr:
        return select(pool.op("gt", "i1", x, const(0, x)), grad, mul(grad, const(slope, grad)))

    def silu(x: Expr) -> Expr:
        return mul(x, sigmoid(x))

    def silu_backward(grad: Expr, x: Expr) -> Expr:
        up = sigmoid(x)
        return mul(mul(grad, up), add(const(1, x), mul(x, sub(const(1, x), up))))

    def height(x: Expr, approximate: str) -> Expr:
        """Of the normal distribution up to x, twice, less 1."""
        if approximate == "tanh":
            inner = mul(x, add(const(1, x), mul(const(0.044715, x), mul(x, x))))
            return pool.op("tanh", "f32", mul(const(0.7978845608028654, x), inner))
        return pool.op("erf", "f32", mul(x, const(0.5**0.5, x)))

    def gelu(x: Expr, approximate: str = "none") -> Expr:
        return mul(x, add(const(0.5, x), mul(const(0.5, x), height(x, approximate))))

    def gelu_backward(grad: Expr, x: Expr, approximate: str = "none") -> Expr:
        up = height(x, approximate)
        square = mul(x, x)
        if approximate == "tanh":
            slope = mul(const(0.7978845608028654, x), add(const(1, x), mul(const(0.134145, x), square)))
            steep = mul(mul(const(0.5, x), x), mul(sub(const(1, x), mul(up, up)), slope))
        else:
            bell = pool.op("exp", "f32", mul(const(-0.5, x), square))
            steep = mul(const(0.3989422804014327, x), mul(x, bell))
        return mul(grad, add(add(const(0.5, x), mul(const(0.5, x), up)), steep))

    def softplus(x: Expr, beta: float = 1.0, threshold: float = 20.0) -> Expr:
        steep = mul(x, const(beta, x))
        soft = mul(pool.op("log1p", "f32", pool.op("exp", "f32", steep)), const(1 / beta, x))
        return select(pool.op("gt", "i1", steep, const(threshold, x)), x, soft)

    def softplus_backward(grad: Expr, x: Expr, beta: float, threshold: float) -> Expr:
        steep = mul(x, const(beta, x))
        slope = mul(grad, sigmoid(steep))
        return select(pool.op("gt", "i1", steep, const(threshold, x)), grad, slope)

    def elu(x: Expr, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Expr:
        low = mul(const(alpha * scale, x), pool.op("expm1", "f32", mul(x, const(input_scale, x))))
        return select(pool.op("gt", "i1", x, const(0, x)), mul(x, const(scale, x)), low)

    def elu_backward(grad: Expr, x: Expr, alpha: float, scale: float, input_scale: float, done: bool) -> Expr:
        if done:  # x is elu's result
            low = mul(const(input_scale, x), add(x, const(alpha * scale, x)))
        else:
            low = mul(
                const(input_scale * alpha * scale, x), pool.op("exp", "f32", mul(x, const(input_scale, x)))
            )
        return mul(grad, select(pool.op("gt", "i1", x, const(0, x)), const(scale, x), low))

    def tanh_backward(grad: Expr, y: Expr) -> Expr:
        return mul(grad, sub(const(1, y), mul(y, y)))

    def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
        found = const(coefficients[0], x)
        for each in coefficients[1:]:
            found = fma(found, x, const(each, x))
        return found

    def erfinv(x: Expr) -> Expr:
        """By M. Giles, 2010, "Approximating the erfinv function", in single precision."""
        w = neg(pool.op("log", "f32", mul(sub(const(1, x), x), add(const(1, x), x))))
        near = polynomial(sub(w, const(2.5, x)), _ERFINV_NEAR)
        far = polynomial(sub(root(w), const(3, x)), _ERFINV_FAR)
        return mul(select(pool.op("lt", "i1", w, const(5, x)), near, far), x)

    def sigmoid_backward(grad: Expr, y: Expr) -> Expr:
        return mul(grad, mul(sub(const(1, y), y), y))

    def lerp(start: Expr, end: Expr, weight: Expr) -> Expr:
        return fma(weight, sub(end, start), start)

    found: dict[str, Make] = {
        "add": lambda x, y, alpha=1: add(x, scaled(y, alpha)),
        "sub": lambda x, y, alpha=1: sub(x, scaled(y, alpha)),
        "rsub": lambda x, y, alpha=1: sub(y, scaled(x, alpha)),
        "mul": mul,
        "div": lambda x, y, rounding_mode=None: quotient(x, y, rounding_mode) if rounding_mode else div(x, y),
        "floor_divide": lambda x, y: quotient(x, y, "floor"),
        "remainder": remainder,
        "neg": neg,
        "relu": lambda x: clamp(x, 0.0),
        "reciprocal": lambda x: div(const(1, x), x),
        "rsqrt": lambda x: div(const(1, x), root(x)),
        "sigmoid": sigmoid,
        "sign": sign,
        "sgn": sign,
        "pow": power,
        "square": lambda x: mul(x, x),
        "maximum": op("max"),
        "minimum": op("min"),
        "clamp": clamp,
        "clamp_min": lambda x, low: clamp(x, low),
        "clamp_max": lambda x, high: clamp(x, None, high),
        "hardtanh": lambda x, low=-1.0, high=1.0: clamp(x, low, high),
        "leaky_relu": leaky,
        "leaky_relu_backward": leaky_backward,
        "silu": silu,
        "silu_backward": silu_backward,
        "gelu": gelu,
        "gelu_backward": gelu_backward,
        "softplus": softplus,
        "softplus_backward": softplus_backward,
        "elu": elu,
        "elu_backward": elu_backward,
        "threshold_backward": threshold_backward,
        "tanh_backward": tanh_backward,
        "erfinv": erfinv,
        "sigmoid_backward": sigmoid_backward,
        "lerp": lerp,
        "addcmul": lambda x, y, z, value=1: fma(scaled(y, value), z, x),
        "addcdiv": lambda x, y, z, value=1: add(x, scaled(div(y, z), value)),
        "where": select,
        "bitwise_and": op("and"),
        "bitwise_or": op("or"),
        "bitwise_xor": op("xor"),
        "logical_and": op("and"),
        "logical_or": op("or"),
        "logical_not": lambda x: pool.op("xor", "i1", x, pool.const(True, "i1")),
        "bitwise_not": lambda x: pool.op("xor", x.kind, x, const(-1, x)),
        "__rshift__": op("shr"),
        "__lshift__": op("shl"),
        "masked_fill": lambda x, mask, value: select(mask, value, x),
    }
    found.update(
        {
            name: op(name)
            for name in (
                "exp",
                "log",
                "sqrt",
                "abs",
                "tanh",
                "erf",
                "expm1",
                "log1p",
                "sin",
                "cos",
                "ceil",
                "floor",
                "round",
            )
        }
    )
    found.update({name: compare(name) for name in COMPARISONS})
    found.update(activations(pool))
    return found


def kinds(name: str, operands: list[Kind | None], result: Kind) -> list[Kind]:
    """The kinds that operands are converted to; None is a Python number."""
    if name in ("where", "masked_fill"):
        condition = 0 if name == "where" else 1
        return ["i1" if i == condition else result for i in range(len(operands))]
    if name in COMPARISONS or result == "i1":
        known: list[Kind] = [kind for kind in operands if kind is not None]
        common: Kind = "f32" if "f32" in known else "i64" if "i64" in known else "i1"
        return [common] * len(operands)
    return [result] * len(operands)
