"""Products and sums whose bits do not depend on how many others are computed with them.

CPU kernels round differently depending on where in a cache line a matrix begins, and where in a row of sums a column
is. In a stack of runs whose tensors have odd sizes that place differs from run to run, so a run's last bits would
depend on its row in the cohort. Here every matrix of a stack begins on a cache line, and sums do not run across runs.
Most tensors are so already, and are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ravine.dispatch import OperationMode
from ravine.native.code import LINE

_COLUMNS = 64  # that a sum over rows takes at once, at most
_SUMS = (torch.ops.aten.sum.dim_IntList, torch.ops.aten.mean.dim)
_NORMS = (torch.ops.aten.native_batch_norm.default, torch.ops.aten.native_batch_norm_backward.default)


def _sigmoid(x: Tensor) -> Tensor:
    return x.neg().exp().add(1.0).reciprocal()


def _silu(x: Tensor) -> Tensor:
    return x * _sigmoid(x)


def _silu_backward(grad: Tensor, x: Tensor) -> Tensor:
    up = _sigmoid(x)
    return grad * up * (1.0 + x * (1.0 - up))


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    height = _gelu_height(x) if approximate == "tanh" else torch.erf(x * 0.5**0.5)
    return x * (0.5 + 0.5 * height)


def _gelu_backward(grad: Tensor, x: Tensor, approximate: str = "none") -> Tensor:
    if approximate == "tanh":
        slope = 0.7978845608 * (1.0 + 0.134145 * x * x)
        height = _gelu_height(x)
        return grad * 0.5 * (1.0 + height + x * (1.0 - height * height) * slope)
    return grad * (0.5 + 0.5 * torch.erf(x * 0.5**0.5) + x * torch.exp(-0.5 * x * x) * 0.3989422804)


def _gelu_height(x: Tensor) -> Tensor:
    """tanh(sqrt(2 / pi) (x + 0.044715 x^3))."""
    return torch.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x))


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    return torch.where(x * beta > threshold, x, torch.exp(x * beta).log1p() / beta)


# torch computes the last few numbers of a tensor by another formula than the others; these have one.
_SMOOTH: Mapping[Any, Any] = {
    torch.ops.aten.sigmoid.default: _sigmoid,
    torch.ops.aten.silu.default: _silu,
    torch.ops.aten.silu_backward.default: _silu_backward,
    torch.ops.aten.gelu.default: _gelu,
    torch.ops.aten.gelu_backward.default: _gelu_backward,
    torch.ops.aten.softplus.default: _softplus,
}


class AlignedProducts(OperationMode):
    """Within it, a run's products and sums on a CPU come out the same in whatever cohort it is.

    Args:
        by_rows: copy every tensor before it is summed, so that each sum is over numbers side by side. For tensors with
            more dimensions that are not summed than a step has, as in a Hessian.

    Example:
        >>> x, w = torch.ones(3, 5, 7), torch.ones(3, 2, 7).mT
        >>> with AlignedProducts():
        ...     y = x @ w
        >>> y.shape
        torch.Size([3, 5, 2])
    """

    def __init__(self, by_rows: bool = False) -> None:
        super().__init__()
        self._by_rows = by_rows

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
        if func in _SMOOTH and args[0].device.type == "cpu":
            return _SMOOTH[func](*args, **kwargs)
        if func in _SUMS and args[0].device.type == "cpu":
            return func(_by_rows(args[0], args[1], always=self._by_rows), *args[1:], **kwargs)
        if func in _NORMS and args[0].device.type == "cpu" and args[0].dim() == 2:
            # As one example of channels times places: then a channel's numbers lie side by side.
            first, *others = func(*(_turned(arg) for arg in args), **kwargs)
            return first.squeeze(0).transpose(0, 1), *others
        return func(*args, **kwargs)


def _turned(value: Any) -> Any:
    """A tensor (examples, channels) as (1, channels, examples); anything else as it is."""
    if not isinstance(value, Tensor) or value.dim() != 2:
        return value
    return _packed(value.transpose(0, 1)).unsqueeze(0)


def _packed(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)


def _product(left: Tensor, right: Tensor) -> Tensor:
    num, rows, columns = left.shape[0], left.shape[1], right.shape[2]
    if rows == 1:  # a vector, twice: its kernel is another one for one product than for several
        return _product(left.expand(-1, 2, -1), right)[:, :1]
    if columns == 1:
        return _product(left, right.expand(-1, -1, 2))[:, :, :1]
    per_line = LINE // left.element_size()
    if rows * columns % per_line == 0:
        return torch.bmm(_aligned(left), _aligned(right))
    # The results begin on cache lines too, by rows that nobody needs.
    full_rows = -(-rows // per_line) * per_line
    more = left.new_zeros((num, full_rows, left.shape[2]))
    more[:, :rows] = left
    return _packed(torch.bmm(_aligned(more), _aligned(right))[:, :rows])


def _aligned(stack: Tensor) -> Tensor:
    """The same matrices in the same order of dimensions, each at the beginning of a cache line."""
    per_line = LINE // stack.element_size()
    starts_there = stack.stride(0) % per_line == 0 and stack.storage_offset() % per_line == 0
    if starts_there and 1 in stack.stride()[1:]:
        return stack
    num, rows, columns = stack.shape
    turned = stack.stride(1) < stack.stride(2)  # column by column
    size = -(-rows * columns // per_line) * per_line
    flat = stack.new_empty((num, size))[:, : rows * columns]
    copy = flat.view(num, columns, rows).transpose(1, 2) if turned else flat.view(num, rows, columns)
    return copy.copy_(stack)


def _by_rows(x: Tensor, dims: Sequence[int] | None, *, always: bool) -> Tensor:
    """x, laid out anew if a sum over these dimensions would take the columns of several runs together."""
    if not dims:
        return x
    summed = {dim % x.dim() for dim in dims}
    left = sorted((x.stride(d), x.shape[d]) for d in range(x.dim()) if d not in summed and x.shape[d] > 1)
    joined = any(inner[0] * inner[1] == outer[0] for inner, outer in pairwise(left))
    if not always and (not left or left[0][0] != 1 or left[0][1] % _COLUMNS == 0 or not joined):
        return x
    order = [d for d in range(x.dim()) if d not in summed] + sorted(summed)
    return _packed(x.permute(order)).permute([order.index(d) for d in range(x.dim())])
