"""Batches that are augmented before the steps that they are for: one for all runs of a seed and the same strengths.

A draw is a function of seed, epoch and example alone, so what a run sees depends neither on its cohort nor on the rest
of a batch; only partners of mixed examples come from the batch.

Shapes: R run, G group: runs of one seed and the same strengths, S seed, T step, B batch, J batch of those that are made
at once, batch j of group j modulo G, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.native.batches import Given, PictureBatches
from ravine.augment.spec import MIXING, Augment
from ravine.data import Dataset
from ravine.engine.cohort import Cohort
from ravine.engine.native.batches import NativeBatches
from ravine.engine.state import Data
from ravine.native.tensors import Unsupported
from ravine.study.augment import num_views, pixel_scale, strength, techniques
from ravine.trace import Untraceable, trace

_ROOM = 32 << 20  # bytes of the batches that machine code gets at once; of one step there are always all
_MOST_STEPS = 256  # likewise
_FIXED: WeakKeyDictionary[Dataset, dict[tuple[bool, torch.device], dict[str, Tensor]]] = WeakKeyDictionary()


class Maker(Protocol):
    """What makes batches of the rows and epochs that were put in place."""

    def __call__(self, num: int, wanted: np.ndarray | None = None) -> None:
        """Make the first batches, so many of them; or those of them that are wanted, by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The groups of a cohort.

    Args:
        of_run_R: the group of each run.
        seeds_G: int64.
        strengths: float32 (G,) by name: of those techniques that some run uses.
    """

    of_run_R: Tensor
    seeds_G: Tensor
    strengths: dict[str, Tensor]

    @staticmethod
    def of(cohort: Cohort, device: torch.device) -> Groups:
        """Runs of equal seed and strengths share a group. Where rules search, each run is at a step of its own."""
        names = techniques_of(cohort)
        pairs = [(run.seed, *(strength(run.recipe.hypers, name) for name in names)) for run in cohort.runs]
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        of_run = list(range(len(pairs))) if cohort.searches else [places[pair] for pair in pairs]
        firsts = [pairs[of_run.index(place)] for place in range(max(of_run) + 1)]
        seeds, *columns = zip(*firsts, strict=True)
        return Groups(
            of_run_R=torch.tensor(of_run, device=device),
            seeds_G=torch.tensor(seeds, device=device),
            strengths={
                name: torch.tensor(column, dtype=torch.float32, device=device)
                for name, column in zip(names, columns, strict=True)
            },
        )


@final
class Augmenting:
    """The stage before the steps of a cohort.

    Args:
        cohort: the runs, at least one of which uses a technique.
        data: their data set.
        train: its training part, on the device.
        seeds: the order of the seeds in what `for_steps` gets.
        several: whether a program takes several steps at once.
        num_threads: that make batches.

    Attributes:
        groups: of the runs.
        room: x (T, G, B, ...) and y (T, G, B[, K]), where batches are made; its memory stays where it is.
    """

    def __init__(
        self,
        cohort: Cohort,
        data: Dataset,
        train: Data,
        seeds: Sequence[int],
        *,
        several: bool,
        num_threads: int,
    ) -> None:
        device, size = train.x.device, cohort.recipe.batch_size
        self.groups = Groups.of(cohort, device)
        self._batches_per_epoch = len(train.x) // size
        self._full, self._searches = cohort.recipe.full_batch, cohort.searches
        places = [list(seeds).index(seed) for seed in self.groups.seeds_G.tolist()]
        self._seed_index_G = torch.tensor(places, device=device)
        num_groups = len(places)
        num = (
            max(1, min(_ROOM // (num_groups * size * train.x[0].nbytes), _MOST_STEPS))
            if several and not cohort.searches
            else 1
        )
        shape = (num, num_groups, size)
        soft = data.task == "classification" and any(name in MIXING for name in self.groups.strengths)
        self.room = Data(
            x=torch.zeros((*shape, *train.x.shape[1:]), device=device),
            y=torch.zeros(
                (*shape, data.num_outputs) if soft else (*shape, *train.y.shape[1:]),
                dtype=torch.float32 if soft else train.y.dtype,
                device=device,
            ),
        )
        self._weights = train.weights
        if train.weights is not None:
            self.room = replace(self.room, weights=torch.zeros(shape, device=device))
        self._rows_JB = torch.arange(size, device=device).repeat(num * num_groups, 1)
        self._epochs_J = torch.zeros(num * num_groups, dtype=torch.int64, device=device)
        self._make = self._made(cohort, data, train, num_threads, team=not several)

    @staticmethod
    def of(
        cohort: Cohort,
        data: Dataset,
        train: Data,
        seeds: Sequence[int],
        *,
        several: bool,
        num_threads: int,
    ) -> Augmenting | None:
        """The stage of a cohort; None where no run uses any technique, or all have views that are drawn already.

        The arguments are those of the class.
        """
        if not techniques_of(cohort) or num_views(cohort.recipe.augment):
            return None
        return Augmenting(cohort, data, train, seeds, several=several, num_threads=num_threads)

    @property
    def most(self) -> int:
        """Of how many steps there is room for batches."""
        return len(self.room.x)

    @property
    def batch(self) -> Data:
        """The batches of the first step, x (G, B, ...) and y (G, B[, K])."""
        weights = self.room.weights
        return Data(x=self.room.x[0], y=self.room.y[0], weights=None if weights is None else weights[0])

    def for_steps(self, rows_TSB: Tensor, number: int, alive: Sequence[int] | None = None) -> None:
        """Make the batches of some steps, `most` of them or fewer.

        Args:
            rows_TSB: the examples of each seed's batch.
            number: of the first step, from 0.
            alive: the runs that are trained; groups without any may be left out. None: all.
        """
        num_steps, num_groups = len(rows_TSB), len(self._seed_index_G)
        num = num_steps * num_groups
        if not self._full:
            rows_TGB = rows_TSB.index_select(1, self._seed_index_G)
            self._rows_JB[:num].copy_(rows_TGB.flatten(0, 1))
        epochs_T = torch.arange(number, number + num_steps, device=rows_TSB.device) // self._batches_per_epoch
        self._epochs_J[:num].copy_(epochs_T.repeat_interleave(num_groups))
        wanted = None
        if alive is not None and len(alive) < len(self.groups.of_run_R):
            groups = np.unique(self.groups.of_run_R.numpy(force=True)[list(alive)])
            wanted = (np.arange(0, num, num_groups)[:, None] + groups).ravel()
        self._make(num, wanted)
        self._weigh(num)

    def for_runs(self, rows_RB: Tensor, number_R: Tensor) -> None:
        """Make the batch of each run, at a step of its own.

        Args:
            rows_RB: the examples of its batch.
            number_R: of its step, from 0.
        """
        if not self._full:
            self._rows_JB.copy_(rows_RB)
        self._epochs_J.copy_(number_R // self._batches_per_epoch)
        self._make(len(number_R))
        self._weigh(len(number_R))

    def _weigh(self, num: int) -> None:
        """Put the weights of the first batches' examples in place."""
        if self._weights is not None and self.room.weights is not None:
            rows_B = self._rows_JB[:num].flatten()
            self.room.weights.flatten(0, 1)[:num].copy_(self._weights[rows_B].view(num, -1))

    def at(self, rows_SB: Tensor, number: int) -> Data:
        """The batches of one step, as `batch`; where rules search, as if each run took another batch at every step.

        Args:
            rows_SB: the examples of each seed's batch.
            number: of the step, from 0.
        """
        if self._searches:
            numbers_R = torch.full((len(self._seed_index_G),), number, device=rows_SB.device)
            self.for_runs(rows_SB.index_select(0, self._seed_index_G), numbers_R)
        else:
            self.for_steps(rows_SB[None], number)
        return self.batch

    def _made(self, cohort: Cohort, data: Dataset, train: Data, num_threads: int, *, team: bool) -> Maker:
        """What makes batches, of the rows and epochs that were put in place."""
        options, fixed = Augment.of(cohort.recipe.augment or {}), _fixed(data, train, self.groups.strengths)
        num_classes = data.num_outputs if data.task == "classification" else None

        def augmented(
            x: Tensor, y: Tensor, rows_B: Tensor, epoch: Tensor, seed: Tensor, strengths: Mapping[str, Tensor]
        ) -> tuple[Tensor, Tensor]:
            return augmented_batch(x, y, rows_B, rows_B, epoch, seed, strengths, fixed, options, num_classes)

        of_group = {"seed": self.groups.seeds_G, **self.groups.strengths}
        x, y = self.room.x.flatten(0, 1), self.room.y.flatten(0, 1)
        given = (self._rows_JB, self._epochs_J, of_group, Data(x=x, y=y))
        if train.x.device.type == "cpu":
            pictures = Given(
                x=train.x,
                y=train.y,
                rows_JB=self._rows_JB,
                examples_JB=self._rows_JB,
                epochs_J=self._epochs_J,
                of_group=of_group,
            )
            with suppress(Unsupported):
                return PictureBatches(
                    pictures, x, y, fixed=fixed, options=options, num_classes=num_classes, num_threads=num_threads,
                    team=team,
                )  # fmt: skip
            with suppress(Unsupported, Untraceable):
                return NativeBatches(augmented, train, *given, num_threads, team=team)
        return TracedBatches(augmented, train, *given)


