"""Activations, and their means over a normal distribution of their input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ActivationName = Literal["none", "relu", "tanh", "gelu", "silu"]

FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
}
_HERMITE = np.polynomial.hermite_e.hermegauss(32)  # exact for polynomials up to degree 63
_NODES, _WEIGHTS = _HERMITE[0].tolist(), (_HERMITE[1] / _HERMITE[1].sum()).tolist()


def mean_of(activation: str, mean: Tensor, variance: Tensor) -> Tensor:
    """E[a(u)] for u ~ N(mean, variance).

    Of the identity it is the mean; of ReLU, with s^2 the variance, mean Phi(mean / s) + s phi(mean / s); of the others
    a Gauss-Hermite sum of 32 nodes. Where the variance is 0 it is a(mean), to the bit.

    Args:
        activation: a key of `FUNCTIONS`.
        mean: any shape.
        variance: that shape, at least 0.

    Example:
        >>> mean_of("relu", torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])).round(decimals=4)
        tensor([0.3989, 2.0000])
    """
    function = FUNCTIONS[activation]
    if activation == "none":
        return mean
    spread = variance > 0
    deviation = torch.where(spread, variance, 1.0).sqrt()
    if activation == "relu":
        z = mean / deviation
        below = 0.5 * (1 + torch.erf(z * math.sqrt(0.5)))
        bell = torch.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
        found = F.relu(mean * below + deviation * bell)  # never below 0 by rounding
    else:
        nodes = torch.tensor(_NODES, dtype=mean.dtype, device=mean.device)
        weights = torch.tensor(_WEIGHTS, dtype=mean.dtype, device=mean.device)
        found = (function(mean.unsqueeze(-1) + deviation.unsqueeze(-1) * nodes) * weights).sum(-1)
    return torch.where(spread, found, function(mean))
