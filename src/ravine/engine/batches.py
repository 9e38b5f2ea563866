"""Which examples are in a batch: index arithmetic on the device, nothing per example in Python.

Shapes: S seed, T batch of an epoch, B batch, N example.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ravine import rng


class Order:
    """The order of the training examples, for several seeds at once.

    Every epoch goes through its own permutation, a pure function of (seed, epoch), and leaves out the
    examples that do not fill a last batch: those are others each time. Runs of one seed see the same batches.

    Args:
        seeds: the seeds.
        num_examples: size of the training set.
        batch_size: at most that.
        device: where the indices are used.
    """

    def __init__(
        self, seeds: tuple[int, ...], num_examples: int, batch_size: int, device: torch.device
    ) -> None:
        self.seeds = seeds
        self._seeds_S = torch.tensor(seeds, dtype=torch.int64, device=device)
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.batches_per_epoch = num_examples // batch_size
        self._epoch = -1
        self._rows_TSB = torch.empty(0)

    def rows(self, step: int) -> Tensor:
        """The examples of the batches from one step, counted from 0, to the end of its epoch: int64 (T, S, B)."""
        epoch, batch = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            keys_S = rng.key(self._seeds_S, "order", epoch)
            num_used = self.batches_per_epoch * self.batch_size
            used_SN = rng.permutation(keys_S, self.num_examples)[:, :num_used]
            # one piece of memory for a batch: a compiled step takes no other
            self._rows_TSB = used_SN.unflatten(1, (-1, self.batch_size)).transpose(0, 1).contiguous()
            self._epoch = epoch
        return self._rows_TSB[batch:]
