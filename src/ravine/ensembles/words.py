"""An ensemble in words and tables, for terminal and notebook alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.asked import own_sentence
from ravine.ensembles.cells import Cells
from ravine.ensembles.disagreement import mean_of_pairs
from ravine.ensembles.gain import Forecast, Gain, Value
from ravine.ensembles.judged import Compared, Judged
from ravine.ensembles.rival import Rival
from ravine.ensembles.selection import Optimism
from ravine.grid import Grid
from ravine.metrics import Metric
from ravine.outcomes.member import Member
from ravine.outcomes.runs import describe
from ravine.outcomes.words import NOTHING

COMBINED = {
    "mean": "the mean of their probabilities",
    "logits": "the mean of their logits",
    "vote": "a vote",
}
SCORES = {"accuracy": "accuracy", "nll": "NLL", "mse": "MSE", "brier": "Brier", "ece": "ECE"}
MOST_IN_MATRIX = 6  # members: a terminal has room for so many
_MOST_MEMBERS = 20  # rows
_LONG = 8  # letters of a member's name: those of a run at its end have so many


class Heated(Protocol):
    """What a temperature does to a split."""

    @property
    def split(self) -> str:
        """Its name."""
        ...

    @property
    def before(self) -> Mapping[str, float]:
        """Scores."""
        ...

    @property
    def after(self) -> Mapping[str, float]:
        """Scores."""
        ...


def title_of(score: str, cells: Cells) -> str:
    """What a score is called."""
    return cells.right if score == "accuracy" else SCORES[score]


def comparison(each: Compared, cells: Cells, metric: Metric | None = None) -> str:
    """The ensemble against one of the others, by one score, which may be the study's metric."""
    if metric is not None and each.score == metric.column:
        return own_sentence(metric, each)
    low, high = each.interval
    if each.score == "accuracy":
        points = [f"{round(100 * value, 2) + 0.0:+.2f}" for value in (each.difference, low, high)]
        amount, bounds = f"{points[0]} points of test {cells.right}", " to ".join(points[1:])
    else:
        amount = f"{each.difference:+.3g} in test {SCORES[each.score]}"
        bounds = f"{low:+.3g} to {high:+.3g}"
    return f"Against the {each.second}: {amount} ({bounds}), {each.outcome}.".replace("-", "−")


def optimism(found: Optimism, loss: str) -> str:
    """How much better a choice looks than it is."""
    return (
        f"The members were chosen on validation, where the ensemble has {loss} {number(found.inside)}; chosen without "
        f"each of five folds in turn, it has {number(found.outside)} on them: an optimism of {number(found.gap)}."
    )


def apart(matrix: NDArray[np.float64], cells: Cells) -> str:
    """How much members differ."""
    mean = mean_of_pairs(matrix)
    if cells.regression:
        unit = f" of {cells.error_unit}" if cells.error_unit else ""
        return (
            f"Two members' predictions differ by {number(mean)}{unit} on validation (root mean square, mean over"
            " pairs)."
        )
    if cells.labels:
        return f"Two members differ on {100 * mean:.1f} % of the labels of validation examples (mean over pairs)."
    return f"Two members choose other classes for {100 * mean:.1f} % of the validation examples (mean over pairs)."


def forecast(found: Forecast) -> str:
    """What more seeds would bring."""
    score = "Brier score" if found.score == "brier" else "MSE"
    twice, limit = (f"{number(each.value)} ({_ends(each, False)})" for each in (found.twice, found.limit))
    return (
        f"If further seeds are like these, {2 * found.members} of them would lower the validation {score} from "
        f"{number(found.now)} to {twice.replace(f' ({NOTHING})', '')}, and any number to no less than "
        f"{limit.replace(f' ({NOTHING})', '')}."
    )


def scores_grid(
    title: str,
    before: Sequence[str],
    judged: Sequence[Judged],
    rival: Rival | None,
    after: Sequence[str],
    cells: Cells,
) -> Grid:
    """A row for each predictor that was scored on test, the ensemble last."""
    rows = [
        _scores(
            each.name, len(each.pool.weights), f"{each.temperature:.3g}", each, regression=cells.regression
        )
        for each in judged
    ]
    if rival is not None:
        rows.insert(-1, _scores(rival.name, 1, NOTHING, rival, regression=cells.regression))
    columns = ("", "members", "val MSE", "test MSE", "test RMSE", "test MAE")
    if not cells.regression:
        columns = ("", "members", "T", "val NLL", "test NLL", "Brier", "ECE", cells.right)  # type: ignore[assignment]
    after = [*after, *unit_note(cells)]
    return Grid(
        title=title, before=tuple(before), columns=columns, rows=tuple(rows), left=("",), after=tuple(after)
    )


