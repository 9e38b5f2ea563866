"""Which examples are in a batch: index arithmetic on the device, nothing per example in Python.

Shapes: S seed, T batch of an epoch, B batch, N example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ravine import rng

_AT_A_TIME = 1 << 20  # rows of batches of several orders that are put together


class Batches(ABC):
    """Which examples are in the batches of a step, for several orders at once.

    Attributes:
        num_orders: S.
        batches_per_epoch: of all of them.
    """

    num_orders: int
    batches_per_epoch: int

    @abstractmethod
    def rows(self, step: int) -> Tensor:
        """The examples of the batches from one step, counted from 0, to the end of its epoch: int64 (T, S, B)."""

    @abstractmethod
    def all_rows(self) -> Tensor:
        """All examples as one batch, in their own order: int64 (1, S, N)."""


@final
class Order(Batches):
    """The order of the training examples, for several seeds at once.

    Every epoch goes through its own permutation, a pure function of (seed, epoch), and leaves out the
    examples that do not fill a last batch: those are others each time. Runs of one seed see the same batches.

    Args:
        seeds: the seeds.
        num_examples: size of the training set.
        batch_size: at most that.
        device: where the indices are used.
        num_views: of each example; with several, rows are view v of example n: v num_examples + n. See `views_at`.
        places: (N,) which rows the examples are; None: 0, 1, ... With them there may be as many orders as folds: rows
            are int32 then, of which `Orders` makes int64 where they are needed next.
    """

    def __init__(
        self,
        seeds: tuple[int, ...],
        num_examples: int,
        batch_size: int,
        device: torch.device,
        num_views: int = 1,
        places: Tensor | None = None,
    ) -> None:
        self.seeds = seeds
        self._seeds_S = torch.tensor(seeds, dtype=torch.int64, device=device)
        self.num_examples = num_examples
        self.batch_size, self._num_views, self._places = batch_size, num_views, places
        self.num_orders = len(seeds)
        self.batches_per_epoch = num_examples // batch_size
        self._epoch = -1
        self._rows_TSB = self._all_1SN = torch.empty(0)

    def rows(self, step: int) -> Tensor:
        """The examples of the batches from one step, counted from 0, to the end of its epoch: int64 (T, S, B)."""
        epoch, batch = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            keys_S = rng.key(self._seeds_S, "order", epoch)
            num_used = self.batches_per_epoch * self.batch_size
            used_SN = rng.permutation(keys_S, self.num_examples)[:, :num_used]
            if self._num_views > 1:
                views_SN = views_at(self._seeds_S, epoch, self.num_examples, self._num_views)
                used_SN = used_SN + self.num_examples * views_SN.gather(1, used_SN)
            if self._places is not None:
                used_SN = self._places[used_SN].to(torch.int32)
            # one piece of memory for a batch: a compiled step takes no other
            self._rows_TSB = used_SN.unflatten(1, (-1, self.batch_size)).transpose(0, 1).contiguous()
            self._epoch = epoch
        return self._rows_TSB[batch:]

    def all_rows(self) -> Tensor:
        """The same for all seeds."""
        if not len(self._all_1SN):
            places_N = torch.arange(self.num_examples) if self._places is None else self._places
            self._all_1SN = places_N.to(self._seeds_S.device).expand(1, len(self.seeds), -1).contiguous()
        return self._all_1SN


@final
class Orders(Batches):
    """Several orders, perhaps of different numbers of examples, one after another in S.

    Args:
        orders: with places, of batches of one size.
    """

    def __init__(self, orders: Sequence[Order]) -> None:
        self._orders = orders
        self.num_orders = sum(order.num_orders for order in orders)
        self.batches_per_epoch = min(order.batches_per_epoch for order in orders)
        self._from = 0
        self._rows_TSB = self._all_1SN = torch.empty(0)

    def rows(self, step: int) -> Tensor:
        """To the end of the first epoch that ends, or as many as are put together at a time."""
        if not self._from <= step < self._from + len(self._rows_TSB):
            parts = [order.rows(step) for order in self._orders]
            most = max(1, _AT_A_TIME // (self.num_orders * self._orders[0].batch_size))
            num = min(most, *map(len, parts))
            self._rows_TSB = torch.cat([part[:num] for part in parts], 1).long()
            self._from = step
        return self._rows_TSB[step - self._from :]

    def all_rows(self) -> Tensor:
        """Of orders of as many examples."""
        if not len(self._all_1SN):
            self._all_1SN = torch.cat([order.all_rows() for order in self._orders], 1)
        return self._all_1SN


def views_at(seeds_S: Tensor, epoch: int, num_examples: int, num_views: int) -> Tensor:
    """Which view of each example an epoch has, int64 (S, N).

    Each seed begins with a view of its own for each example, and goes on by one an epoch: so in any `num_views` epochs
    in a row every view of every example is taken once. Drawn independently, a third of the views would be missed.

    Args:
        seeds_S: the seeds.
        epoch: counted from 0.
        num_examples: N.
        num_views: of each example.

    Example:
        >>> seeds = torch.tensor([0, 1])
        >>> [views_at(seeds, epoch, 4, 3).tolist() for epoch in (0, 1)]
        [[[1, 0, 2, 0], [1, 2, 1, 2]], [[2, 1, 0, 1], [2, 0, 2, 0]]]
    """
    first_SN = rng.integers(rng.key(seeds_S, "views"), (num_examples,), num_views)
    return (first_SN + epoch) % num_views
