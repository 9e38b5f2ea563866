"""What ensembles over the folds of a study came to: plain data, which prints as tables and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ravine.data.deal_folds import FoldOf
from ravine.ensembles import words
from ravine.ensembles.asked import Own, own_grid, own_json
from ravine.ensembles.cells import Cells
from ravine.ensembles.judged import Compared, Judged
from ravine.ensembles.kinds import BEST, SEEDS
from ravine.ensembles.verdict_words import between, epochs_in_words, scored_so_far
from ravine.grid import Grid
from ravine.messages import count
from ravine.metrics import Metric
from ravine.outcomes.runs import plain, plain_data
from ravine.outcomes.words import NOTHING, signed, two_digits

_MEMBERS = {
    "seeds": "the seeds of the config with the best mean on its validation part",
    "configs": "configs, each by its best seed",
    "all": "all of its runs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverFolds:
    """A kind of predictor over all folds.

    Args:
        name: for people.
        members: how many it has, the mean over folds.
        epochs: passes over a fold's training set that its members took together, the mean over folds.
        validation, test: its scores, the mean over folds.
        spread: standard deviation over folds of its scores on test; NaN of one fold.
        own: what it reaches by the study's metric, the mean over folds; None where that is what is usual.
    """

    name: str
    members: float
    epochs: float
    validation: Mapping[str, float]
    test: Mapping[str, float]
    spread: Mapping[str, float]
    own: Own | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class FoldEnsemble:
    """An ensemble in each fold of a study. `ravine.ensemble` makes one of a study with folds.

    Attributes:
        study: name of the study.
        task: "classification", "regression" or "multilabel".
        cells: how an example with several answers is seen.
        members: what they were chosen from in each fold: "seeds", "configs" or "all".
        select: how they were chosen: ``all``, ``top`` or ``greedy``.
        combine: how their predictions become one.
        folds, repeats: how many folds, and how many times they were dealt.
        kinds: the best run, the winner's seeds, each other kind as each fold chooses it, and the ensemble last.
        compared: the ensemble against the others, on test, over folds.
        chosen: the ensemble of each fold with its pool.
        num_scored: recipes that were ever scored on the test part of these data, as far as the store knows.
        left_out: what was left out, and why.
        metric: what the study is judged by, with which all were scored too; None: what is usual for its task.
    """

    study: str
    task: str
    cells: Cells
    members: str
    select: str
    combine: str
    folds: int
    repeats: int
    kinds: tuple[OverFolds, ...]
    compared: tuple[Compared, ...]
    chosen: Mapping[FoldOf, Judged]
    num_scored: int
    left_out: tuple[str, ...]
    metric: Metric | None = None

    @property
    def is_regression(self) -> bool:
        """Whether scores are errors."""
        return self.task == "regression"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it comes to, in words."""
        combined = "the mean of their predictions" if self.is_regression else words.COMBINED[self.combine]
        how = {"all": "", "top": "the best of ", "greedy": "chosen greedily among "}[self.select]
        again = f" and {count(self.repeats, 'repeat')}" if self.repeats > 1 else ""
        return (
            f"In each fold, of {self.folds} folds{again}: {how}{_MEMBERS[self.members]}; {combined}.",
            *(
                words.comparison(each, self.cells, self.metric)
                for each in self.compared
                if each.second in (BEST, SEEDS)
            ),
        )

    def grids(self) -> tuple[Grid, ...]:
        """Scores of each kind, by the study's metric too, and what they cost with the ensemble's lead over them."""
        own = () if self.metric is None else (own_grid(self.metric, self.kinds, self.compared),)
        return self._scores(), *own, self._costs()

    def _scores(self) -> Grid:
        names = ("mse", "rmse", "mae") if self.is_regression else ("nll", "brier", "ece", "accuracy")
        loss = names[0]
        titles = {"rmse": "RMSE", "mae": "MAE"} | words.SCORES | {"accuracy": self.cells.right}
        return Grid(
            title=f"{self.study}: an ensemble in each fold",
            before=self.sentences,
            columns=("", f"val {titles[loss]}", *(titles[name] for name in names)),
            rows=tuple(
                (
                    each.name,
                    words.number(each.validation[loss]),
                    *(_spread(name, each.test[name], each.spread[name]) for name in names),
                )
                for each in self.kinds
            ),
            left=("",),
            after=(
                "Means over folds; behind ± is the standard deviation over them.",
                *words.unit_note(self.cells),
                *(f"! {text}" for text in self.left_out),
            ),
        )

    def _costs(self) -> Grid:
        scores = ("mse",) if self.is_regression else ("nll", "accuracy")
        found = {(each.second, each.score): each for each in self.compared}
        rows = []
        for kind in self.kinds:
            against = [found.get((kind.name, score)) for score in scores]
            first = next((each for each in against if each is not None), None)
            rows.append(
                (
                    kind.name,
                    epochs_in_words(kind.epochs),
                    f"{kind.members:.3g}",
                    *(NOTHING if each is None else between(each) for each in against),
                    NOTHING if first is None else first.outcome,
                )
            )
        judge = words.title_of(scores[0], self.cells)
        return Grid(
            before=(f"Costs, and the ensemble's test score minus that of each (less {judge} is better):",),
            columns=(
                "",
                "epochs",
                "passes",
                *(words.title_of(score, self.cells) for score in scores),
                f"by {judge}",
            ),
            rows=tuple(rows),
            left=("", f"by {judge}"),
            after=(
                *(
                    [
                        f"note: the {count(len(self.compared), 'interval')} are of 95 % together, over training sets "
                        "and test examples; they count that the folds' training sets have most examples in common"
                    ]
                    if self.compared
                    else []
                ),
                scored_so_far(self.num_scored),
            ),
        )

    def json(self) -> dict[str, Any]:
        """As plain, finite numbers: what ``ravine ensemble --json`` prints."""
        return {
            "study": self.study,
            **({} if self.metric is None else {"metric": self.metric.name}),
            "members": self.members,
            "select": self.select,
            "combine": self.combine,
            "folds": self.folds,
            "repeats": self.repeats,
            "scores": [_kind_json(each) for each in self.kinds],
            "compared": [plain_data(asdict(each)) for each in self.compared],
            "chosen": [
                {
                    **fold.content(),
                    "id": each.pool.id,
                    "weights": dict(each.pool.weights),
                    "temperature": plain(each.temperature),
                    "validation": plain_data(dict(each.validation)),
                    "test": plain_data(dict(each.test)),
                }
                for fold, each in self.chosen.items()
            ],
            "scored": self.num_scored,
            "left_out": list(self.left_out),
            "sentences": list(self.sentences),
        }

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.grids()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())


def _kind_json(kind: OverFolds) -> dict[str, Any]:
    found: dict[str, Any] = plain_data(asdict(replace(kind, own=None)))
    del found["own"]
    return found if kind.own is None else {**found, "by_metric": own_json(kind.own)}


def _spread(name: str, value: float, spread: float) -> str:
    """A score with its spread over folds."""
    if name == "accuracy":
        return f"{100 * value:.1f} %" + (f" ± {100 * spread:.1f}" if math.isfinite(spread) else "")
    text = signed(f"{value:.3g}") if math.isfinite(value) else NOTHING
    return f"{text} ± {two_digits(spread)}" if math.isfinite(spread) else text