def unit_note(cells: Cells) -> list[str]:
    """What errors of several targets are measured in; [] of one, whose own unit goes without saying."""
    return [f"note: errors are in units of {cells.error_unit} in training"] if cells.error_unit else []


def _scores(name: str, members: int, heat: str, each: Judged | Rival, *, regression: bool) -> tuple[str, ...]:
    if regression:
        errors = (number(each.test[score]) for score in ("mse", "rmse", "mae"))
        return (name, str(members), number(each.validation["mse"]), *errors)
    return (
        name,
        str(members),
        heat,
        number(each.validation["nll"]),
        *(number(each.test[score]) for score in ("nll", "brier", "ece")),
        f"{100 * each.test['accuracy']:.2f} %",
    )


def members_grid(
    members: Sequence[Member], weights: Mapping[str, float], solo: Sequence[float], loss: str
) -> Grid:
    """A row per member, the heaviest first."""
    order = sorted(range(len(members)), key=lambda i: (-weights[members[i].name], i))
    names = dict.fromkeys(name for each in members for name in each.hypers if name != "lr")
    more = [name for name in names if len({each.hypers.get(name) for each in members}) > 1]
    rows = [
        (
            members[i].short,
            ", ".join(filter(None, (members[i].rule, describe(members[i].hypers, more)))),
            describe(members[i].hypers, ["lr"]).removeprefix("lr "),
            str(members[i].seed),
            f"{weights[members[i].name]:.3f}",
            number(solo[i]),
        )
        for i in order[:_MOST_MEMBERS]
    ]
    left = len(order) - len(rows)
    return Grid(
        columns=("member", "rule", "lr", "seed", "weight", f"val {loss}"),
        rows=tuple(rows),
        left=("member", "rule"),
        after=(f"and {left:,} more",) if left else (),
    )


def curve_grid(curve: Sequence[Gain], cells: Cells) -> Grid:
    """The gain against the number of members."""
    # Two scores are as many as a terminal has room for.
    names = [name for name in curve[0].scores if name != "brier"]
    rows = []
    for each in curve:
        row = [f"{each.members:,}"]
        for name in names:
            value, percent = each.scores[name], name == "accuracy"
            shown = f"{100 * value.value:.2f} %" if percent else number(value.value)
            row += [shown, _ends(value, percent)]
        known = [value.covers for value in each.scores.values() if value.interval is not None]
        rows.append((*row, known[0] if known else NOTHING))
    return Grid(
        before=(
            "Gain of the mean of so many members on validation (all subsets, equal weights), with 95 % intervals:",
        ),
        columns=(
            "members",
            *(title for name in names for title in (title_of(name, cells), "from, to")),
            "covers",
        ),
        rows=tuple(rows),
        left=("covers",),
    )


def matrix_grid(members: Sequence[Member], matrix: NDArray[np.float64], cells: Cells) -> Grid:
    """Disagreement of each two members."""
    names = columns = [each.short for each in members]
    if max(map(len, names)) > _LONG:  # as columns they would not fit into a terminal
        columns = [str(place) for place, _ in enumerate(names, 1)]
        names = [f"{place}: {name}" for place, name in enumerate(names, 1)]
    words = "Per cent of the validation examples for which two members choose other classes:"
    if cells.labels:
        words = "Per cent of the labels of validation examples on which two members differ:"
    elif cells.regression:
        unit = f", in units of {cells.error_unit}" if cells.error_unit else ""
        words = f"Root mean square of two members' differences on validation{unit}:"
    return Grid(
        before=(words,),
        columns=("", *columns),
        rows=tuple(
            (name, *(number(value) if cells.regression else f"{100 * value:.1f}" for value in row))
            for name, row in zip(names, matrix, strict=True)
        ),
        left=("",),
    )


def calibration_grid(temperature: float, found: Sequence[Heated]) -> Grid:
    """What the temperature does."""
    rows = []
    for each in found:
        where = "validation, by folds" if each.split == "validation" else each.split
        for name, scores in ((f"{where}, before", each.before), (f"{where}, after", each.after)):
            rows.append((name, *(number(scores[score]) for score in ("nll", "brier", "ece"))))
    return Grid(
        before=(f"Temperature T = {temperature:.3g}, fitted on validation after pooling:",),
        columns=("", "NLL", "Brier", "ECE"),
        rows=tuple(rows),
        left=("",),
    )


def number(value: float) -> str:
    """With four digits; a dash for what is no number."""
    return f"{value:.4g}".replace("-", "−") if math.isfinite(value) else NOTHING


def _ends(value: Value, percent: bool) -> str:
    if value.interval is None:
        return NOTHING
    low, high = value.interval
    return f"{100 * low:.2f} to {100 * high:.2f}" if percent else f"{number(low)} to {number(high)}"
