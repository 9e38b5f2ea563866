"""Convolutions that keep channels apart: sums of a few pictures, each moved, times a number for each channel.

Channels lie side by side, so a vector is some channels of one place, and no product of matrices is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from ravine.native.expressions import Affine, Expr, Index, Stored, Value
from ravine.native.tensors import Tensors


def repeated(tensors: Tensors, x: Value, times: int) -> Value:
    """(B, C, *spatial) with each channel so many times, one beside the other."""
    if times == 1:
        return x
    batch, channels, *spatial = x.shape
    whole = tensors.channels_last("f32", (batch, channels * times, *spatial))
    apart = tensors.reshaped(whole, (batch, channels, times, *spatial))
    assert isinstance(apart, Stored), "a view of memory is memory"
    one = tensors.reshaped(x, (batch, channels, 1, *spatial))
    tensors.real(tensors.expanded(one, apart.shape), apart)
    return whole


def added_up(tensors: Tensors, grad: Value, times: int) -> Value:
    """The sum over the repetitions of each channel."""
    batch, channels, *spatial = grad.shape
    apart = tensors.reshaped(grad, (batch, channels // times, times, *spatial))
    return tensors.reduced("add", apart, [2], False) if times > 1 else grad


def _moved(places: Index, stride: Sequence[int], inside: Index, dilation: Sequence[int]) -> list[Affine]:
    """Where windows see a place of theirs."""
    return [
        y.times(far) + i.times(apart)
        for y, far, i, apart in zip(places, stride, inside, dilation, strict=True)
    ]


def correlated(
    tensors: Tensors,
    picture: Stored,
    weight: Value,
    num: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    turned: bool = False,
) -> Stored:
    """``out[b, c, y] = sum_i picture[b, c, stride y + dilation i] weight[c, i]``, channels side by side.

    Args:
        tensors: where it is put.
        picture: (B, C, *spatial).
        weight: (C, 1, *window).
        num: spatial sizes of the result.
        stride: between windows.
        dilation: between places of a window.
        turned: whether the window is turned round.
    """
    channels, _, *window = weight.shape
    flat = tensors.reshaped(weight, (channels, prod(window)))
    kernel = tensors.copied(tensors.transposed(flat, [1, 0]))  # channels side by side here, too
    pool = tensors.pool

    def at(index: Index) -> Expr:
        b, c, *places = index
        total: Expr | None = None
        for number, inside in enumerate(product(*map(range, window))):
            fixed = [Affine((), i) for i in inside]
            seen = picture.at([b, c, *_moved(places, stride, fixed, dilation)])
            place = prod(window) - 1 - number if turned else number
            factor = kernel.at([Affine((), place), c])
            total = (
                pool.op("mul", "f32", seen, factor)
                if total is None
                else pool.op("fma", "f32", seen, factor, total)
            )
        assert total is not None, "a window has places"
        return total

    shape = (picture.shape[0], channels, *num)
    return tensors.real(Value(shape=shape, kind="f32", at=at), tensors.channels_last("f32", shape))


def by_weight(
    tensors: Tensors,
    grad: Stored,
    picture: Stored,
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Value:
    """``sum_(b, y) grad[b, c, y] picture[b, c, stride y + dilation i]``, (C, 1, *window)."""
    (batch, channels, *num), d = grad.shape, len(window)

    def at(index: Index) -> Expr:
        b, inside, c, places = index[0], index[1 : 1 + d], index[1 + d], index[2 + d :]
        seen = picture.at([b, c, *_moved(places, stride, inside, dilation)])
        return tensors.pool.op("mul", "f32", grad.at([b, c, *places]), seen)

    each = Value(shape=(batch, *window, channels, *num), kind="f32", at=at)
    total = tensors.reduced("add", each, [0, *range(2 + d, 2 + 2 * d)], False)
    return tensors.reshaped(tensors.transposed(total, [d, *range(d)]), (channels, 1, *window))
