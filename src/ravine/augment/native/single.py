"""One batch of pictures at a time in machine code, for a loop that has its batches in its own memory."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import final

import torch
from torch import Tensor

from ravine.augment.native.batches import Given, PictureBatches
from ravine.augment.spec import MIXING, Augment


@final
class SingleBatch:
    """Makes a batch out of pictures that are handed to it, again and again, from several threads one after another.

    Args:
        shape: of the batch, (B, C, H, W).
        names: of the strengths.
        fixed: of the training part, from `ravine.augment.fixed.fixed_of`.
        options: structure.
        num_classes: K; None for answers that are numbers.
        num_threads: at most so many at once.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        names: tuple[str, ...],
        fixed: Mapping[str, Tensor],
        options: Augment,
        num_classes: int | None,
        num_threads: int,
    ) -> None:
        batch, mixes = shape[0], any(name in MIXING for name in names)
        dtype = torch.int64 if num_classes is not None else torch.float32
        soft = mixes and num_classes is not None
        self._given = Given(
            x=torch.zeros(shape),
            y=torch.zeros(batch, dtype=dtype),
            rows_JB=torch.arange(batch)[None],
            examples_JB=torch.zeros(1, batch, dtype=torch.int64),
            epochs_J=torch.zeros(1, dtype=torch.int64),
            of_group={"seed": torch.zeros(1, dtype=torch.int64), **{name: torch.zeros(1) for name in names}},
        )
        self._x = torch.zeros(1, *shape)
        self._y = torch.zeros(1, batch, num_classes or 1) if soft else torch.zeros(1, batch, dtype=dtype)
        self._make = PictureBatches(
            self._given, self._x, self._y, fixed=fixed, options=options, num_classes=num_classes,
            num_threads=num_threads, team=True,
        )  # fmt: skip
        self._lock = Lock()

    def __call__(
        self, x: Tensor, y: Tensor, examples_B: Tensor, epoch: int, seed: int, strengths: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The batch and its answers, as `ravine.augment.batch.augmented_batch` makes them."""
        given = self._given
        with self._lock:
            for target, source in ((given.x, x), (given.y, y), (given.examples_JB[0], examples_B)):
                target.copy_(source)
            given.epochs_J.fill_(epoch)
            for name, tensor in given.of_group.items():
                tensor.fill_(seed) if name == "seed" else tensor.copy_(strengths[name])
            self._make(1)
            return self._x[0].clone(), self._y[0].clone()
