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

from ravine.native.expressions import Affine, Expr, Index, Stored, Value
from ravine.native.extremes import largest_along
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
    pool, seen = tensors.pool, list(windows.places(tensors, whole))

    def largest(index: Index) -> tuple[Expr, Expr]:
        """Of the window at an index, and where it is."""
        best, where = seen[0][1].at(index), windows.number(tensors, seen[0][0])(index)
        for place, value in seen[1:]:
            here = value.at(index)
            none = pool.op("ne", "i1", here, here)  # not a number is larger than any
            larger = pool.op("or", "i1", pool.op("gt", "i1", here, best), none)
            where = pool.op("select", "i64", larger, windows.number(tensors, place)(index), where)
            best = pool.op("select", "f32", larger, here, best)
        return best, where

    best = Value(shape=shape, kind="f32", at=lambda index: largest(index)[0])
    where = Value(shape=shape, kind="i64", at=lambda index: largest(index)[1])
    return tensors.real(best), tensors.real(where, tensors.channels_last("i64", shape))


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
    """PyTorch's ``aten::avg_pool2d``."""
    tensors, shape = low.tensors, tuple(node.meta["tensor"][0])
    windows = _windows(_pictures(x), shape[2:], sides, stride, padding, (1,))
    total: Value | None = None
    for _, seen in windows.places(tensors, _framed(tensors, x, windows, 0.0)):
        total = seen if total is None else tensors.op("add", total, seen)
    assert total is not None, "a window has places"
    return _averaged(tensors, total, windows, ceil, with_padding, divisor)


def avg_pool_backward(
    low: Lowering, node: fx.Node, grad: Value, x: Value, sides: Sequence[int], stride: Sequence[int],
    padding: Sequence[int], ceil: bool, with_padding: bool, divisor: int | None,
) -> Value:  # fmt: skip
    """PyTorch's ``aten::avg_pool2d_backward``."""
    windows = _windows(_pictures(x), grad.shape[2:], sides, stride, padding, (1,))
    share = _averaged(low.tensors, grad, windows, ceil, with_padding, divisor)
    share = share if windows.disjoint else low.tensors.real(share)
    return _spread(low.tensors, grad, x, windows, lambda _: share)


def _averaged(
    tensors: Tensors, total: Value, windows: _Windows, ceil: bool, with_padding: bool, divisor: int | None
) -> Value:
    """Sums of windows, (B, C, *num), over the number of places that each of them counts."""
    uneven = ceil or (max(windows.padding) > 0 and not with_padding)
    if divisor or not uneven:
        return tensors.op("mul", total, 1.0 / (divisor or prod(windows.sides)))
    pool = tensors.pool

    def count(index: Index) -> Expr:
        found = pool.const(1, "i64")
        for d, (side, more, size) in enumerate(
            zip(windows.sides, windows.padding, windows.sizes, strict=True)
        ):
            start = pool.index(index[2 + d].times(windows.stride[d], -more))
            stop = pool.op("add", "i64", start, pool.const(side, "i64"))
            stop = pool.op("min", "i64", stop, pool.const(size + (more if with_padding else 0), "i64"))
            if not with_padding:
                start = pool.op("max", "i64", start, pool.const(0, "i64"))
            found = pool.op("mul", "i64", found, pool.op("sub", "i64", stop, start))
        return pool.op("cast", "f32", found)

    return tensors.op("div", total, Value(shape=total.shape, kind="f32", at=count))


# Windows that are as many as asked for.


