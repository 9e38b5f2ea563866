"""Pooling and its gradients: a window's places one after another, each a picture seen with a stride.

Where windows overlap, gradients add up, place by place.
"""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from torch import fx

from ravine.native.expressions import Expr, Index, Stored, Value
from ravine.native.lowering import Composite, Lowering
from ravine.native.pictures import every, framed
from ravine.native.tensors import Tensors, Unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    """Windows over a picture.

    Args:
        sides: of a window.
        stride: between windows.
        padding: places around the picture.
        dilation: between places of a window.
        num: of windows, by dimension.
        sizes: of the picture.
    """

    sides: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    num: Sequence[int]
    sizes: Sequence[int]

    @property
    def around(self) -> list[int]:
        """Sizes of the picture with what is around it: as far as windows go, at least."""
        reach = [
            (num - 1) * far + (side - 1) * apart + 1
            for num, far, side, apart in zip(self.num, self.stride, self.sides, self.dilation, strict=True)
        ]
        own = [size + more for size, more in zip(self.sizes, self.padding, strict=True)]
        return [max(one, other) for one, other in zip(reach, own, strict=True)]

    @property
    def disjoint(self) -> bool:
        """Whether no place is in two windows."""
        return all(
            far >= (side - 1) * apart + 1
            for far, side, apart in zip(self.stride, self.sides, self.dilation, strict=True)
        )

    @property
    def complete(self) -> bool:
        """Whether each place of the picture is in some window."""
        return all(
            far == side and apart == 1 and size == num * far and not more
            for far, side, apart, size, num, more in zip(
                self.stride, self.sides, self.dilation, self.sizes, self.num, self.padding, strict=True
            )
        )

    def places(self, tensors: Tensors, whole: Value) -> Iterator[tuple[tuple[int, ...], Value]]:
        """For each place of a window, where it is and what all windows see there, (B, C, *num)."""
        for place in product(*map(range, self.sides)):
            seen = whole
            for dim, (i, apart, num, far) in enumerate(
                zip(place, self.dilation, self.num, self.stride, strict=True), start=2
            ):
                seen = tensors.sliced(seen, dim, i * apart, num, far)
            yield place, seen

    def number(self, tensors: Tensors, place: Sequence[int]) -> Callable[[Index], Expr]:
        """PyTorch's number of a place in the picture, row by row."""

        def at(index: Index) -> Expr:
            total = index[2].times(0)
            for d, i in enumerate(place):
                row = index[2 + d].times(self.stride[d], i * self.dilation[d] - self.padding[d])
                total = total + row.times(prod(self.sizes[d + 1 :]))
            return tensors.pool.index(total)

        return at


def _windows(
    x: Value, num: Sequence[int], sides: Sequence[int], stride: Sequence[int], padding: Any, dilation: Any
) -> _Windows:
    d = len(num)
    sides = every(sides, d)
    return _Windows(
        sides=sides,
        stride=every(stride, d) if stride else sides,
        padding=every(padding, d),
        dilation=every(dilation, d),
        num=num,
        sizes=x.shape[len(x.shape) - d :],
    )


