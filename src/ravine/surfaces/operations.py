"""PyTorch's operations on small tensors, as expressions of their single numbers.

A tensor here is an array of scalars: NumPy's indexing and broadcasting are PyTorch's, views included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ravine import aten
from ravine.surfaces.scalars import Scalar, ScalarPool

Array = Any  # of scalars
Operation = Callable[..., Any]

_LARGEST_POWER = 8  # that is written out as products

_SAME_NAME = (
    "sqrt", "exp", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "abs", "floor", "ceil", "trunc", "neg", "add", "mul", "div", "atan2", "maximum", "minimum",
    "lt", "le", "gt", "ge", "eq", "ne",
)  # fmt: skip


class Numbers:
    """Arithmetic on scalars, in the words of PyTorch's operations."""

    def __init__(self, pool: ScalarPool) -> None:
        self.pool = pool
        self.zero, self.one = pool.const(0.0), pool.const(1.0)

    def of(self, value: Any) -> Scalar:
        """A scalar, from a Python number or a scalar; truth values become 1 and 0."""
        if not isinstance(value, Scalar):
            return self.pool.const(float(value))
        return self.op("where", value, self.one, self.zero) if value.is_truth else value

    def op(self, name: str, *args: Scalar) -> Scalar:
        """One operation."""
        return self.pool.op(name, *args)

    def __getattr__(self, name: str) -> Callable[..., Scalar]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self.op(name, *(self.of(arg) for arg in args))

    def truth(self, value: Any) -> Scalar:
        """A truth value, from a number: whether it is not 0."""
        return value if isinstance(value, Scalar) and value.is_truth else self.ne(value, 0.0)

    def where(self, condition: Any, x: Any, y: Any) -> Scalar:
        """x where the condition is true, else y."""
        if not isinstance(condition, Scalar):
            return self.of(x if condition else y)
        return self.op("where", self.truth(condition), self.of(x), self.of(y))

    def power(self, x: Any, exponent: Any) -> Scalar:
        """x to a power."""
        fixed = not isinstance(exponent, Scalar) or exponent.op == "const"
        known = float(exponent.value if isinstance(exponent, Scalar) else exponent) if fixed else 0.0
        if fixed and known in (0.5, -0.5):
            root = self.sqrt(x)
            return root if known == 0.5 else self.div(1.0, root)
        if fixed and known.is_integer() and 0 < abs(known) <= _LARGEST_POWER:
            product = self.of(x)
            for _ in range(int(abs(known)) - 1):
                product = self.mul(product, x)
            return product if known > 0 else self.div(1.0, product)
        if fixed and known == 0:
            return self.one
        return self.op("pow", self.of(x), self.of(exponent))

    def lerp(self, x: Any, y: Any, weight: Any) -> Scalar:
        """``x + weight (y - x)``, from the nearer end, as PyTorch does it."""
        gap = self.sub(y, x)
        near = self.add(x, self.mul(weight, gap))
        far = self.sub(y, self.mul(gap, self.sub(1.0, weight)))
        return self.where(self.lt(self.abs(weight), 0.5), near, far)

    def sign(self, x: Any) -> Scalar:
        """-1, 0 or 1."""
        below = self.where(self.lt(x, 0.0), -1.0, x)  # 0 and what is no number stay
        return self.where(self.gt(x, 0.0), 1.0, below)

    def sigmoid(self, x: Any) -> Scalar:
        """``1 / (1 + exp(-x))``."""
        return self.div(1.0, self.add(1.0, self.exp(self.neg(x))))