def _sides(sizes: Sequence[int], num: Sequence[int]) -> list[int] | None:
    """Of windows that are so many and lie side by side; None: some would have to be wider than others."""
    even = all(size % each == 0 for size, each in zip(sizes, num, strict=True))
    return [size // each for size, each in zip(sizes, num, strict=True)] if even else None


def adaptive_avg_pool(low: Lowering, node: fx.Node, x: Value, num: Sequence[int]) -> Value:
    """PyTorch's ``aten::_adaptive_avg_pool2d``."""
    sides = _sides(x.shape[2:], num)
    if sides is not None:
        return avg_pool(low, node, _pictures(x), sides, sides)
    tensors = low.tensors
    whole = tensors.channels_last("f32", (*x.shape[:2], *num))
    x = tensors.real(x)
    for place, part in _cells(tensors, _pictures(x), num):
        mean = tensors.reduced("add", part, range(2, len(x.shape)), True)
        tensors.real(tensors.op("mul", mean, 1.0 / prod(part.shape[2:])), _cell(tensors, whole, place))
    return whole


def adaptive_avg_pool_backward(low: Lowering, node: fx.Node, grad: Value, x: Value) -> Value:
    """PyTorch's ``aten::_adaptive_avg_pool2d_backward``."""
    tensors, num = low.tensors, grad.shape[2:]
    sides = _sides(x.shape[2:], num)
    if sides is not None:
        return avg_pool_backward(low, node, grad, x, sides, sides, [0] * len(num), False, True, None)
    total = tensors.channels_last("f32", x.shape)
    tensors.fill(total, 0.0)
    grad = tensors.real(grad)
    for place, part in _cells(tensors, total, num):
        assert isinstance(part, Stored), "a view of memory is memory"
        share = tensors.op("mul", _cell(tensors, grad, place), 1.0 / prod(part.shape[2:]))
        tensors.real(tensors.op("add", part, tensors.expanded(share, part.shape)), part)
    return total


def _cells(tensors: Tensors, x: Value, num: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Value]]:
    """The window of each place of the result: from the floor of where it begins to the ceiling of where it ends."""
    for place in product(*map(range, num)):
        part = x
        for d, (i, each) in enumerate(zip(place, num, strict=True)):
            size = x.shape[2 + d]
            start, stop = i * size // each, -(-(i + 1) * size // each)
            part = tensors.sliced(part, 2 + d, start, stop - start)
        yield place, part


def _cell(tensors: Tensors, x: Value, place: Sequence[int]) -> Stored:
    for d, i in enumerate(place):
        x = tensors.sliced(x, 2 + d, i, 1)
    assert isinstance(x, Stored), "a view of memory is memory"
    return x


def adaptive_max_pool(low: Lowering, node: fx.Node, x: Value, num: Sequence[int]) -> tuple[Value, Value]:
    """PyTorch's ``aten::adaptive_max_pool2d``, of windows side by side."""
    if prod(num) == 1:
        flat = low.tensors.real(low.tensors.reshaped(x, (*x.shape[:2], prod(x.shape[2:]))))
        largest, where = largest_along(low, "max", flat, 2)
        shape = (*x.shape[:2], *num)
        return low.tensors.reshaped(largest, shape), low.tensors.reshaped(where, shape)
    return max_pool(low, node, x, _of_even_sides(x, num))


def adaptive_max_pool_backward(low: Lowering, node: fx.Node, grad: Value, x: Value, where: Value) -> Value:
    """PyTorch's ``aten::adaptive_max_pool2d_backward``."""
    if prod(grad.shape[2:]) == 1:
        return _to_one_place(low.tensors, grad, x, where)
    sides = _of_even_sides(x, grad.shape[2:])
    return max_pool_backward(low, node, grad, x, sides, sides, (0,), (1,), False, where)


def _to_one_place(tensors: Tensors, grad: Value, x: Value, where: Value) -> Value:
    """A picture's number (B, C, 1, 1) at its place, zeros elsewhere."""
    pool = tensors.pool
    grad, where = tensors.real(grad), tensors.real(where)

    def at(index: Index) -> Expr:
        single = [*index[:2], *[Affine()] * (len(index) - 2)]
        place = Affine()
        for size, each in zip(x.shape[2:], index[2:], strict=True):
            place = place.times(size) + each
        hit = pool.op("eq", "i1", where.at(single), pool.index(place))
        return pool.op("select", "f32", hit, grad.at(single), pool.const(0.0, "f32"))

    return Value(shape=x.shape, kind="f32", at=at)


def _of_even_sides(x: Value, num: Sequence[int]) -> list[int]:
    sides = _sides(x.shape[2:], num)
    if sides is None:
        raise Unsupported("pooling whose windows differ in size")
    return sides


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
    **dict.fromkeys(("avg_pool2d", "avg_pool3d"), avg_pool),
    **dict.fromkeys(("avg_pool2d_backward", "avg_pool3d_backward"), avg_pool_backward),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), adaptive_avg_pool),
    **dict.fromkeys(
        ("_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward"), adaptive_avg_pool_backward
    ),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d"), adaptive_max_pool),
    **dict.fromkeys(
        ("adaptive_max_pool2d_backward", "adaptive_max_pool3d_backward"), adaptive_max_pool_backward
    ),
}
