"""Convolutions and their gradients as products over windows of a padded picture.

Pictures lie with their channels side by side (B, *spatial, C), whatever the order of their indices, so that a row of
a window is one piece of memory and a product's columns are channels. A picture is copied into a frame of zeros; nothing
else is unfolded. The gradient by the input is a convolution of the gradient, spread by the stride, with the kernel
turned round.
"""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

from ravine.native import depthwise
from ravine.native.expressions import Affine, Index, Stored, Value, counters
from ravine.native.lowering import Composite, Lowering
from ravine.native.machine import machine
from ravine.native.pictures import every, framed
from ravine.native.tensors import Tensors, Unsupported


def _picture(low: Lowering, node: Any, x: Value, padding: Sequence[int]) -> Stored:
    """What a convolution's windows see; its gradient sees the same again."""
    around = [size + 2 * more for size, more in zip(x.shape[2:], padding, strict=True)]
    return low.once(
        node, ("framed", *padding), lambda: framed(low.tensors, x, padding, around, [1] * len(around))
    )


def _is_depthwise(transposed: bool, groups: int, weight: Value, channels: int) -> bool:
    """Whether each channel is convolved alone, into one; else all are convolved together."""
    if transposed:
        raise Unsupported("a transposed convolution")
    alone = groups == channels == weight.shape[0] and groups > 1
    if groups != 1 and not alone:
        raise Unsupported("a convolution in groups")
    return alone