def _num_windows(
    x: Value, sides: Sequence[int], stride: Sequence[int], padding: Any, dilation: Any, ceil: bool
) -> list[int]:
    """How many windows there are in each dimension: where half ones count, the last begins in the picture."""
    windows = _windows(x, x.shape[2:], sides, stride, padding, dilation)
    found = []
    for size, side, far, more, apart in zip(
        windows.sizes, windows.sides, windows.stride, windows.padding, windows.dilation, strict=True
    ):
        room = size + 2 * more - apart * (side - 1) - 1
        num = (-(-room // far) if ceil else room // far) + 1
        found.append(num - 1 if ceil and (num - 1) * far >= size + more else num)
    return found


def _framed(tensors: Tensors, x: Value, windows: _Windows, number: float) -> Stored:
    return framed(tensors, x, windows.padding, windows.around, [1] * len(windows.num), number)


def max_pool(
    low: Lowering, node: fx.Node, x: Value, sides: Sequence[int], stride: Sequence[int] = (),
    padding: Sequence[int] = (0,), dilation: Sequence[int] = (1,), ceil: bool = False,
) -> tuple[Value, Value]:  # fmt: skip
    """PyTorch's ``aten::max_pool2d_with_indices``: the largest number of each window, and its first place."""
    tensors, x = low.tensors, _pictures(x)
    windows = _windows(
        x, _num_windows(x, sides, stride, padding, dilation, ceil), sides, stride, padding, dilation
    )
    shape = (*x.shape[:2], *windows.num)
    whole = _framed(tensors, x, windows, float("-inf"))
    best: Value | None = None
    where: Value | None = None
    for place, seen in windows.places(tensors, whole):
        here = Value(shape=shape, kind="i64", at=windows.number(tensors, place))
        if best is None or where is None:
            best, where = seen, here
            continue
        # not a number is larger than any
        larger = _either(
            tensors, tensors.op("gt", seen, best, kind="i1"), tensors.op("ne", seen, seen, kind="i1")
        )
        where = tensors.op("select", larger, here, where, kind="i64")
        best = tensors.op("select", larger, seen, best)
    assert best is not None, "a window has places"
    assert where is not None, "a window has places"
    return tensors.real(best), tensors.real(where, tensors.channels_last("i64", shape))


def _either(tensors: Tensors, one: Value, other: Value) -> Value:
    return tensors.op("or", one, other, kind="i1")


def max_pool_backward(
    low: Lowering, node: fx.Node, grad: Value, x: Value, sides: Sequence[int], stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], ceil: bool, where: Value,
) -> Value:  # fmt: skip
    """PyTorch's ``aten::max_pool2d_with_indices_backward``."""
    windows = _windows(_pictures(x), grad.shape[2:], sides, stride, padding, dilation)

    def part(place: Sequence[int]) -> Value:
        number = Value(shape=grad.shape, kind="i64", at=windows.number(low.tensors, place))
        return low.tensors.op("select", low.tensors.op("eq", where, number, kind="i1"), grad, 0.0)

    return _spread(low.tensors, grad, x, windows, part)


def avg_pool(
    low: Lowering, node: fx.Node, x: Value, sides: Sequence[int], stride: Sequence[int] = (),
    padding: Sequence[int] = (0,), ceil: bool = False, with_padding: bool = True, divisor: int | None = None,
) -> Value:  # fmt: skip
    """PyTorch's ``aten::avg_pool2d``, as far as all windows count the same number of places."""
    tensors, shape = low.tensors, tuple(node.meta["tensor"][0])
    windows = _windows(_pictures(x), shape[2:], sides, stride, padding, (1,))
    total: Value | None = None
    for _, seen in windows.places(tensors, _framed(tensors, x, windows, 0.0)):
        total = seen if total is None else tensors.op("add", total, seen)
    assert total is not None, "a window has places"
    return tensors.op("mul", total, 1.0 / _counted(windows, ceil, with_padding, divisor))


def avg_pool_backward(
    low: Lowering, node: fx.Node, grad: Value, x: Value, sides: Sequence[int], stride: Sequence[int],
    padding: Sequence[int], ceil: bool, with_padding: bool, divisor: int | None,
) -> Value:  # fmt: skip
    """PyTorch's ``aten::avg_pool2d_backward``."""
    windows = _windows(_pictures(x), grad.shape[2:], sides, stride, padding, (1,))
    share = low.tensors.op("mul", grad, 1.0 / _counted(windows, ceil, with_padding, divisor))
    return _spread(low.tensors, grad, x, windows, lambda _: share)


def _counted(windows: _Windows, ceil: bool, with_padding: bool, divisor: int | None) -> int:
    uneven = ceil or (max(windows.padding) > 0 and not with_padding)
    if uneven and not divisor:
        raise Unsupported("average pooling whose windows count different numbers of places")
    return divisor or prod(windows.sides)


def _spread(
    tensors: Tensors, grad: Value, x: Value, windows: _Windows, part: Callable[[Sequence[int]], Value]
) -> Value:
    """The sum over windows of what each of their places is given, in the picture's shape."""
    whole = tensors.channels_last("f32", (*grad.shape[:2], *windows.around))
    if not (windows.disjoint and windows.complete):
        tensors.fill(whole, 0.0)
    for place, seen in windows.places(tensors, whole):
        assert isinstance(seen, Stored), "a view of memory is memory"
        own = part(place)
        tensors.real(own if windows.disjoint else tensors.op("add", seen, own), seen)
    inside: Value = whole
    for dim, (start, size) in enumerate(zip(windows.padding, windows.sizes, strict=True), start=2):
        inside = tensors.sliced(inside, dim, start, size)
    return inside


def _pictures(x: Value) -> Value:
    if len(x.shape) < 4:
        raise Unsupported("pooling of a picture without a batch")
    return x


POOLING: Mapping[str, Composite] = {
    "max_pool2d_with_indices": max_pool,
    "max_pool2d_with_indices_backward": max_pool_backward,
    "max_pool3d_with_indices": max_pool,
    "max_pool3d_with_indices_backward": max_pool_backward,
    "avg_pool2d": avg_pool,
    "avg_pool2d_backward": avg_pool_backward,
}
