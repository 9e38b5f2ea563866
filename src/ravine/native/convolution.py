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


def _picture(low: Lowering, node: Any, x: Value, padding: Sequence[int], times: int = 1) -> Stored:
    """What a convolution's windows see, each channel so many times; its gradient sees the same again."""
    around = [size + 2 * more for size, more in zip(x.shape[2:], padding, strict=True)]

    def make() -> Stored:
        seen = depthwise.repeated(low.tensors, x, times)
        return framed(low.tensors, seen, padding, around, [1] * len(around))

    return low.once(node, ("framed", times, *padding), make)


def _is_depthwise(groups: int, channels: int) -> bool:
    """Whether each channel is convolved alone; else those of a group are convolved together."""
    return groups == channels > 1


def _apart(
    tensors: Tensors,
    grad: Value,
    sizes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[Stored, Value]:
    """A convolution's result, its places as far apart as windows were, with zeros between and around them.

    Windows turned round, place by place, then go from it back to the picture, of these sizes. Returned are this, and
    the result in it.
    """
    before = [apart * (size - 1) - more for apart, size, more in zip(dilation, window, padding, strict=True)]
    if min(before) < 0:
        raise Unsupported("a convolution with a padding wider than its window")
    around = [
        size + apart * (places - 1) for size, apart, places in zip(sizes, dilation, window, strict=True)
    ]
    whole = framed(tensors, grad, before, around, stride)
    inside: Value = whole
    for dim, (start, places, far) in enumerate(zip(before, grad.shape[2:], stride, strict=True), start=2):
        inside = tensors.sliced(inside, dim, start, places, far)
    return whole, inside


def _correlated(
    tensors: Tensors,
    picture: Stored,
    kernel: Stored,
    num: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Stored:
    """``out[b, (g, o), y] = sum_(c, i) picture[b, (g, c), stride y + dilation i] kernel[i, g, c, o]``.

    Args:
        tensors: where it is put.
        picture: (B, G C, *spatial).
        kernel: (*window, G, C, O).
        num: spatial sizes of the result.
        stride: between windows.
        dilation: between places of a window.

    Returns:
        (B, G O, *num), channels side by side.
    """
    window, (groups, channels, num_out) = kernel.shape[:-3], kernel.shape[-3:]
    out = tensors.channels_last("f32", (picture.shape[0], groups * num_out, *num))
    d = len(num)
    b, g, *others = counters(2 + d + d + 2)
    rows, inside, (channel, column) = others[:d], others[d : 2 * d], others[2 * d :]
    at = [
        y.times(far) + i.times(apart) for y, i, far, apart in zip(rows, inside, stride, dilation, strict=True)
    ]
    tensors.schedule.multiply(
        ((picture.shape[0], groups), num, (*window, channels), num_out),
        (picture.buffer, picture.place([b, g.times(channels) + channel, *at])),
        (kernel.buffer, kernel.place([*inside, g, channel, column])),
        (out.buffer, out.place([b, g.times(num_out) + column, *rows])),
    )
    return out


def _kernel(tensors: Tensors, weight: Value, groups: int, turned: bool) -> Stored:
    """(G O, C, *window) as (*window, G, C, O), or turned round as (*window, G, O, C)."""
    (num_out, channels, *window), d = weight.shape, len(weight.shape) - 2
    num_out //= groups
    shape = (*window, groups, *((num_out, channels) if turned else (channels, num_out)))

    def move(index: Index) -> list[Affine]:
        inside, (g, one, two) = index[:d], index[d:]
        if turned:
            inside = [each.times(-1, size - 1) for each, size in zip(inside, window, strict=True)]
        out, channel = (one, two) if turned else (two, one)
        return [g.times(num_out) + out, channel, *inside]

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
    """PyTorch's ``aten::convolution``."""
    if transposed:
        return _transposed(low, node, x, weight, bias, stride, padding, dilation, groups)
    alone = _is_depthwise(groups, x.shape[1])
    tensors, num = low.tensors, tuple(node.meta["tensor"][0][2:])
    stride, padding, dilation = (every(each, len(num)) for each in (stride, padding, dilation))
    picture = _picture(low, node.args[0], x, padding, weight.shape[0] // groups if alone else 1)
    if alone:
        out = depthwise.correlated(tensors, picture, weight, num, stride, dilation)
    else:
        out = _correlated(tensors, picture, _kernel(tensors, weight, groups, False), num, stride, dilation)
    return _with_bias(tensors, out, bias)


def _with_bias(tensors: Tensors, out: Value, bias: Value | None) -> Value:
    if bias is None:
        return out
    return tensors.op("add", out, tensors.reshaped(bias, (1, bias.shape[0], *[1] * (len(out.shape) - 2))))


def _transposed(
    low: Lowering, node: fx.Node, x: Value, weight: Value, bias: Value | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int,
) -> Value:  # fmt: skip
    """What a convolution's gradient by its input is."""
    tensors, sizes, window = low.tensors, node.meta["tensor"][0][2:], weight.shape[2:]
    stride, padding, dilation = (every(each, len(window)) for each in (stride, padding, dilation))
    whole, _ = _apart(tensors, x, sizes, window, stride, padding, dilation)
    kernel = _kernel(tensors, weight, groups, True)
    return _with_bias(tensors, _correlated(tensors, whole, kernel, sizes, [1] * len(window), dilation), bias)


def _transposed_backward(
    low: Lowering, grad: Value, x: Value, weight: Value, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, wanted: Sequence[bool],
) -> tuple[Value | None, ...]:  # fmt: skip
    tensors, num = low.tensors, x.shape[2:]
    stride, padding, dilation = (every(each, len(num)) for each in (stride, padding, dilation))
    around = [size + 2 * more for size, more in zip(grad.shape[2:], padding, strict=True)]
    picture = framed(tensors, grad, padding, around, [1] * len(num))
    by_x: Value | None = None
    if wanted[0]:
        by_x = _correlated(tensors, picture, _kernel(tensors, weight, groups, False), num, stride, dilation)
    by_weight: Value | None = None
    if wanted[1]:
        inside = framed(tensors, x, [0] * len(num), num, [1] * len(num))
        by_weight = _by_weight(tensors, inside, picture, weight.shape, groups, stride, dilation)
    others = [0, *range(2, len(x.shape))]
    return by_x, by_weight, tensors.reduced("add", grad, others, False) if wanted[2] else None


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
    if transposed:
        return _transposed_backward(low, grad, x, weight, stride, padding, dilation, groups, wanted)
    alone = _is_depthwise(groups, x.shape[1])
    times = weight.shape[0] // groups if alone else 1
    tensors, num, window = low.tensors, grad.shape[2:], weight.shape[2:]
    stride, padding, dilation = (every(each, len(num)) for each in (stride, padding, dilation))
    by_x: Value | None = None
    inside = grad
    if wanted[0]:
        whole, inside = _apart(tensors, grad, x.shape[2:], window, stride, padding, dilation)
        one = [1] * len(num)
        if alone:
            each = depthwise.correlated(tensors, whole, weight, x.shape[2:], one, dilation, turned=True)
            by_x = depthwise.added_up(tensors, each, times)
        else:
            kernel = _kernel(tensors, weight, groups, True)
            by_x = _correlated(tensors, whole, kernel, x.shape[2:], one, dilation)
    inside = framed(tensors, inside, [0] * len(num), num, [1] * len(num))
    by_weight: Value | None = None
    if wanted[1]:
        picture = _picture(low, node.args[1], x, padding, times)
        if alone:
            by_weight = depthwise.by_weight(tensors, inside, picture, window, stride, dilation)
        else:
            by_weight = _by_weight(tensors, inside, picture, weight.shape, groups, stride, dilation)
    others = [0, *range(2, len(x.shape))]
    by_bias = tensors.reduced("add", inside, others, False) if wanted[2] else None
    return by_x, by_weight, by_bias


def _by_weight(
    tensors: Tensors,
    grad: Stored,
    picture: Stored,
    shape: Sequence[int],
    groups: int,
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Value:
    """``sum_(b, y) grad[b, (g, o), y] picture[b, (g, c), stride y + dilation i]``, picture by picture."""
    num_all, channels, *window = shape
    num_out, d = num_all // groups, len(window)
    # the channels of neighbouring places lie side by side
    joined = window[-1] if dilation[-1] == 1 and picture.strides[-1] == channels else 1
    across, split = joined * channels, [*window[:-1], window[-1] // joined]
    b, g, *others = counters(2 + 2 * d + 2)
    inside, row, places, column = others[:d], others[d], others[d + 1 : -1], others[-1]
    at = [
        y.times(far) + i.times(apart)
        for y, i, far, apart in zip(places, inside, stride, dilation, strict=True)
    ]
    few = across < machine().lanes  # too few for columns
    out, window_place = (column, row) if few else (row, column)
    total = tensors.memory("f32", (*window, channels, num_all) if few else (num_all, *window, channels))
    of_out = g.times(num_out) + out
    begin = [*inside, Affine(), of_out] if few else [of_out, *inside, Affine()]
    tensors.fill(total, 0.0)
    seen = picture.buffer, picture.place([b, g.times(channels), *at]) + window_place
    given = grad.buffer, grad.place([b, of_out, *places])
    tensors.schedule.multiply(
        (
            (grad.shape[0], groups, *split),
            (across if few else num_out,),
            grad.shape[2:],
            num_out if few else across,
        ),
        seen if few else given,
        given if few else seen,
        (total.buffer, total.place(begin) + window_place.times(num_all if few else 1)),
    )
    return tensors.transposed(total, [d + 1, d, *range(d)] if few else [0, d + 1, *range(1, d + 1)])


CONVOLUTIONS: Mapping[str, Composite] = {
    "convolution": convolution,
    "convolution_backward": convolution_backward,
}
