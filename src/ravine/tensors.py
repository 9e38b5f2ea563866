"""A dict of tensors as one flat row, and back; classes as numbers.

Shapes: R runs, P numbers of one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ALIGNMENT = 16  # floats in a cache line of 64 bytes: every view starts on one


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where each named tensor of a run lies in a row of numbers.

    Each tensor starts at a multiple of 16 numbers; the gaps are filled with zeros.

    Attributes:
        names: of the tensors, in order.
        shapes: of the tensors of one run.
        offsets: where in a row each tensor's first number is.
        size: P, the length of a row, gaps included.

    Example:
        >>> layout = Layout.of({"weight": (2, 3), "bias": (2,)})
        >>> layout.offsets, layout.size
        ((0, 16), 32)
        >>> layout.views(torch.zeros(5, 32))["weight"].shape
        torch.Size([5, 2, 3])
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    offsets: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, named_shapes: Mapping[str, tuple[int, ...]]) -> Layout:
        """The layout of tensors of these shapes, in that order.

        Args:
            named_shapes: shape of each tensor, for one run.

        Returns:
            The layout.

        Example:
            >>> Layout.of({"bias": (17,)}).size
            32
        """
        offsets, size = [], 0
        for shape in named_shapes.values():
            offsets.append(size)
            size += -(-math.prod(shape) // _ALIGNMENT) * _ALIGNMENT
        shapes = tuple(tuple(s) for s in named_shapes.values())
        return cls(names=tuple(named_shapes), shapes=shapes, offsets=tuple(offsets), size=size)

    def views(self, flat_RP: Tensor) -> dict[str, Tensor]:
        """The tensors of all runs, as views: writing to them writes to the matrix.

        Args:
            flat_RP: (R, P), rows contiguous.

        Returns:
            By name, (R, *shape).

        Example:
            >>> flat = torch.zeros(2, 16)
            >>> _ = Layout.of({"bias": (3,)}).views(flat)["bias"].fill_(1)
            >>> flat.sum().item()
            6.0
        """
        return {
            name: flat_RP[:, start : start + math.prod(shape)].view(flat_RP.shape[0], *shape)
            for name, shape, start in zip(self.names, self.shapes, self.offsets, strict=True)
        }

    def view_one(self, flat_P: Tensor) -> dict[str, Tensor]:
        """The tensors of one run, as views.

        Args:
            flat_P: (P,).

        Returns:
            By name, of the layout's shapes.

        Example:
            >>> Layout.of({"bias": (3,)}).view_one(torch.arange(16.0))["bias"]
            tensor([0., 1., 2.])
        """
        return {
            name: flat_P[start : start + math.prod(shape)].view(shape)
            for name, shape, start in zip(self.names, self.shapes, self.offsets, strict=True)
        }

    def write(self, tensors: Mapping[str, Tensor], flat_RP: Tensor) -> None:
        """Write tensors into an existing matrix, whose gaps stay as they are.

        Args:
            tensors: by name, (R, *shape).
            flat_RP: (R, P), rows contiguous; changed in place.

        Example:
            >>> flat = torch.zeros(2, 16)
            >>> Layout.of({"bias": (3,)}).write({"bias": torch.ones(2, 3)}, flat)
            >>> flat.sum().item()
            6.0
        """
        for name, view in self.views(flat_RP).items():
            view.copy_(tensors[name])

    def pack(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `views` and of `view_one`: a new flat tensor with zeros in the gaps.

        Args:
            tensors: by name, all (R, *shape) or all of the layout's shapes; others are ignored.

        Returns:
            (R, P), or (P,).

        Raises:
            KeyError: a tensor of the layout is missing.

        Example:
            >>> layout = Layout.of({"bias": (3,)})
            >>> layout.pack({"bias": torch.ones(2, 3)}).shape, layout.pack({"bias": torch.ones(3)}).shape
            (torch.Size([2, 16]), torch.Size([16]))
        """
        first = tensors[self.names[0]]
        lead = first.shape[: first.dim() - len(self.shapes[0])]
        ends = (*self.offsets[1:], self.size)
        pieces = []
        for name, shape, start, end in zip(self.names, self.shapes, self.offsets, ends, strict=True):
            pieces.append(tensors[name].reshape(*lead, -1))
            if gap := end - start - math.prod(shape):
                pieces.append(first.new_zeros((*lead, gap)))
        return torch.cat(pieces, dim=-1)


def one_hot(classes: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Classes as soft targets with all weight on one, (*classes.shape, K): by comparison, which vmap and traces take.

    Args:
        classes: int64, from 0; any shape.
        num_classes: K.
        dtype: of the result.

    Example:
        >>> one_hot(torch.tensor([2, 0]), 3, torch.float32).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return (classes.unsqueeze(-1) == torch.arange(num_classes, device=classes.device)).to(dtype)


def writable(value: Any) -> Any:
    """An array as it is, or a copy of one that may not be written to: of such a one PyTorch makes no tensor unwarned.

    Example:
        >>> x = np.broadcast_to(np.float32(1), (2,))
        >>> torch.as_tensor(writable(x))
        tensor([1., 1.])
    """
    return value.copy() if isinstance(value, np.ndarray) and not value.flags.writeable else value
