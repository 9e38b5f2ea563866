"""Many tensors that do arithmetic as one: a rule's update runs over a list of parameters in a few kernels.

On a GPU a call for each of a hundred tensors would wait for the processor; PyTorch's `_foreach` functions take the
whole list. A rule knows nothing of it: it is written with the methods that stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor


@final
class Bundle:
    """Tensors of any shapes; numbers are 0-d tensors in a processor's memory, or Python's.

    Example:
        >>> both = Bundle([torch.ones(2), torch.ones(3)])
        >>> [tensor.tolist() for tensor in (both * 2.0 + both).tensors]
        [[3.0, 3.0], [3.0, 3.0, 3.0]]
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)

    def __neg__(self) -> Bundle:
        return Bundle(torch._foreach_neg(self.tensors))

    def __add__(self, other: Any) -> Bundle:
        return self._with(torch._foreach_add, other)

    def __sub__(self, other: Any) -> Bundle:
        return self._with(torch._foreach_sub, other)

    def __mul__(self, other: Any) -> Bundle:
        return self._with(torch._foreach_mul, other)

    def __truediv__(self, other: Any) -> Bundle:
        return self._with(torch._foreach_div, other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Bundle:
        return (-self).__add__(other)

    def addcmul(self, first: Any, second: Any) -> Bundle:
        """``self + first * second``; one of the factors may be a number."""
        if isinstance(first, Bundle) and isinstance(second, Bundle):
            return Bundle(torch._foreach_addcmul(self.tensors, first.tensors, second.tensors))
        many, one = (first, second) if isinstance(first, Bundle) else (second, first)
        return Bundle(torch._foreach_add(self.tensors, many.tensors, alpha=float(one)))

    def lerp(self, end: Bundle, weight: Any) -> Bundle:
        """``self + weight (end - self)``."""
        return Bundle(torch._foreach_lerp(self.tensors, end.tensors, float(weight)))

    def square(self) -> Bundle:
        """Squares."""
        return Bundle(torch._foreach_mul(self.tensors, self.tensors))

    def sqrt(self) -> Bundle:
        """Roots."""
        return Bundle(torch._foreach_sqrt(self.tensors))

    def sign(self) -> Bundle:
        """-1, 0 or 1."""
        return Bundle(torch._foreach_sign(self.tensors))

    def abs(self) -> Bundle:
        """Absolute values."""
        return Bundle(torch._foreach_abs(self.tensors))

    def _with(self, function: Callable[..., Any], other: Any) -> Bundle:
        if isinstance(other, Bundle):
            return Bundle(function(self.tensors, other.tensors))
        return Bundle(function(self.tensors, float(other)))
