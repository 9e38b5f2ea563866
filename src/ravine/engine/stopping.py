"""Early stopping: which runs have waited long enough for a gain, and the weights of their best evaluations.

Shapes: S run that may stop, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.engine.cohort import Cohort
from ravine.engine.records import Arrays
from ravine.engine.state import State
from ravine.study.stop import PATIENCE, Stop

Averages = dict[int, tuple[Tensor, dict[str, Tensor]]]
"""Of an average, by row of the cohort: the averaged weights (P,), and every other tensor of the model."""


@final
class Stopping:
    """The runs of a cohort that may stop early. Rows are those of the cohort, whatever program they are in.

    A run that diverges has diverged, whatever its best weights were.

    Args:
        cohort: the runs.
        state: of all of them, for the shapes of what is kept.

    Attributes:
        stopped: rows of the runs that have stopped, and after which step.
    """

    def __init__(self, cohort: Cohort, state: State) -> None:
        patience = [run.recipe.hypers.get(PATIENCE, 0.0) for run in cohort.runs]
        self.rows = [row for row, each in enumerate(patience) if each > 0.0]
        self.stopped: dict[int, int] = {}
        self._place = {row: place for place, row in enumerate(self.rows)}
        self._patience_S = np.array([patience[row] for row in self.rows], dtype=np.int64)
        how = next((cohort.runs[row].recipe.stop or {} for row in self.rows), {})
        stop = Stop(patience=0.0, **how)
        self.metric = stop.metric
        self._sign, self._min_delta = (1.0 if stop.metric == "loss" else -1.0), stop.min_delta
        num = len(self.rows)
        self._best_S = np.full(num, np.inf)
        self._step_S, self._waited_S = np.zeros(num, dtype=np.int64), np.zeros(num, dtype=np.int64)
        self._points_SP = state.params_RP.new_zeros(num, state.params_RP.shape[1])
        self._buffers = {name: t.new_zeros(num, *t.shape[1:]) for name, t in state.buffers.items()}
        self._averages: dict[str, Averages] = {}

    def __contains__(self, row: int) -> bool:
        """Whether a run may stop, and so ends with the weights of its best evaluation."""
        return row in self._place

    def look(self, step: int, rows: Sequence[int], values: np.ndarray) -> tuple[list[int], list[int]]:
        """Judge an evaluation.

        Args:
            step: steps done.
            rows: the runs that go on.
            values: their scores, as they are stored.

        Returns:
            Rows of the runs that have gained, and of those that now stop.
        """
        gained, stopping = [], []
        for row, value in zip(rows, values, strict=True):
            place = self._place.get(row)
            if place is None:
                continue
            score = self._sign * float(value)
            if score < self._best_S[place] - self._min_delta:  # never where either is not a number
                self._best_S[place], self._step_S[place], self._waited_S[place] = score, step, 0
                gained.append(row)
                continue
            self._waited_S[place] += 1
            if self._waited_S[place] >= self._patience_S[place]:
                self.stopped[row] = step
                stopping.append(row)
        return gained, stopping

    def keep(self, rows: Sequence[int], points: Tensor, buffers: Mapping[str, Tensor]) -> None:
        """Keep the weights of some runs, those of their best evaluation so far.

        Args:
            rows: of the runs.
            points: their weights, as they would be deployed, a row each.
            buffers: likewise.
        """
        places = self._places(rows)
        self._points_SP[places] = points
        for name, tensor in buffers.items():
            self._buffers[name][places] = tensor

    def keep_average(self, name: str, row: int, point_P: Tensor, others: Mapping[str, Tensor]) -> None:
        """Keep an average of a run that stops: it comprises the steps until then."""
        self._averages.setdefault(name, {})[row] = (
            point_P.clone(),
            {k: t.clone() for k, t in others.items()},
        )

    def best(self, rows: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weights and buffers of some runs at their best evaluation, a row each."""
        places = self._places(rows)
        return self._points_SP[places], {name: tensor[places] for name, tensor in self._buffers.items()}

    def best_step(self, row: int) -> int:
        """The step of a run's best evaluation."""
        return int(self._step_S[self._place[row]])

    def averages(self, name: str) -> Averages:
        """The averages of this name of the runs that have stopped and have one."""
        return self._averages.get(name, {})

    def _places(self, rows: Sequence[int]) -> Tensor:
        places = [self._place[row] for row in rows]
        return torch.tensor(places, dtype=torch.int64, device=self._points_SP.device)

    def arrays(self) -> Arrays:
        """What a checkpoint needs of it; nothing where no run may stop."""
        if not self.rows:
            return {}
        found = {
            "stop.best": self._best_S.copy(),
            "stop.step": self._step_S.copy(),
            "stop.waited": self._waited_S.copy(),
            "stop.rows": np.array(list(self.stopped), dtype=np.int64),
            "stop.steps": np.array(list(self.stopped.values()), dtype=np.int64),
            "stop.points": _array(self._points_SP),
            **{f"stop.buffers.{name}": _array(tensor) for name, tensor in self._buffers.items()},
        }
        for name, averages in self._averages.items():
            for row, (point_P, others) in averages.items():
                begin = f"stop.averages.{row}.{name}"
                found[f"{begin}/"] = _array(point_P)
                found.update({f"{begin}/{other}": _array(tensor) for other, tensor in others.items()})
        return found

    def load(self, arrays: Arrays) -> None:
        """Take over what a checkpoint has."""
        if not self.rows:
            return
        self._best_S, self._step_S = arrays["stop.best"].copy(), arrays["stop.step"].copy()
        self._waited_S = arrays["stop.waited"].copy()
        self.stopped = dict(zip(arrays["stop.rows"].tolist(), arrays["stop.steps"].tolist(), strict=True))
        self._points_SP.copy_(torch.from_numpy(arrays["stop.points"]))
        for name, tensor in self._buffers.items():
            tensor.copy_(torch.from_numpy(arrays[f"stop.buffers.{name}"]))
        device = self._points_SP.device
        begin = "stop.averages."
        for key, array in arrays.items():
            if key.startswith(begin):
                where, _, other = key.removeprefix(begin).partition("/")
                row, _, name = where.partition(".")
                tensor = torch.tensor(array, device=device)
                averages = self._averages.setdefault(name, {})
                point_P, others = averages.get(int(row), (tensor, {}))
                averages[int(row)] = (tensor, others) if not other else (point_P, {**others, other: tensor})


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()
