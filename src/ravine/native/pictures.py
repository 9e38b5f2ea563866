"""Pictures, (B, C, *spatial) with their channels side by side, and the frames around them."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.native.expressions import Stored, Value
from ravine.native.tensors import Tensors


def framed(
    tensors: Tensors,
    x: Value,
    before: Sequence[int],
    sizes: Sequence[int],
    step: Sequence[int],
    around: float = 0.0,
) -> Stored:
    """A picture within a larger one.

    Args:
        tensors: where it is put.
        x: (B, C, *spatial).
        before: places in front of it, by spatial dimension.
        sizes: spatial sizes of the larger one.
        step: between places of the picture in the larger one.
        around: the number at all other places.

    Returns:
        (B, C, *sizes), channels side by side.
    """
    own = x.shape[2:]
    if tuple(sizes) == own and isinstance(x, Stored) and (x.strides[1] == 1 or x.shape[1] == 1):
        return x  # as it is
    whole = tensors.channels_last(x.kind, (*x.shape[:2], *sizes))
    inside: Value = whole
    for dim, (start, num, far) in enumerate(zip(before, own, step, strict=True), start=2):
        if max(step) == 1:
            for first, stop in ((0, start), (start + num, sizes[dim - 2])):
                if first < stop:
                    tensors.fill(tensors.sliced(inside, dim, first, stop - first), around)
        inside = tensors.sliced(inside, dim, start, num, far)
    if max(step) > 1:
        tensors.fill(whole, around)
    assert isinstance(inside, Stored), "a view of memory is memory"
    tensors.real(x, inside)
    return whole


def every(numbers: Sequence[int], num: int) -> list[int]:
    """One number for each dimension; PyTorch may give a single one for all."""
    return list(numbers) * num if len(numbers) == 1 else list(numbers)
