"""Products and sums whose bits do not depend on how many others are computed with them.

Kernels on a CPU round differently by where in a cache line a matrix begins, and by where in a row of sums a
column stands. In a stack of runs whose tensors have odd sizes that place is another for each run: a run's last
bits would depend on its row in the cohort. Here every matrix of a stack begins on a cache line, and sums do not
run across runs. What is so already, as most is, is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_LINE = 64  # bytes
_COLUMNS = 32  # that a sum over rows takes at once
_SUMS = (torch.ops.aten.sum.dim_IntList, torch.ops.aten.mean.dim)
_NORMS = (torch.ops.aten.native_batch_norm.default, torch.ops.aten.native_batch_norm_backward.default)


class AlignedProducts(TorchDispatchMode):
    """Within it, a run's products and sums on a CPU come out the same in whatever cohort it is.

    Example:
        >>> x, w = torch.ones(3, 5, 7), torch.ones(3, 2, 7).mT
        >>> with AlignedProducts():
        ...     y = x @ w
        >>> y.shape
        torch.Size([3, 5, 2])
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import all of its compiler here (0.9 s) only to tell it to stay away."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.bmm.default and args[0].device.type == "cpu":
            return _product(*args)
        if func is torch.ops.aten.baddbmm.default and args[0].device.type == "cpu" and not kwargs:
            return args[0] + _product(*args[1:])
        if func in _SUMS and args[0].device.type == "cpu":
            return func(_by_rows(args[0], args[1]), *args[1:], **kwargs)
        if func in _NORMS and args[0].device.type == "cpu":
            # For tensors in pieces it sums in the way of `_by_rows`, out of sight.
            return func(*(arg.clone(memory_format=torch.contiguous_format) if _is_2d(arg) else arg for arg in args), **kwargs)
        return func(*args, **kwargs)


def _is_2d(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 2


def _product(left: Tensor, right: Tensor) -> Tensor:
    num, rows, columns = left.shape[0], left.shape[1], right.shape[2]
    if rows == 1:  # a vector, twice: its kernel is another one for one product than for several
        return _product(left.expand(-1, 2, -1), right)[:, :1]
    if columns == 1:
        return _product(left, right.expand(-1, -1, 2))[:, :, :1]
    per_line = _LINE // left.element_size()
    if rows * columns % per_line == 0:
        return torch.bmm(_aligned(left), _aligned(right))
    # The results begin on cache lines too, by rows that nobody needs.
    full_rows = -(-rows // per_line) * per_line
    more = left.new_zeros((num, full_rows, left.shape[2]))
    more[:, :rows] = left
    return torch.bmm(_aligned(more), _aligned(right))[:, :rows].clone(memory_format=torch.contiguous_format)


def _aligned(stack: Tensor) -> Tensor:
    """The same matrices in the same order of dimensions, each at the beginning of a cache line."""
    per_line = _LINE // stack.element_size()
    starts_there = stack.stride(0) % per_line == 0 and stack.storage_offset() % per_line == 0
    if starts_there and 1 in stack.stride()[1:]:
        return stack
    num, rows, columns = stack.shape
    turned = stack.stride(1) < stack.stride(2)  # column by column
    size = -(-rows * columns // per_line) * per_line
    flat = stack.new_empty((num, size))[:, : rows * columns]
    copy = flat.view(num, columns, rows).transpose(1, 2) if turned else flat.view(num, rows, columns)
    return copy.copy_(stack)


def _by_rows(x: Tensor, dims: Sequence[int] | None) -> Tensor:
    """x, laid out anew if a sum over these dimensions would take the columns of several runs together."""
    if not dims:
        return x
    summed = {dim % x.dim() for dim in dims}
    kept = sorted((x.stride(d), x.shape[d]) for d in range(x.dim()) if d not in summed and x.shape[d] > 1)
    joined = any(
        inner[0] * inner[1] == outer[0] for inner, outer in zip(kept, kept[1:], strict=False)
    )
    if not kept or kept[0][0] != 1 or kept[0][1] % _COLUMNS == 0 or not joined:
        return x
    order = [d for d in range(x.dim()) if d not in summed] + sorted(summed)
    turned = x.permute(order).clone(memory_format=torch.contiguous_format)
    return turned.permute([order.index(d) for d in range(x.dim())])
