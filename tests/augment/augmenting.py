"""A source of standardized pictures, and shorter calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.spec import STRENGTHS, Augment

MEAN, DEVIATION = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PICTURES = [name for name, each in STRENGTHS.items() if each.suits != "tables"]


def pixels(num: int, channels: int = 3, height: int = 8, width: int = 8, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, channels, height, width, generator=generator)


def standardized(x: Tensor) -> Tensor:
    channels = x.shape[1]
    return (x - torch.tensor(MEAN[:channels])[:, None, None]) / torch.tensor(DEVIATION[:channels])[
        :, None, None
    ]


def restored(x: Tensor) -> Tensor:
    channels = x.shape[1]
    return (
        x * torch.tensor(DEVIATION[:channels])[:, None, None] + torch.tensor(MEAN[:channels])[:, None, None]
    )


def numbers(**strengths: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in strengths.items()}


def batch(
    x: Tensor,
    rows: Any,
    *,
    examples: Any = None,
    seed: int = 0,
    epoch: int = 0,
    y: Tensor | None = None,
    num_classes: int | None = 10,
    plain: bool = False,
    options: Augment | None = None,
    **strengths: float,
) -> tuple[Tensor, Tensor]:
    """`augmented_batch` of a source; ``plain``: of pixels that are not standardized."""
    rows = torch.as_tensor(rows)
    y = torch.arange(len(x)) % 10 if y is None else y
    channels = x.shape[1]
    scaling = {} if plain or x.dim() != 4 else {"mean": MEAN[:channels], "deviation": DEVIATION[:channels]}
    fixed = fixed_of(x, strengths, **scaling)
    examples = rows if examples is None else torch.as_tensor(examples)
    given = numbers(**strengths)
    return augmented_batch(x, y, rows, examples, epoch, seed, given, fixed, options or Augment(), num_classes)
