"""What the runs of a cohort learn from and are evaluated on: one data set, or the folds of one.

The folds' inputs lie in memory once. A batch is taken out of them and then scaled for its run: means, deviations and
what takes the place of missing numbers are tensors of each run, and so is where its answers begin, which folds of a
regression scale too. Rows of batches are drawn for each seed and fold.

Shapes: R run, N example, S batch of a step: of a seed, or of a seed and a fold; J fold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset, Examples
from ravine.data.deal_folds import FoldOf
from ravine.data.rescaling import Rescaling
from ravine.data.room import require
from ravine.engine.batches import Batches, Order, Orders
from ravine.engine.cohort import Cohort
from ravine.engine.loss import Loss
from ravine.engine.objective import rescaled
from ravine.engine.setting import OfRuns
from ravine.engine.state import Data
from ravine.messages import count
from ravine.study.augment import techniques

SPLITS = ("train", "validation", "test")
Place = tuple[Sequence[int] | None, Data]
"""Which of some runs are evaluated on some examples; None: all."""
Part = tuple[Sequence[int] | None, np.ndarray]
"""What was found for some places; None: for all."""


class Sets(ABC):
    """What the runs of a cohort learn from.

    Attributes:
        first: the data set, or that of the first fold, for what all of them share.
        train: what steps take their examples from.
        whole: the training set itself, where batches are of views of it.
        order: of the examples in batches.
    """

    first: Dataset
    train: Data
    whole: Data
    order: Batches

    @abstractmethod
    def of_runs(self, rows: Sequence[int], dtype: torch.dtype) -> OfRuns | None:
        """What depends on the folds of some runs of the cohort; None where there are none."""

    @abstractmethod
    def units(self, rows: Sequence[int]) -> tuple[float | np.ndarray, float | np.ndarray]:
        """What losses of training and scores are multiplied by to be in the target's own units, for each run."""

    @abstractmethod
    def each(self, split: str, rows: Sequence[int], most: int | None = None) -> Iterator[Place]:
        """The examples of a split, with the places in ``rows`` of the runs that have them.

        Args:
            split: "train", "validation" or "test".
            rows: of the cohort.
            most: examples, at most: the first ones.
        """

    @abstractmethod
    def longest(self, split: str) -> int:
        """The most examples that a run has in a split."""

    @abstractmethod
    def lengths(self, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """The examples that runs of the cohort have of validation and test, by name; {} where all have as many."""

    @abstractmethod
    def data_of(self, row: int) -> Dataset:
        """The data set of a run."""


def sets_of(cohort: Cohort, data: Dataset, device: torch.device) -> Sets:
    """What the runs of a cohort learn from.

    Args:
        cohort: the runs.
        data: their data set; where they are of several folds, that which has all of them.
        device: where they are trained.
    """
    if techniques([run.recipe.hypers for run in cohort.runs]) or cohort.averages is not None:
        return OneSet(cohort, data, device)  # what changes examples knows of one scale
    if data.folds is not None and cohort.recipe.part is not None:
        return FoldSets(
            cohort, [data.folds.of(FoldOf.of(run.recipe.part or {})) for run in cohort.runs], device
        )
    if isinstance(data.train.scaling, Rescaling):
        return FoldSets(cohort, [data] * len(cohort.runs), device)
    return OneSet(cohort, data, device)


@final
class OneSet(Sets):
    """One data set for all runs.

    Args:
        cohort: the runs.
        data: their data set.
        device: where they are trained.
    """

    def __init__(self, cohort: Cohort, data: Dataset, device: torch.device) -> None:
        self.first = data
        self._splits = {name: Data.of(getattr(data, name), device) for name in SPLITS}
        self.whole, views = self._splits["train"], data.views
        self.train = self.whole if views is None else Data.of(views.load(), device)
        self._units = Loss.of(cohort.recipe.loss, data).unit, data.loss_unit
        num, size = len(data.train), cohort.recipe.batch_size
        self.order = Order(cohort.seeds, num, size, device, 1 if views is None else views.num)

    def of_runs(self, rows: Sequence[int], dtype: torch.dtype) -> OfRuns | None:  # noqa: ARG002
        """None: there are no folds."""
        return None

    def units(self, rows: Sequence[int]) -> tuple[float, float]:  # noqa: ARG002
        """Those of the data set."""
        return self._units

    def each(self, split: str, rows: Sequence[int], most: int | None = None) -> Iterator[Place]:  # noqa: ARG002
        """The examples that all runs have."""
        data = self._splits[split]
        if len(data.y):
            yield None, data if most is None else Data(x=data.x[:most], y=data.y[:most])

    def longest(self, split: str) -> int:
        """The examples of a split."""
        return len(self._splits[split].y)

    def lengths(self, rows: Sequence[int]) -> dict[str, np.ndarray]:  # noqa: ARG002
        """{}: all have as many."""
        return {}

    def data_of(self, row: int) -> Dataset:  # noqa: ARG002
        """The data set."""
        return self.first


@final
class FoldSets(Sets):
    """Folds that share their inputs.

    Args:
        cohort: the runs.
        of_run: the data set of each run's fold.
        device: where they are trained.
    """

    def __init__(self, cohort: Cohort, of_run: Sequence[Dataset], device: torch.device) -> None:
        self._sets = list({id(each): each for each in of_run}.values())
        numbers = {id(each): j for j, each in enumerate(self._sets)}
        self._set_R = np.array([numbers[id(each)] for each in of_run])
        self._hypers = [run.recipe.hypers for run in cohort.runs]
        self._device, self.first = device, self._sets[0]
        self._losses = [Loss.of(cohort.recipe.loss, each) for each in self._sets]
        self._ats = [{name: _at(getattr(each, name), device) for name in SPLITS} for each in self._sets]
        self.train = self.whole = self._shared()
        pairs = list(dict.fromkeys(zip(self._set_R.tolist(), (run.seed for run in cohort.runs), strict=True)))
        pairs.sort()
        self._batch_R = [
            pairs.index((number, run.seed))
            for number, run in zip(self._set_R.tolist(), cohort.runs, strict=True)
        ]
        seeds = [[seed for number, seed in pairs if number == j] for j in range(len(self._sets))]
        size = cohort.recipe.batch_size
        self.order = Orders(
            [
                Order(tuple(own), len(at["train"]), size, device, places=at["train"])
                for own, at in zip(seeds, self._ats, strict=True)
            ]
        )

    def of_runs(self, rows: Sequence[int], dtype: torch.dtype) -> OfRuns:
        """Tensors of some runs, (R, ...)."""
        own = self._set_R[list(rows)]
        index = torch.from_numpy(own).to(self._device)
        of_set = {name: tensor.index_select(0, index) for name, tensor in self._of_sets().items()}
        hypers = [self._hypers[row] for row in rows]
        of_loss: dict[str, Tensor] = {}
        for j in np.unique(own).tolist():
            places = torch.from_numpy(np.flatnonzero(own == j)).to(self._device)
            for name, numbers in self._losses[j].numbers(hypers, self._device, dtype).items():
                of_loss.setdefault(name, numbers.clone())[places] = numbers[places]
        batches = torch.tensor([self._batch_R[row] for row in rows], device=self._device)
        return OfRuns(batch_index_R=batches, of_set=of_set, of_loss=of_loss)

    def units(self, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Those of each run's fold."""
        own = self._set_R[list(rows)]
        of_training = np.array([loss.unit for loss in self._losses])
        return of_training[own], np.array([each.loss_unit for each in self._sets])[own]

    def each(self, split: str, rows: Sequence[int], most: int | None = None) -> Iterator[Place]:
        """The examples of each fold, made of the shared ones for as long as they are looked at."""
        own = self._set_R[list(rows)]
        for j in np.unique(own).tolist():
            at, y = self._ats[j][split][:most], getattr(self._sets[j], split).y[:most]
            if len(y):
                x = rescaled(self.train.x.index_select(0, at), _tensors(self._sets[j], self._device))
                places = np.flatnonzero(own == j).tolist()
                yield places, Data(x=x, y=torch.tensor(y, device=self._device))

    def longest(self, split: str) -> int:
        """Of the fold with the most."""
        return max(len(getattr(each, split)) for each in self._sets)

    def lengths(self, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """Those of each run's fold."""
        own = self._set_R[list(rows)]
        found = {name: np.array([len(getattr(each, name)) for each in self._sets]) for name in SPLITS[1:]}
        if all((each == each[0]).all() for each in found.values()):
            return {}
        return {name: each[own] for name, each in found.items()}

    def data_of(self, row: int) -> Dataset:
        """That of its fold."""
        return self._sets[int(self._set_R[row])]

    def _of_sets(self) -> dict[str, Tensor]:
        """What scales the inputs of each fold, (J, ...), and where its answers begin, if they have their own."""
        each = [_tensors(data, self._device) for data in self._sets]
        found = {name: torch.stack([tensors[name] for tensors in each]) for name in each[0]}
        num = len(self.train.x)
        if len(self.train.y) > num:
            found["answers"] = num * torch.arange(len(self._sets), device=self._device)
        return found

    def _shared(self) -> Data:
        """The shared inputs; the answers of training, one fold after another where these differ; weights."""
        kept = self.first.train.kept
        assert all(each.train.kept is kept for each in self._sets), "folds share their inputs"
        if kept.dtype == np.float32 and kept.flags.writeable:
            x = torch.from_numpy(kept)  # nothing writes to it, and batches are copies
        else:
            require(4.0 * kept.size, f"{count(len(kept), 'example')} of shape {kept.shape[1:]}, as numbers")
            x = torch.tensor(kept, dtype=torch.float32)
        own = self.first.task == "regression"
        y = [np.zeros((len(kept), *each.train.y.shape[1:]), each.train.y.dtype) for each in self._sets]
        weights = None if self.first.train.weights is None else np.zeros(len(kept), np.float32)
        for j, each in enumerate(self._sets):
            at = self._ats[j]["train"].numpy(force=True)
            y[j if own else 0][at] = each.train.y
            if weights is not None and each.train.weights is not None:
                weights[at] = each.train.weights
        return Data(
            x=x.to(self._device),
            y=torch.tensor(np.concatenate(y if own else y[:1]), device=self._device),
            weights=None if weights is None else torch.tensor(weights, device=self._device),
        )


def joined(num: int, parts: Sequence[Part], longest: int | None = None) -> np.ndarray:
    """What was found for all of some places, (num, ...).

    Args:
        num: of places.
        parts: what was found for some of them; those of one kind of shape.
        longest: examples that there is room for, where parts are (places, n, ...) and n differs: what is beyond those
            of a place is not a number.

    Example:
        >>> joined(3, [([0, 2], np.array([1.0, 3.0])), ([1], np.array([2.0]))]).tolist()
        [1.0, 2.0, 3.0]
    """
    if len(parts) == 1 and parts[0][0] is None:
        return parts[0][1]
    first = parts[0][1]
    shape = first.shape[1:] if longest is None else (longest, *first.shape[2:])
    found = np.full((num, *shape), np.nan, dtype=first.dtype)
    for places, values in parts:
        assert places is not None, "there is one part for all, or several"
        if longest is None:
            found[places] = values
        else:
            found[places, : values.shape[1]] = values
    return found


def _at(examples: Examples, device: torch.device) -> Tensor:
    """Which of the shared rows some examples are."""
    assert examples.at is not None, "examples of a fold are rows of the shared ones"
    return torch.from_numpy(np.ascontiguousarray(examples.at)).to(device)


def _tensors(data: Dataset, device: torch.device) -> Mapping[str, Tensor]:
    """What scales the inputs of a fold."""
    of = data.train.scaling
    assert isinstance(of, Rescaling), "folds share their inputs"
    arrays = {"shift": of.shift, "factor": of.factor, **({} if of.fill is None else {"fill": of.fill})}
    return {name: torch.tensor(array, device=device) for name, array in arrays.items()}
