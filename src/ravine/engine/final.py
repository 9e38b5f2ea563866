"""What runs come to at their end: final scores and predictions of some weights.

Shapes: R run, N example, K output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.engine.native.scores import NativeScores
from ravine.engine.objective import Objective
from ravine.engine.records import Arrays, Averaged
from ravine.engine.scoring import Others, Scores, fewest_runs, some_scores
from ravine.engine.sets import Part, Sets, joined
from ravine.engine.state import Data

_MOST = {"train": 10_000, "validation": None, "test": None}  # examples that the final scores look at
Metrics = dict[str, np.ndarray]
Scoring = Callable[[Data, Sequence[int] | None], Scores]
"""Scores of some rows on some examples; None: of all rows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The final scores of a cohort.

    Args:
        sets: what its runs learn from.
        objective: of its runs.
        backend: what evaluates them.
    """

    sets: Sets
    objective: Objective
    backend: str

    @property
    def task(self) -> str:
        """What is learned."""
        return self.sets.first.task

    def scored(self, scores: Scoring, going: Tensor, runs: Sequence[int]) -> tuple[Metrics, Arrays]:
        """Metrics and predictions of some rows.

        Args:
            scores: evaluates a split.
            going: the rows of what it returns that are wanted.
            runs: of each of these rows, which run of the cohort it is.
        """
        metrics: dict[str, list[Part]] = {}
        predictions: dict[str, list[Part]] = {}
        for name, most in _MOST.items():
            for places, split in self.sets.each(name, runs, most):
                wanted: Tensor | slice = going if places is None else slice(None)
                own = list(runs if places is None else [runs[place] for place in places])
                outputs_RNK, loss_RN, accuracy_RN = scores(
                    split, None if places is None else going[places].tolist()
                )
                if name != "test":  # read once, at the end, for the runs that were chosen: not here
                    loss_R, accuracy_R = loss_RN.mean(1)[wanted], accuracy_RN.mean(1)[wanted]
                    loss = loss_R.cpu().numpy().astype(np.float64) * self.sets.units(own)[1]
                    metrics.setdefault(f"{name}_loss", []).append((places, loss))
                    if self.task != "regression":
                        metrics.setdefault(f"{name}_accuracy", []).append((places, accuracy_R.cpu().numpy()))
                if name != "train":
                    predicted = self._predictions(outputs_RNK[wanted], own)
                    predictions.setdefault(name, []).append((places, predicted))
        num, sets = len(runs), self.sets
        return (
            {name: joined(num, parts) for name, parts in metrics.items()},
            {name: joined(num, parts, sets.longest(name)) for name, parts in predictions.items()},
        )

    def elsewhere(self, points_RP: Tensor, others: Others, runs: Sequence[int]) -> tuple[Metrics, Arrays]:
        """Metrics and predictions of weights that no program has any more.

        Args:
            points_RP: the weights.
            others: every other tensor of the model, (R, ...) by name.
            runs: which runs of the cohort they are of.
        """
        num = len(points_RP)
        rows = torch.arange(num, device=points_RP.device)
        if self.objective.fused and num < fewest_runs():  # so few would share the threads in other ways
            more = rows.new_zeros(fewest_runs() - num)
            points_RP = points_RP[torch.cat([rows, more])]
            others = {name: tensor[torch.cat([rows, more])] for name, tensor in others.items()}
        points_RP = points_RP.contiguous()
        if self.backend != "native":
            return self.scored(partial(some_scores, self.objective, points_RP, others), rows, runs)
        native = NativeScores(self.objective, points_RP, others)
        return self.scored(lambda split, some: native(split, rows=some), rows, runs)

    def _predictions(self, outputs_RNK: Tensor, runs: Sequence[int]) -> np.ndarray:
        """Of runs that have one data set."""
        data = self.sets.data_of(runs[0]) if runs else self.sets.first
        with np.errstate(over="ignore"):  # a prediction beyond float32 is infinite, and its run is not judged
            return data.predictions(outputs_RNK.cpu().numpy())


def together(parts: Sequence[Averaged]) -> Averaged:
    """The runs of several parts as one; parts without runs have nothing to say."""
    if not any(part.runs for part in parts):
        return Averaged(runs=(), metrics={}, weights={}, predictions={})
    first, *more = (part for part in parts if part.runs)
    for each in more:
        first = replace(
            first,
            runs=first.runs + each.runs,
            metrics=_joined(first.metrics, each.metrics),
            weights=_joined(first.weights, each.weights),
            predictions=_joined(first.predictions, each.predictions),
        )
    return first


def _joined(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> Arrays:
    return {name: np.concatenate([array, other[name]]) for name, array in one.items()}
