"""What an ensemble came to: plain data, which prints as tables and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import words
from ravine.ensembles.asked import own_grid, own_json
from ravine.ensembles.cells import Cells
from ravine.ensembles.gain import Forecast, Gain
from ravine.ensembles.judged import Compared, Judged
from ravine.ensembles.kinds import BEST, SEEDS
from ravine.ensembles.pool import Pool
from ravine.ensembles.rival import NAME, Rival
from ravine.ensembles.selection import Optimism
from ravine.ensembles.verdict_words import verdict_grid
from ravine.messages import count
from ravine.metrics import Metric
from ravine.outcomes.member import Member
from ravine.outcomes.runs import plain, plain_data

if TYPE_CHECKING:
    from ravine.grid import Grid

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a temperature does, fitted after pooling.

    Args:
        split: ``validation``, where each fold has the temperature that the others fit, or ``test``.
        before, after: NLL, Brier score and calibration error, by name.
    """

    split: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Ensemble:
    """Finished runs as one predictor. `ravine.ensemble` makes one.

    Attributes:
        study: name of the study.
        task: "classification", "regression" or "multilabel".
        cells: how an example with several answers is seen.
        noun, text: what its members were chosen from, for people.
        select: how they were chosen: ``all``, ``top`` or ``greedy``.
        pool: names of the members, their weights, and how they are combined.
        members: the members of the pool, sorted by id.
        solo: the validation NLL of each alone, or its squared error.
        num_candidates: how many members there were to choose from.
        judged: the best run, the winner's seeds, each other kind as validation chooses it, and the ensemble last.
        rival: one run as long as all members together; None if it was not asked for.
        num_scored: recipes that were ever scored on the test part of these data, as far as the store knows.
        compared: the ensemble against the others, on test.
        optimism: how much better the choice looks on the examples that it was made with; None where none was made.
        curve: the gain against the number of members, on validation, with equal weights.
        forecast: what more seeds would bring; None where the members are not seeds of one config.
        disagreement: on validation, (M, M): the share of examples on which two members choose other classes; of a
            regression the root of the mean squared difference.
        calibration: before and after the temperature.
        left_out: what was left out, and why.
        metric: what the study is judged by, with which all were scored too; None: what is usual for its task.
    """

    study: str
    task: str
    cells: Cells
    noun: str
    text: str
    select: str
    pool: Pool
    members: tuple[Member, ...]
    solo: tuple[float, ...]
    num_candidates: int
    judged: tuple[Judged, ...]
    rival: Rival | None
    num_scored: int
    compared: tuple[Compared, ...]
    optimism: Optimism | None
    curve: tuple[Gain, ...]
    forecast: Forecast | None
    disagreement: Array
    calibration: tuple[Calibration, ...]
    left_out: tuple[str, ...]
    metric: Metric | None = None

    @property
    def id(self) -> str:
        """A hash of the members, their weights and how they are combined."""
        return self.pool.id

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each member, by its name."""
        return dict(self.pool.weights)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it comes to, in words."""
        regression, number = self.task == "regression", len(self.members)
        combined = "the mean of their predictions" if regression else words.COMBINED[self.pool.combine]
        chosen = "" if number == self.num_candidates else f"{number} of "
        given = f"{chosen}{count(self.num_candidates, self.noun)}{self.text}"
        return (
            f"{given}: {combined}." if number > 1 else f"{given}: one member is its own pool.",
            *(
                words.comparison(each, self.cells, self.metric)
                for each in self.compared
                if each.second in (BEST, SEEDS, NAME)
            ),
            *([] if self.optimism is None else [words.optimism(self.optimism, self._loss)]),
            *([words.apart(self.disagreement, self.cells)] if len(self.disagreement) > 1 else []),
            *([] if self.forecast is None else [words.forecast(self.forecast)]),
        )

    def grids(self) -> tuple[Grid, ...]:
        """Scores, members, gain and disagreement as tables; what there is nothing of is left out."""
        after = [f"! {text}" for text in self.left_out]
        title = f"{self.study}: ensemble {self.id}"
        few = 1 < len(self.disagreement) <= words.MOST_IN_MATRIX
        parts = (
            words.scores_grid(title, self.sentences, self.judged, self.rival, after, self.cells),
            None if self.metric is None else own_grid(self.metric, self._kinds, self.compared),
            words.members_grid(self.members, self.pool.weights, self.solo, self._loss),
            words.curve_grid(self.curve, self.cells) if len(self.curve) > 1 else None,
            words.matrix_grid(self.members, self.disagreement, self.cells) if few else None,
            words.calibration_grid(self.judged[-1].temperature, self.calibration)
            if self.calibration
            else None,
            verdict_grid(self.judged, self.rival, self.compared, self.num_scored, self.cells),
        )
        return tuple(part for part in parts if part is not None)

    @property
    def _kinds(self) -> list[Judged | Rival]:
        """All that were scored, the ensemble last."""
        return [*self.judged[:-1], *([] if self.rival is None else [self.rival]), self.judged[-1]]

    @property
    def _loss(self) -> str:
        return "MSE" if self.task == "regression" else "NLL"

    def json(self) -> dict[str, Any]:
        """As plain, finite numbers: what ``ravine ensemble --json`` prints."""
        return {
            "study": self.study,
            **({} if self.metric is None else {"metric": self.metric.name}),
            "id": self.id,
            "combine": self.pool.combine,
            "select": self.select,
            "candidates": self.num_candidates,
            "members": [
                {
                    "member": each.name,
                    "rule": each.rule,
                    "hypers": {name: plain(value) for name, value in each.hypers.items()},
                    "seed": each.seed,
                    "weight": self.pool.weights[each.name],
                    "validation": plain(solo),
                }
                for each, solo in zip(self.members, self.solo, strict=True)
            ],
            "scores": [_judged_json(each) for each in self.judged],
            "rival": None if self.rival is None else _rival_json(self.rival),
            "scored": self.num_scored,
            "compared": [plain_data(asdict(each)) for each in self.compared],
            "optimism": None if self.optimism is None else plain_data(asdict(self.optimism)),
            "curve": [plain_data(asdict(each)) for each in self.curve],
            "forecast": None if self.forecast is None else plain_data(asdict(self.forecast)),
            "disagreement": plain_data(self.disagreement),
            "calibration": [plain_data(asdict(each)) for each in self.calibration],
            "left_out": list(self.left_out),
            "sentences": list(self.sentences),
        }

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.grids()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())


def _judged_json(each: Judged) -> dict[str, Any]:
    return {
        "name": each.name,
        "id": each.pool.id,
        "members": len(each.pool.weights),
        "epochs": plain(each.epochs),
        "temperature": each.temperature,
        "validation": plain_data(dict(each.validation)),
        "test": plain_data(dict(each.test)),
        **({} if each.own is None else {"by_metric": own_json(each.own)}),
    }


def _rival_json(rival: Rival) -> dict[str, Any]:
    return {
        "name": rival.name,
        "times": rival.times,
        "epochs": plain(rival.epochs),
        "members": 1,
        "validation": plain_data(rival.validation),
        "test": plain_data(rival.test),
        **({} if rival.own is None else {"by_metric": own_json(rival.own)}),
        "ranges": {name: plain_data(rival.range(name)) for name in rival.test},
        "seeds": [_judged_json(each) for each in rival.seeds],
    }
