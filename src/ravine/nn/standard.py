"""Features brought to mean 0 and deviation 1, by numbers that are found once.

Shapes: N example, B batch, D feature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

_PRIOR = 100.0  # examples that the variance of all features counts as much as


class Standard(nn.Module):
    """(x - mean) / deviation, of each feature; at first x as it is.

    The two are buffers: they lie beside the weights, and no step changes them.

    Args:
        width: D.

    Attributes:
        given: whether what it gets is brought to the scale already: then it passes it on.

    Example:
        >>> standard = Standard(2)
        >>> standard.deviation[:] = torch.tensor([1.0, 4.0])
        >>> standard(torch.tensor([[3.0, 8.0]]))
        tensor([[3., 2.]])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.given = False
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, x_BD: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        return x_BD if self.given else (x_BD - self.mean) / self.deviation


def moments(x_ND: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and deviation of each feature of some examples, for `Standard`.

    Few examples say little about the deviation of a feature, so it is drawn towards that of all features: a variance v
    counts as ``(N v + 100 w) / (N + 100)``, where w is the mean variance. Features that never vary become 0.

    Example:
        >>> mean, deviation = moments(np.array([[1.0, 5.0], [3.0, 5.0]], np.float32))
        >>> mean.tolist(), [f"{each:.3f}" for each in deviation]
        ([2.0, 5.0], ['0.714', '0.700'])
    """
    wide = np.asarray(x_ND, dtype=np.float64)
    num, mean, variance = len(wide), wide.mean(0), wide.var(0)
    drawn = (num * variance + _PRIOR * variance.mean()) / (num + _PRIOR)
    deviation = np.sqrt(drawn) if drawn.any() else np.ones_like(mean)
    return mean.astype(np.float32), deviation.astype(np.float32)


def standardized(
    x_ND: npt.NDArray[Any], mean: npt.NDArray[Any], deviation: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """What `Standard` makes of examples, bit for bit."""
    return np.asarray((x_ND - mean) / deviation)
