"""Noise of the gradient: numbers keyed by seed and step, the same for every rule, here and in a browser."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine.rng import bits, key

STREAM = "surface/noise"


def noise(seed: int, steps: int) -> Tensor:
    """Standard normal numbers, two a step.

    By Box and Muller's transform, of two words a step: ``sqrt(-2 log u) (cos, sin)(2 pi v)`` with
    ``u = (word + 1/2) / 2^32``. (`ravine.rng.normal` needs the inverse of erf, which JavaScript lacks.)

    Args:
        seed: any integer of 32 bits.
        steps: how many.

    Returns:
        Float64 (steps, 2).

    Example:
        >>> noise(0, 10_000).std().round(decimals=1).item()
        1.0
    """
    words = bits(key(seed, STREAM, torch.arange(steps)), 2).to(torch.float64)
    uniform = (words + 0.5) * 2.0**-32
    radius, turn = (-2.0 * uniform[:, 0].log()).sqrt(), 2.0 * math.pi * uniform[:, 1]
    return torch.stack((radius * turn.cos(), radius * turn.sin()), dim=1)
