"""Evaluations that a run's end depends on: its averages, the weights that early stopping keeps, and what it comes to.

Shapes: R run of the program, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.engine.averaging import Averaging
from ravine.engine.cohort import Cohort
from ravine.engine.final import Final, Metrics, together
from ravine.engine.loss import OWN_LOSS
from ravine.engine.programs import Program
from ravine.engine.records import Arrays, Averaged, Evaluation
from ravine.engine.scheduled import Scheduled
from ravine.engine.scoring import Others, Scores
from ravine.engine.setting import Setting
from ravine.engine.state import Data
from ravine.engine.stopping import Stopping
from ravine.tensors import Layout


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The program of a cohort after some steps.

    Args:
        rows: of the cohort that are in the program, in its order.
        going: places in the program of those that go on.
        setting: of the program.
        program: what evaluates them.
        scheduled: of the program.
        step: steps done.
    """

    rows: Sequence[int]
    going: Sequence[int]
    setting: Setting
    program: Program
    scheduled: Scheduled
    step: int

    def index(self, places: Sequence[int]) -> Tensor:
        """Places in the program, to take rows of tensors by."""
        return index(places, self.setting.state.params_RP)

    def weights(self, places: Sequence[int]) -> dict[str, Tensor]:
        """Parameters as they would be deployed, and buffers."""
        rows, setting = self.index(places), self.setting
        weights = setting.network.layout.views(setting.point()[rows])
        return {**weights, **rows_of(setting.state.buffers, rows)}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the runs of a cohort come to.

    Args:
        cohort: the runs.
        layout: of their parameters.
        final: their final scores.
        averaging: their averages.
        stopping: which of them may stop, and what is kept of them.
        fixed: parameters that are not trained, of all runs of the cohort.
    """

    cohort: Cohort
    layout: Layout
    final: Final
    averaging: Averaging
    stopping: Stopping
    fixed: Mapping[str, Tensor]

    def stop(self, now: Running, evaluation: Evaluation) -> None:
        """Keep the weights of the runs that have gained; those that have waited long enough stop, with their averages.

        Args:
            now: the program.
            evaluation: of the runs that go on.
        """
        stopping = self.stopping
        if not stopping.rows:
            return
        place_of = {row: place for place, row in enumerate(now.rows)}
        name = f"validation_{stopping.metric}"
        if stopping.metric == "loss" and OWN_LOSS in evaluation.scores:
            name = OWN_LOSS
        values = evaluation.scores[name]
        gained, over = stopping.look(now.step, [now.rows[place] for place in now.going], values)
        if gained:
            places = now.index([place_of[row] for row in gained])
            stopping.keep(gained, now.setting.point()[places], rows_of(now.setting.state.buffers, places))
        for name in self.averaging.names if over else ():
            begun = [place for place in self._begun(name, now) if now.rows[place] in over]
            if begun:
                points_RP = now.setting.point(name)
                others = self.averaging.others(name, now.setting, points_RP, begun, at_end=True)
                for place in begun:
                    own = {key: tensor[place] for key, tensor in others.items()}
                    stopping.keep_average(name, now.rows[place], points_RP[place], own)

    def curve(self, name: str, now: Running) -> dict[str, np.ndarray]:
        """Scores of an average on the validation set, of the runs that go on; not a number where it has no weights."""
        begun, sets = self._begun(name, now), self.final.sets
        kinds = ("loss", "accuracy") if self.final.task != "regression" else ("loss",)
        scores = {kind: np.full(len(now.rows), np.nan) for kind in kinds}
        if begun:
            points_RP = now.setting.point(name)
            others = self.averaging.others(name, now.setting, points_RP, begun, at_end=False)
            for _, validation in sets.each("validation", now.rows):  # of a cohort without folds: one
                _, *found = now.program.scores(validation, points_RP, others)
                for kind, values_RN in zip(kinds, found, strict=False):
                    scores[kind][begun] = values_RN.mean(1).cpu().numpy()[begun]
            scores["loss"] *= sets.first.loss_unit
        return {f"{name}/validation_{kind}": values[list(now.going)] for kind, values in scores.items()}

    def restorable(self, diverged: Mapping[int, int]) -> list[int]:
        """Rows of the cohort that end with the weights of their best evaluation, whether they stopped or not."""
        return [row for row in self.stopping.rows if row not in diverged]

    def runs(self, now: Running, diverged: Mapping[int, int]) -> Averaged:
        """What the runs themselves came to: with their last weights, or with those of their best evaluation."""
        places = [place for place in now.going if now.rows[place] not in self.stopping]
        ended = [now.rows[place] for place in places]
        at_end: tuple[Metrics, Arrays] = {}, {}
        if places:

            def scores(split: Data, some: Sequence[int] | None) -> Scores:
                return now.program.scores(split, rows=some)

            at_end = self.final.scored(scores, now.index(places), ended)
        fixed = rows_of(now.setting.constants.fixed, now.index(places))
        rows = self.restorable(diverged)
        points_RP, buffers = self.stopping.best(rows)
        restored = {**buffers, **rows_of(self.fixed, now.index(rows))}
        return together(
            [
                self._ended(ended, at_end, {**now.weights(places), **fixed}),
                self._elsewhere(rows, points_RP, restored),
            ]
        )

    def averaged(self, name: str, now: Running) -> Averaged:
        """What an average came to: at the end, or where a run stopped."""
        parts = []
        if begun := self._begun(name, now):
            rows, points_RP = now.index(begun), now.setting.point(name)
            others = self.averaging.others(name, now.setting, points_RP, begun, at_end=True)
            own = [now.rows[place] for place in begun]

            def scores(split: Data, some: Sequence[int] | None) -> Scores:
                return now.program.scores(split, points_RP, others, some)

            found = self.final.scored(scores, rows, own)
            weights = rows_of({**self.layout.views(points_RP), **others}, rows)
            parts.append(self._ended(own, found, weights))
        if stopped := self.stopping.averages(name):
            points_RP = torch.stack([point_P for point_P, _ in stopped.values()])
            of_runs = [others for _, others in stopped.values()]
            others = {key: torch.stack([each[key] for each in of_runs]) for key in of_runs[0]}
            parts.append(self._elsewhere(list(stopped), points_RP, others))
        return together(parts)

    def _begun(self, name: str, now: Running) -> list[int]:
        """Places of the runs that go on and whose average of this name has weights already."""
        return self.averaging.begun(name, now.scheduled, now.step, now.going)

    def _elsewhere(self, rows: list[int], points_RP: Tensor, others: Others) -> Averaged:
        """What some runs of the cohort came to with weights that the program does not have."""
        found = self.final.elsewhere(points_RP, others, rows) if rows else ({}, {})
        return self._ended(rows, found, {**self.layout.views(points_RP), **others})

    def _ended(
        self, rows: list[int], found: tuple[Metrics, Arrays], weights: Mapping[str, Tensor]
    ) -> Averaged:
        return Averaged(
            runs=tuple(self.cohort.runs[row].id for row in rows),
            metrics=found[0],
            weights=arrays_of(weights),
            predictions=found[1],
        )


def index(rows: Sequence[int], like: Tensor) -> Tensor:
    """Rows, to take rows of tensors by that are where this one is."""
    return torch.tensor(rows, dtype=torch.int64, device=like.device)


def rows_of(tensors: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Some rows of each tensor; what is the same in all of them lies in memory once, as before."""
    return {
        name: tensor[rows]
        if tensor.stride(0) or not len(rows)
        else tensor[:1].expand(len(rows), *tensor.shape[1:])
        for name, tensor in tensors.items()
    }


def arrays_of(tensors: Mapping[str, Tensor]) -> Arrays:
    """Tensors as plain arrays."""
    return {name: np.ascontiguousarray(t.detach().cpu().numpy()) for name, t in tensors.items()}
