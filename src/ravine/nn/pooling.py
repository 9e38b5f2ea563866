"""Stochastic pooling, with a rate and a key per run.

Shapes: B batch, C channel, H W space.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ravine import rng
from ravine.nn.stochastic import Stochastic, checked_rate


class StochasticPool2d(Stochastic):
    """Pooling that picks one number of each region at random, by its size, and averages by size at test.

    With a_i = relu(x_i) in a region and p_i = a_i / sum(a): sample: y = a_i with probability p_i, and the gradient goes
    to that a_i; mean: y = sum(p_i a_i) = sum(a^2) / sum(a), which is the mean of the samples. A region of zeros gives
    0. The ReLU is part of the layer, since probabilities need numbers of at least 0.

    The rate is the probability that a region is pooled at random; else, and for rate 0, its maximum is taken. The
    paper has rate 1.

    Args:
        kernel_size: side of the square regions.
        stride: between regions; None: the side.
        rate: in [0, 1].

    Raises:
        ValueError: for a rate outside [0, 1], or a side or stride below 1.

    References:
        Zeiler and Fergus 2013, "Stochastic pooling for regularization of deep convolutional neural networks".

    Example:
        >>> StochasticPool2d(2).eval()(torch.tensor([[[[1.0, 3.0], [0.0, -7.0]]]]))
        tensor([[[[2.5000]]]])
    """

    kind = "stochastic_pool"

    def __init__(self, kernel_size: int = 2, stride: int | None = None, rate: float = 1.0) -> None:
        super().__init__(checked_rate("StochasticPool2d", rate))
        if kernel_size < 1 or (stride is not None and stride < 1):
            raise ValueError("StochasticPool2d: kernel_size and stride must be at least 1")
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    @property
    def rate_at_test(self) -> bool:
        """It says how much of the mean is the maximum."""
        return True

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """One number of each region."""
        places = self._places(x)
        parts, total, top = self._parts(places)
        words = rng.uniform(key, (2, *top.shape))  # float32: in a shorter type they could round up to 1
        aim, before, picked = words[0] * total, parts[0], places[0]
        for place, part in zip(places[1:], parts[1:], strict=True):
            picked = torch.where(aim >= before, place, picked)
            before = before + part
        picked = torch.where(top < math.inf, picked, top)  # infinity, or no number, as it is
        return torch.where(words[1] < self.rate, picked, top)

    def mean(self, x: Tensor) -> Tensor:
        """rate sum(a^2) / sum(a) + (1 - rate) max(a)."""
        places = self._places(x)
        parts, total, top = self._parts(places)
        safe = torch.where(total > 0, total, 1.0)
        random = torch.zeros_like(top)
        for place, part in zip(places, parts, strict=True):
            random = random + part / safe * place
        random = torch.where(top < math.inf, random, top)
        rate = self.rate.to(top.dtype)
        mixed = torch.where(rate < 1, rate * random + (1 - rate) * top, random)
        return torch.where(rate > 0, mixed, top)

    def _places(self, x: Tensor) -> list[Tensor]:
        """The number at each place of all regions."""
        size, step = self.kernel_size, self.stride
        height, width = ((side - size) // step + 1 for side in x.shape[-2:])
        if height < 1 or width < 1:
            sides = "x".join(map(str, x.shape[-2:]))
            raise ValueError(f"StochasticPool2d: a picture of {sides} pixels has no region of {size}x{size}")
        a = F.relu(x)
        return [
            a[..., i : i + step * (height - 1) + 1 : step, j : j + step * (width - 1) + 1 : step]
            for i in range(size)
            for j in range(size)
        ]

    def _parts(self, places: list[Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Each place's number over how many there are, so that their sum is never too large; it, and the maximum."""
        parts = [place * (1 / len(places)) for place in places]
        total, top = parts[0], places[0]
        for place, part in zip(places[1:], parts[1:], strict=True):
            total = total + part
            top = torch.where((place > top) | (place != place), place, top)
        return parts, total, top
