"""Where what is kept with probability 1 - p is made up for: in training, by 1 / (1 - p), or at test, by 1 - p."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Scale = Literal["inverted", "classic"]
SCALES: tuple[Scale, ...] = ("inverted", "classic")


def in_training(y: Tensor, rate: Tensor, scale: Scale) -> Tensor:
    """What is kept, as it is passed on in training: y / (1 - p), or y.

    Args:
        y: with zeros where it was dropped; any shape.
        rate: p, float32, 0-d.
        scale: ``"inverted"`` divides here, ``"classic"`` multiplies at test.
    """
    if scale == "classic":
        return y
    keep = 1 - rate
    # At p = 1 all is 0: any finite scale does.
    return y * (1 / torch.where(keep > 0, keep, 1.0)).to(y.dtype)


def at_test(x: Tensor, rate: Tensor, scale: Scale) -> Tensor:
    """The mean of what is passed on in training: x, or (1 - p) x, which is 0 at p = 1 whatever x is.

    Args:
        x: before anything is dropped; any shape.
        rate: p, float32, 0-d.
        scale: as in training.
    """
    if scale == "inverted":
        return x
    keep = (1 - rate).to(x.dtype)
    return torch.where(keep > 0, x * keep, 0.0)