@final
class TracedBatches:
    """Makes batches in PyTorch, those of a step at once, by what was traced.

    Args:
        augmented: of one batch: (x, y, rows_B, epoch, seed, strengths by name) -> x and y.
        data: the examples.
        rows_JB: those of each batch.
        epochs_J: of each batch.
        of_group: "seed", and strengths by name, (G,) each.
        found: where the batches are written, x (J, B, ...) and y (J, B[, K]).
    """

    def __init__(
        self,
        augmented: Callable[..., tuple[Tensor, Tensor]],
        data: Data,
        rows_JB: Tensor,
        epochs_J: Tensor,
        of_group: Mapping[str, Tensor],
        found: Data,
    ) -> None:
        names = [name for name in of_group if name != "seed"]
        self._data, self._rows_JB, self._epochs_J, self._found = data, rows_JB, epochs_J, found
        self._of_group = [of_group["seed"], *(of_group[name] for name in names)]

        def one(rows_B: Tensor, epoch: Tensor, seed: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
            return augmented(data.x, data.y, rows_B, epoch, seed, dict(zip(names, given, strict=True)))

        self._run = trace(vmap(one), self._of_step(0))

    def __call__(self, num: int, wanted: np.ndarray | None = None) -> None:  # noqa: ARG002 (of a step all)
        """Make the first batches, so many of them: those of whole steps."""
        num_groups = len(self._of_group[0])
        for start in range(0, num, num_groups):
            x, y = self._run(*self._of_step(start))
            self._found.x[start : start + num_groups].copy_(x)
            self._found.y[start : start + num_groups].copy_(y)

    def _of_step(self, start: int) -> list[Tensor]:
        """What differs by batch, of those from one on."""
        stop = start + len(self._of_group[0])
        return [self._rows_JB[start:stop], self._epochs_J[start:stop], *self._of_group]


def _fixed(data: Dataset, train: Data, names: Collection[str]) -> dict[str, Tensor]:
    """What augmentation must know of the training part. It is found once: every pixel is looked at."""
    found, key = _FIXED.setdefault(data, {}), ("pca" in names, train.x.device)
    if key not in found:
        mean, deviation = pixel_scale(data) or ((), ())
        found[key] = fixed_of(train.x, names, mean=mean, deviation=deviation)
    return found[key]


def techniques_of(cohort: Cohort) -> tuple[str, ...]:
    """Those that some run of a cohort uses. One at strength 0 leaves all bits of a run as they are."""
    return techniques([run.recipe.hypers for run in cohort.runs])
