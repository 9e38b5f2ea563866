"""What runs come to at their end: final scores and predictions of some weights.

Shapes: R run, N example, K output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.native.scores import NativeScores
from ravine.engine.objective import Objective
from ravine.engine.programs import Scores, fewest_runs
from ravine.engine.records import Arrays, Averaged
from ravine.engine.state import Data

_MAX_TRAIN_EXAMPLES = 10_000  # of the training set that the final scores look at
Metrics = dict[str, np.ndarray]
Others = Mapping[str, Tensor]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The final scores of a cohort.

    Args:
        data: its data set.
        splits: of it, on the device, by name: "train", "validation" and "test".
        objective: of its runs.
        backend: what evaluates them.
    """

    data: Dataset
    splits: Mapping[str, Data]
    objective: Objective
    backend: str

    @staticmethod
    def of(data: Dataset, splits: Mapping[str, Data], objective: Objective, backend: str) -> Final:
        """Final scores, of as much of the training set as is looked at."""
        train = splits["train"]
        some = Data(x=train.x[:_MAX_TRAIN_EXAMPLES], y=train.y[:_MAX_TRAIN_EXAMPLES])
        return Final(data=data, splits={**splits, "train": some}, objective=objective, backend=backend)

    def scored(self, scores: Callable[[Data], Scores], going: Tensor) -> tuple[Metrics, Arrays]:
        """Metrics and predictions of some rows.

        Args:
            scores: evaluates a split.
            going: the rows of what it returns.
        """
        metrics: Metrics = {}
        predictions: Arrays = {}
        for name, split in self.splits.items():
            if not len(split.y):  # there is no test split
                continue
            outputs_RNK, loss_RN, accuracy_RN = scores(split)
            if name != "test":  # read once, at the end, for the runs that were chosen: not here
                loss_R, accuracy_R = loss_RN.mean(1)[going], accuracy_RN.mean(1)[going]
                metrics[f"{name}_loss"] = loss_R.cpu().numpy().astype(np.float64) * self.data.loss_unit
                if self.data.task != "regression":
                    metrics[f"{name}_accuracy"] = accuracy_R.cpu().numpy()
            if name != "train":
                predictions[name] = self._predictions(outputs_RNK[going])
        return metrics, predictions

    def elsewhere(self, points_RP: Tensor, others: Others) -> tuple[Metrics, Arrays]:
        """Metrics and predictions of weights that no program has any more.

        Args:
            points_RP: the weights.
            others: every other tensor of the model, (R, ...) by name.
        """
        num = len(points_RP)
        rows = torch.arange(num, device=points_RP.device)
        if self.objective.fused and num < fewest_runs():  # so few would share the threads in other ways
            more = rows.new_zeros(fewest_runs() - num)
            points_RP = points_RP[torch.cat([rows, more])]
            others = {name: tensor[torch.cat([rows, more])] for name, tensor in others.items()}
        points_RP = points_RP.contiguous()
        if self.backend != "native":
            return self.scored(lambda split: self.objective.scores(points_RP, others, split), rows)
        return self.scored(NativeScores(self.objective, points_RP, others), rows)

    def _predictions(self, outputs_RNK: Tensor) -> np.ndarray:
        with np.errstate(over="ignore"):  # a prediction beyond float32 is infinite, and its run is not judged
            return self.data.predictions(outputs_RNK.cpu().numpy())


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
