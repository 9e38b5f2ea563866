"""Every random word of an example, as uniform numbers by the name of what they are for.

A word's place is ``64 example + slot`` of the key (seed, "augment", epoch). So what is drawn for an example depends
neither on its batch nor on which other techniques there are, and a strength only scales it.

Shapes: B batch, S slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from ravine import rng

_SLOTS = 64
_NAMES = (
    "flip", "crop_x", "crop_y", "scale", "rotate", "translate_x", "translate_y", "shear", "stretch", "lens",
    "brightness", "contrast", "saturation", "hue", "order", "pca_0", "pca_1", "pca_2", "cutout_x", "cutout_y",
    "mixed", "which", "box_x", "box_y", "partner",
)  # fmt: skip
SLOT: Mapping[str, int] = {name: i for i, name in enumerate(_NAMES)}
"""The slot of each word: never renumbered, or stored runs would draw other examples than they were trained with."""
_LAMBDA = _SLOTS - rng.BETA_WORDS


def example_key(seed: int | Tensor, epoch: int | Tensor) -> Tensor:
    """The key of all words of an epoch."""
    return rng.key(seed, "augment", epoch)


class Words:
    """The words of the examples of a batch: all that have a name are drawn at once, which is one pass over them.

    Args:
        key: of the epoch, 0-d.
        examples_B: their numbers, below 2^26.
    """

    def __init__(self, key: Tensor, examples_B: Tensor) -> None:
        self._key, self._examples_B = key, examples_B
        self.device = examples_B.device

    @cached_property
    def _words(self) -> Tensor:
        slots_S = torch.arange(len(_NAMES), device=self.device)
        return rng.bits_at(self._key, slots_S[:, None] + self._examples_B * _SLOTS)

    @cached_property
    def _uniform(self) -> Tensor:
        return rng.to_uniform(self._words)

    def of(self, name: str) -> Tensor:
        """The word of a name, int64 (B,) in [0, 2^32)."""
        return self._words[SLOT[name]]

    def uniform(self, name: str) -> Tensor:
        """In [0, 1), (B,): multiples of 2^-24."""
        return self._uniform[SLOT[name]]

    def signed(self, name: str) -> Tensor:
        """In (-1, 1), (B,): odd multiples of 2^-24, so as likely above 0 as below."""
        return rng.to_signed(self.uniform(name))

    def normal(self, name: str) -> Tensor:
        """Standard normal, (B,)."""
        return rng.to_normal(self.uniform(name))

    def beta(self, alpha: Tensor) -> Tensor:
        """Beta(alpha, alpha), (B,)."""
        slots = torch.arange(_LAMBDA, _SLOTS, device=self._examples_B.device)
        return rng.beta(rng.bits_at(self._key, self._examples_B[:, None] * _SLOTS + slots), alpha)

    def first(self) -> Words:
        """Those of the batch's first example, for what a batch has in common: B is 1."""
        return Words(self._key, self._examples_B[:1])
