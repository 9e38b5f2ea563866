"""Numbers in another arrangement: turned, repeated, shuffled, with a mirrored or repeated border, enlarged."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import fx

from ravine.native.expressions import Affine, Expr, Index, Stored, Value
from ravine.native.lowering import Composite, Lowering
from ravine.native.places import Indices, read_at, write_at
from ravine.native.tensors import Tensors, Unsupported


def _flip(low: Lowering, node: fx.Node, x: Value, dims: Sequence[int]) -> Value:
    turned = {dim % len(x.shape) for dim in dims}

    def move(index: Index) -> list[Affine]:
        return [each.times(-1, x.shape[i] - 1) if i in turned else each for i, each in enumerate(index)]

    return low.tensors.view(x, x.shape, move)


def _roll(low: Lowering, node: fx.Node, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    tensors = low.tensors
    if not dims:
        flat = tensors.reshaped(x, (prod(x.shape),))
        return tensors.reshaped(_roll(low, node, flat, shifts, [0]), x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        size = x.shape[dim]
        first = -shift % size if size else 0
        if first:
            parts = tensors.sliced(x, dim, first, size - first), tensors.sliced(x, dim, 0, first)
            x = tensors.joined(parts, dim)
    return x


def _repeat(low: Lowering, node: fx.Node, x: Value, times: Sequence[int]) -> Value:
    tensors, own = low.tensors, (1,) * (len(times) - len(x.shape)) + x.shape
    apart = [size for pair in zip(times, own, strict=True) for size in pair]
    whole = tensors.memory(x.kind, [num * size for num, size in zip(times, own, strict=True)])
    target = tensors.reshaped(whole, apart)
    assert isinstance(target, Stored), "a view of memory is memory"
    single = tensors.reshaped(x, [size for each in own for size in (1, each)])
    tensors.real(tensors.expanded(single, apart), target)
    return whole


def _pixel_shuffle(low: Lowering, node: fx.Node, x: Value, factor: int) -> Value:
    *lead, channels, height, width = x.shape
    num, few = len(lead), channels // factor**2
    apart = low.tensors.reshaped(x, (*lead, few, factor, factor, height, width))
    order = [*range(num), num, num + 3, num + 1, num + 4, num + 2]
    turned = low.tensors.transposed(apart, order)
    return low.tensors.reshaped(turned, (*lead, few, height * factor, width * factor))


def _pixel_unshuffle(low: Lowering, node: fx.Node, x: Value, factor: int) -> Value:
    *lead, channels, height, width = x.shape
    num, high, wide = len(lead), height // factor, width // factor
    apart = low.tensors.reshaped(x, (*lead, channels, high, factor, wide, factor))
    order = [*range(num), num, num + 2, num + 4, num + 1, num + 3]
    turned = low.tensors.transposed(apart, order)
    return low.tensors.reshaped(turned, (*lead, channels * factor**2, high, wide))


def _channel_shuffle(low: Lowering, node: fx.Node, x: Value, groups: int) -> Value:
    batch, channels, *spatial = x.shape
    apart = low.tensors.reshaped(x, (batch, groups, channels // groups, *spatial))
    order = [0, 2, 1, *range(3, 3 + len(spatial))]
    return low.tensors.reshaped(low.tensors.transposed(apart, order), x.shape)


# Borders.


def _bordered(
    tensors: Tensors, sizes: Sequence[int], shape: Sequence[int], pads: Sequence[int], mirrored: bool
) -> Indices:
    """For each place of a picture with a border, the place that it shows: of a shape's last dimensions."""
    pool = tensors.pool

    def of(dim: int, before: int) -> tuple[int, Any]:
        last = sizes[dim] - 1

        def at(index: Index) -> Expr:
            place = pool.index(index[dim].times(1, -before))
            if mirrored:
                place = pool.op("max", "i64", place, pool.index(index[dim].times(-1, before)))
                far = pool.op("sub", "i64", pool.const(2 * last, "i64"), place)
                place = pool.op("min", "i64", place, far)
            low = pool.op("max", "i64", place, pool.const(0, "i64"))
            return pool.op("min", "i64", low, pool.const(last, "i64"))

        return sizes[dim], at

    num = len(sizes)
    dims = [num - 1 - i for i in range(len(pads) // 2)]
    return Indices(tensors, shape, {dim: of(dim, pads[2 * (num - 1 - dim)]) for dim in sorted(dims)})


def _rest(dims: Sequence[int]) -> Any:
    return lambda index: [Affine() if i in dims else each for i, each in enumerate(index)]


def _border(mirrored: bool) -> Composite:
    def lower(low: Lowering, node: fx.Node, x: Value, pads: Sequence[int]) -> Value:
        shape = tuple(node.meta["tensor"][0])
        indices = _bordered(low.tensors, x.shape, shape, pads, mirrored)
        return read_at(low.tensors, x, shape, indices, _rest(indices.dims))

    return lower


def _border_backward(mirrored: bool) -> Composite:
    def lower(low: Lowering, node: fx.Node, grad: Value, x: Value, pads: Sequence[int]) -> Value:
        total = low.tensors.memory_like(grad, x.shape)
        low.tensors.fill(total, 0.0)
        indices = _bordered(low.tensors, x.shape, grad.shape, pads, mirrored)
        write_at(low.tensors, total, grad, indices, _rest(indices.dims), adds=True)
        return total

    return lower


# Larger pictures.


def _factors(before: Sequence[int], after: Sequence[int], scales: Sequence[float | None]) -> list[int]:
    factors = [new // old for old, new in zip(before, after, strict=True)]
    uneven = any(new % old for old, new in zip(before, after, strict=True))
    if uneven or any(
        scale is not None and scale != each for scale, each in zip(scales, factors, strict=False)
    ):
        raise Unsupported("a picture enlarged by no whole number")
    return factors


def _enlarged(low: Lowering, node: fx.Node, x: Value, sizes: Sequence[int], *scales: float | None) -> Value:
    tensors, (batch, channels, *own) = low.tensors, x.shape
    factors = _factors(own, sizes, scales)
    single = tensors.reshaped(x, (batch, channels, *(size for each in own for size in (each, 1))))
    apart = [batch, channels, *(size for pair in zip(own, factors, strict=True) for size in pair)]
    return tensors.reshaped(tensors.expanded(single, apart), (batch, channels, *sizes))


def _enlarged_backward(
    low: Lowering,
    node: fx.Node,
    grad: Value,
    sizes: Sequence[int],
    before: Sequence[int],
    *scales: float | None,
) -> Value:
    tensors, (batch, channels, *own) = low.tensors, before
    factors = _factors(own, sizes, scales)
    apart = [batch, channels, *(size for pair in zip(own, factors, strict=True) for size in pair)]
    dims = [3 + 2 * i for i in range(len(own))]
    return tensors.reduced("add", tensors.reshaped(grad, apart), dims, False)


ARRANGING: Mapping[str, Composite] = {
    "flip": _flip,
    "roll": _roll,
    "repeat": _repeat,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    **{f"reflection_pad{d}d": _border(mirrored=True) for d in (1, 2, 3)},
    **{f"replication_pad{d}d": _border(mirrored=False) for d in (1, 2, 3)},
    **{f"reflection_pad{d}d_backward": _border_backward(mirrored=True) for d in (1, 2, 3)},
    **{f"replication_pad{d}d_backward": _border_backward(mirrored=False) for d in (1, 2, 3)},
    **{f"upsample_nearest{d}d": _enlarged for d in (1, 2, 3)},
    **{f"upsample_nearest{d}d_backward": _enlarged_backward for d in (1, 2, 3)},
}
