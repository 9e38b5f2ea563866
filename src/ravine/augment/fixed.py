"""What augmentation must know of the training part: how pixels were standardized, and their principal colours.

Shapes: N picture, C channel, H W space.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

_MANY = 1 << 20  # pixels whose squares are added up at once


def fixed_of(
    x: Tensor,
    names: Collection[str],
    *,
    mean: Sequence[float] = (),
    deviation: Sequence[float] = (),
) -> dict[str, Tensor]:
    """What `ravine.augment.batch.augmented_batch` takes as ``fixed``.

    "mean" and "deviation" (C, 1, 1) of the standardization; "black" and "average" (C,), which those pixels are as
    standardized numbers; "pca" (C, C): eigenvectors of the covariance of pixels, one a column, each times its
    eigenvalue (Krizhevsky et al. 2012; eigenvalues, not their roots, and of pixels from 0 to 1).

    Args:
        x: the training part, standardized, (N, C, H, W) or (N, D); nothing is needed of a table.
        names: of the strengths.
        mean, deviation: x is (pixels - mean) / deviation, one of each a channel; empty: x are pixels.

    Example:
        >>> found = fixed_of(torch.rand(8, 3, 4, 4), ["pca"])
        >>> sorted(found), found["pca"].shape
        (['average', 'black', 'deviation', 'mean', 'pca'], torch.Size([3, 3]))
    """
    if x.dim() != 4:
        return {}
    channels = x.shape[1]
    means = torch.tensor(mean or [0.0] * channels, dtype=torch.float64, device=x.device)
    deviations = torch.tensor(deviation or [1.0] * channels, dtype=torch.float64, device=x.device)
    found = {
        "mean": means.float()[:, None, None],
        "deviation": deviations.float()[:, None, None],
        "black": ((0.0 - means) / deviations).float(),
        "average": x.mean((0, 2, 3), dtype=torch.float64).float(),
    }
    if "pca" in names:
        found["pca"] = principal_colours(x, deviations)
    return found


def principal_colours(x_NCHW: Tensor, deviation_C: Tensor) -> Tensor:
    """Eigenvectors of the covariance of pixels, one a column, each times its eigenvalue; the largest first.

    An eigenvector's largest entry is positive, so that the same data have the same ones on every machine.
    """
    channels = x_NCHW.shape[1]
    total = torch.zeros(channels, dtype=torch.float64, device=x_NCHW.device)
    squares = torch.zeros(channels, channels, dtype=torch.float64, device=x_NCHW.device)
    for part in x_NCHW.split(max(1, _MANY // x_NCHW[0].numel())):
        flat = part.transpose(0, 1).flatten(1).double()
        total += flat.sum(1)
        squares += flat @ flat.T
    num = x_NCHW.numel() // channels
    centred = squares / num - torch.outer(total / num, total / num)
    covariance = centred * torch.outer(deviation_C, deviation_C)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp(min=0.0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    found: Tensor = (vectors * largest.sign() * values).float()
    return found