def _correlated(
    tensors: Tensors,
    picture: Stored,
    kernel: Stored,
    num: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Stored:
    """``out[b, o, y] = sum_(c, i) picture[b, c, stride y + dilation i] kernel[i, c, o]``, channels side by side.

    Args:
        tensors: where it is put.
        picture: (B, C, *spatial).
        kernel: (*window, C, O).
        num: spatial sizes of the result.
        stride: between windows.
        dilation: between places of a window.
    """
    window, (channels, num_out) = kernel.shape[:-2], kernel.shape[-2:]
    out = tensors.channels_last("f32", (picture.shape[0], num_out, *num))
    d = len(num)
    index = counters(1 + d + d + 2)
    b, rows, inside, channel, column = (
        index[0],
        index[1 : 1 + d],
        index[1 + d : 1 + 2 * d],
        index[-2],
        index[-1],
    )
    at = [
        y.times(far) + i.times(apart) for y, i, far, apart in zip(rows, inside, stride, dilation, strict=True)
    ]
    tensors.schedule.multiply(
        ((picture.shape[0],), num, (*window, channels), num_out),
        (picture.buffer, picture.place([b, channel, *at])),
        (kernel.buffer, kernel.place([*inside, channel, column])),
        (out.buffer, out.place([b, column, *rows])),
    )
    return out


def _kernel(tensors: Tensors, weight: Value, turned: bool) -> Stored:
    """(O, C, *window) as (*window, C, O), or turned round as (*window, O, C)."""
    window = weight.shape[2:]
    first, second = (0, 1) if turned else (1, 0)
    shape = (*window, weight.shape[first], weight.shape[second])

    def move(index: Index) -> list[Affine]:
        inside = [
            each.times(-1, size - 1) if turned else each for each, size in zip(index, window, strict=False)
        ]
        one, two = index[-2:]
        return [one, two, *inside] if turned else [two, one, *inside]

    return tensors.copied(tensors.view(weight, shape, move))


def convolution(
    low: Lowering,
    node: fx.Node,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """PyTorch's ``aten::convolution`` with one group, or with one for each channel."""
    alone = _is_depthwise(transposed, groups, weight, x.shape[1])
    tensors, num = low.tensors, tuple(node.meta["tensor"][0][2:])
    stride, padding, dilation = (every(each, len(num)) for each in (stride, padding, dilation))
    picture = _picture(low, node.args[0], x, padding)
    if alone:
        out = depthwise.correlated(tensors, picture, weight, num, stride, dilation)
    else:
        out = _correlated(tensors, picture, _kernel(tensors, weight, False), num, stride, dilation)
    if bias is None:
        return out
    return tensors.op("add", out, tensors.reshaped(bias, (1, bias.shape[0], *[1] * len(num))))


def convolution_backward(
    low: Lowering,
    node: fx.Node,
    grad: Value,
    x: Value,
    weight: Value,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Value | None, ...]:
    """PyTorch's ``aten::convolution_backward``: by the input, the weight, the bias."""
    alone = _is_depthwise(transposed, groups, weight, x.shape[1])
    tensors, num, window = low.tensors, grad.shape[2:], weight.shape[2:]
    stride, padding, dilation = (every(each, len(num)) for each in (stride, padding, dilation))
    by_x: Value | None = None
    inside = grad
    if wanted[0]:
        before = [
            apart * (size - 1) - more for apart, size, more in zip(dilation, window, padding, strict=True)
        ]
        if min(before) < 0:
            raise Unsupported("a convolution with a padding wider than its window")
        around = [
            size + apart * (places - 1)
            for size, apart, places in zip(x.shape[2:], dilation, window, strict=True)
        ]
        whole = framed(tensors, grad, before, around, stride)
        inside = whole
        for dim, (start, places, far) in enumerate(zip(before, num, stride, strict=True), start=2):
            inside = tensors.sliced(inside, dim, start, places, far)
        one = [1] * len(num)
        if alone:
            by_x = depthwise.correlated(tensors, whole, weight, x.shape[2:], one, dilation, turned=True)
        else:
            by_x = _correlated(tensors, whole, _kernel(tensors, weight, True), x.shape[2:], one, dilation)
    inside = framed(tensors, inside, [0] * len(num), num, [1] * len(num))
    by_weight: Value | None = None
    if wanted[1]:
        picture = _picture(low, node.args[1], x, padding)
        if alone:
            by_weight = depthwise.by_weight(tensors, inside, picture, window, stride, dilation)
        else:
            by_weight = _by_weight(tensors, inside, picture, weight.shape, stride, dilation)
    others = [0, *range(2, len(x.shape))]
    by_bias = tensors.reduced("add", inside, others, False) if wanted[2] else None
    return by_x, by_weight, by_bias


def _by_weight(
    tensors: Tensors,
    grad: Stored,
    picture: Stored,
    shape: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Value:
    """``sum_(b, y) grad[b, o, y] picture[b, c, stride y + dilation i]``, picture by picture."""
    num_out, channels, *window = shape
    d = len(window)
    # the channels of neighbouring places lie side by side
    joined = window[-1] if dilation[-1] == 1 and picture.strides[-1] == channels else 1
    across, split = joined * channels, [*window[:-1], window[-1] // joined]
    index = counters(d + 2 * d + 3)
    b, inside, places = index[0], index[1 : 1 + d], index[2 + d : 2 + 2 * d]
    at = [
        y.times(far) + i.times(apart)
        for y, i, far, apart in zip(places, inside, stride, dilation, strict=True)
    ]
    row, column = index[1 + d], index[2 + 2 * d]
    few = across < machine().lanes  # too few for columns
    out, window_place = (column, row) if few else (row, column)
    total = tensors.memory("f32", (*window, channels, num_out) if few else (num_out, *window, channels))
    begin = [*inside, Affine(), out] if few else [out, *inside, Affine()]
    tensors.fill(total, 0.0)
    seen = picture.buffer, picture.place([b, Affine(), *at]) + window_place
    given = grad.buffer, grad.place([b, out, *places])
    tensors.schedule.multiply(
        ((grad.shape[0], *split), (across if few else num_out,), grad.shape[2:], num_out if few else across),
        seen if few else given,
        given if few else seen,
        (total.buffer, total.place(begin) + window_place.times(num_out if few else 1)),
    )
    return tensors.transposed(total, [d + 1, d, *range(d)] if few else [0, d + 1, *range(1, d + 1)])


CONVOLUTIONS: Mapping[str, Composite] = {
    "convolution": convolution,
    "convolution_backward": convolution_backward,
}