def table(pool: ScalarPool) -> dict[str, Operation]:
    """Operations of arrays by their name in ATen."""
    n = Numbers(pool)

    def each(function: Callable[..., Scalar]) -> Operation:
        def apply(*args: Any, **_: Any) -> Array:
            arrays = np.broadcast_arrays(*(_array(arg) for arg in args))
            out = np.empty(arrays[0].shape, dtype=object)
            for place in np.ndindex(out.shape):
                out[place] = function(*(array[place] for array in arrays))
            return out

        return apply

    def scaled(name: str) -> Operation:
        def apply(x: Any, y: Any, *, alpha: float = 1) -> Array:
            return each(lambda a, b: n.op(name, n.of(a), n.mul(b, alpha)))(x, y)

        return apply

    def clamp(x: Array, low: Any = None, high: Any = None) -> Array:
        if low is not None:
            x = each(n.maximum)(x, low)
        return x if high is None else each(n.minimum)(x, high)

    def total(x: Array, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        return _reduced(x, dim, keepdim, n.zero, n.add)

    def mean(x: Array, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        summed = total(x, dim, keepdim)
        return each(n.div)(summed, float(x.size // max(summed.size, 1)))

    def norm(x: Array, order: float = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        size = each(n.abs)(x)
        if order == math.inf:
            return _reduced(size, dim, keepdim, n.zero, n.maximum)
        return each(lambda s: n.power(s, 1.0 / order))(
            total(each(lambda a: n.power(a, order))(size), dim, keepdim)
        )

    def product(x: Array, y: Array) -> Array:
        left = x if x.ndim > 1 else x[None]
        right = y if y.ndim > 1 else y[:, None]
        out = total(each(n.mul)(left[..., :, :, None], right[..., None, :, :]), -2)
        out = out if y.ndim > 1 else out[..., 0]
        return out if x.ndim > 1 else out[0]

    def addmm(bias: Array, x: Array, y: Array, *, beta: float = 1, alpha: float = 1) -> Array:
        return each(lambda c, p: n.add(n.mul(c, beta), n.mul(p, alpha)))(bias, product(x, y))

    def full(size: Sequence[int], value: Any = 0.0, **_: Any) -> Array:
        out = np.empty(tuple(size), dtype=object)
        out[...] = _array(value)
        return out

    def picked_backward(grad: Array, size: Sequence[int], dim: int, index: int) -> Array:
        out = full(size, n.zero)
        np.moveaxis(out, dim, 0)[index, ...] = grad
        return out

    def sliced_backward(grad: Array, size: Sequence[int], dim: int, start: int, end: int, step: int) -> Array:
        out = full(size, n.zero)
        np.moveaxis(out, dim, 0)[start:end:step] = np.moveaxis(grad, dim, 0)
        return out

    found: dict[str, Operation] = {name: each(getattr(n, name)) for name in _SAME_NAME}
    found.update(
        {
            "add": scaled("add"),
            "sub": scaled("sub"),
            "rsub": lambda x, y, alpha=1: scaled("sub")(y, x, alpha=alpha),
            "div": _without_rounding(each(n.div)),
            "pow": each(n.power),
            "square": each(lambda x: n.mul(x, x)),
            "reciprocal": each(lambda x: n.div(1.0, x)),
            "rsqrt": each(lambda x: n.div(1.0, n.sqrt(x))),
            "exp2": each(lambda x: n.op("pow", n.of(2.0), n.of(x))),
            "log2": each(lambda x: n.div(n.log(x), math.log(2.0))),
            "log10": each(lambda x: n.div(n.log(x), math.log(10.0))),
            "sign": each(n.sign),
            "sgn": each(n.sign),
            "sigmoid": each(n.sigmoid),
            "sigmoid_backward": each(lambda g, y: n.mul(g, n.mul(n.sub(1.0, y), y))),
            "tanh_backward": each(lambda g, y: n.mul(g, n.sub(1.0, n.mul(y, y)))),
            "relu": each(lambda x: n.maximum(x, 0.0)),
            "threshold_backward": each(lambda g, x, low: n.where(n.le(x, low), 0.0, g)),
            "where": each(n.where),
            "masked_fill": each(lambda x, mask, value: n.where(mask, value, x)),
            "addcmul": lambda x, y, z, value=1: each(lambda a, b, c: n.add(a, n.mul(n.mul(b, value), c)))(
                x, y, z
            ),
            "addcdiv": lambda x, y, z, value=1: each(lambda a, b, c: n.add(a, n.div(n.mul(b, value), c)))(
                x, y, z
            ),
            "lerp": each(n.lerp),
            "clamp": clamp,
            "clamp_min": clamp,
            "clamp_max": lambda x, high: clamp(x, None, high),
            "logical_and": each(lambda x, y: n.op("and", n.truth(x), n.truth(y))),
            "logical_or": each(lambda x, y: n.op("or", n.truth(x), n.truth(y))),
            "logical_not": each(lambda x: n.op("not", n.truth(x))),
            "bitwise_and": each(lambda x, y: n.op("and", n.truth(x), n.truth(y))),
            "bitwise_or": each(lambda x, y: n.op("or", n.truth(x), n.truth(y))),
            "bitwise_not": each(lambda x: n.op("not", n.truth(x))),
            "sum": total,
            "mean": mean,
            "prod": lambda x, dim=None, keepdim=False, **_: _reduced(x, dim, keepdim, n.one, n.mul),
            "amax": lambda x, dim=None, keepdim=False: _reduced(
                x, dim or None, keepdim, n.of(-math.inf), n.maximum
            ),
            "amin": lambda x, dim=None, keepdim=False: _reduced(
                x, dim or None, keepdim, n.of(math.inf), n.minimum
            ),
            "linalg_vector_norm": norm,
            "norm": norm,
            **dict.fromkeys(("dot", "mv", "mm", "bmm"), product),
            "addmm": addmm,
            "zeros": full,
            "ones": lambda size, **_: full(size, 1.0),
            "full": full,
            "scalar_tensor": lambda value, **_: full((), value),
            "new_zeros": lambda _x, size, **_: full(size),
            "new_ones": lambda _x, size, **_: full(size, 1.0),
            "new_full": lambda _x, size, value, **_: full(size, value),
            "zeros_like": lambda x, **_: full(x.shape),
            "empty_like": lambda x, **_: full(x.shape),
            "ones_like": lambda x, **_: full(x.shape, 1.0),
            "full_like": lambda x, value, **_: full(x.shape, value),
            "fill": lambda x, value: full(x.shape, value),
            "zero": lambda x: full(x.shape),
            "copy": lambda x, y, *_: np.broadcast_to(_array(y), x.shape),
            **dict.fromkeys(aten.COPIES, lambda x, **_: x.copy()),
            "select_backward": picked_backward,
            "slice_backward": sliced_backward,
            **_VIEWS,
        }
    )
    return found


def _array(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    out = np.empty((), dtype=object)
    out[()] = value
    return out


def _reduced(
    x: Array, dim: Any, keepdim: bool, start: Scalar, step: Callable[[Scalar, Scalar], Scalar]
) -> Array:
    dims = range(x.ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    axes = sorted({axis % x.ndim for axis in dims}) if x.ndim else []
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    flat = x.transpose([*rest, *axes]).reshape(*(x.shape[axis] for axis in rest), -1)
    out = np.empty(flat.shape[:-1], dtype=object)
    for place in np.ndindex(out.shape):
        value = start
        for number, each in enumerate(flat[place]):
            value = each if number == 0 else step(value, each)
        out[place] = value
    return np.expand_dims(out, tuple(axes)) if keepdim else out


def _without_rounding(function: Operation) -> Operation:
    def apply(x: Any, y: Any, *, rounding_mode: str | None = None) -> Array:
        if rounding_mode is not None:
            raise NotImplementedError
        return function(x, y)

    return apply


def _sliced(x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return np.moveaxis(np.moveaxis(x, dim, 0)[start:end:step], 0, dim)


def _expanded(x: Array, size: Sequence[int], **_: Any) -> Array:
    new = len(size) - x.ndim
    return np.broadcast_to(x, [x.shape[i - new] if length == -1 else length for i, length in enumerate(size)])


def _squeezed(x: Array, dim: Any = None) -> Array:
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return x.squeeze(tuple(axis for axis in dims if x.ndim and x.shape[axis] == 1))


def _split(x: Array, size: Any, dim: int = 0) -> list[Array]:
    length = x.shape[dim]
    sizes = size if isinstance(size, list | tuple) else [size] * math.ceil(length / size)
    return np.split(x, np.cumsum(sizes)[:-1], axis=dim)


_VIEWS: dict[str, Operation] = {
    **dict.fromkeys(aten.SAME, lambda x, **_: x),
    **dict.fromkeys(aten.RESHAPES, lambda x, size, *_: x.reshape(tuple(size))),
    "expand": _expanded,
    "unsqueeze": lambda x, dim: np.expand_dims(x, dim),
    "squeeze": _squeezed,
    "permute": lambda x, dims: x.transpose(dims),
    "transpose": lambda x, first, second: x.swapaxes(first, second),
    "t": lambda x: x.T,
    "flip": lambda x, dims: np.flip(x, dims),
    "select": lambda x, dim, index: np.moveaxis(x, dim, 0)[index : index + 1 or None].reshape(
        np.delete(x.shape, dim)
    ),
    "slice": _sliced,
    "unbind": lambda x, dim=0: [
        np.moveaxis(x, dim, 0)[i : i + 1].reshape(np.delete(x.shape, dim)) for i in range(x.shape[dim])
    ],
    "split": _split,
    "split_with_sizes": _split,
    "stack": lambda parts, dim=0: np.stack(parts, axis=dim),
    "cat": lambda parts, dim=0: np.concatenate(parts, axis=dim),
}
