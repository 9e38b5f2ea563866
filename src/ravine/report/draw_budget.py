"""Figure ``budget``: which rule wins, as a function of how many configs one can afford to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ravine.errors import with_article
from ravine.messages import plural
from ravine.outcomes.results import Results
from ravine.outcomes.trivial import Trivial
from ravine.report.chart import (
    Json,
    accuracy_axis,
    error,
    layout,
    line,
    log_axis,
    number,
    percent,
    ribbon,
    text,
)
from ravine.report.palette import Look, looks
from ravine.report.trivial_mark import about, height, mark, reaching
from ravine.report.views import CROWDED, Figure, View, chips_of, command, loss_unit
from ravine.study import STAGE
from ravine.verdict import BudgetCurve, Verdict
from ravine.verdict.words import listed

MANY = 24  # configs from which the axis of their number is logarithmic: the first few matter most


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What the figure is drawn of.

    Args:
        verdict: whose curves.
        rules: in the order in which they are listed.
        floor: where an error of zero is drawn, in per cent.
        score: what is expected, with its unit.
        command: what makes the figure again; empty: nothing does.
        staged: what a second stage tried is not in it.
        trivial: the predictor without inputs; None: there is none.
        metric: what of it is on the axis.
    """

    verdict: Verdict
    rules: Sequence[str]
    floor: float
    score: str
    command: str = ""
    staged: bool = False
    trivial: Trivial | None = None
    metric: str = ""


def draw_budget(results: Results) -> Figure:
    """Expected best validation score after k configs, a curve per rule."""
    squares = results.is_usual and results.is_regression
    return budget_figure(
        Budgets(
            verdict=results.verdict,
            rules=results.rules,
            floor=results.error_floor,
            score=f"loss ({loss_unit(results)})" if squares else results.verdict.measure.titled,
            command=command(results, "budget"),
            staged=any(run.hypers.get(STAGE) == "2" for run in results.runs),
            trivial=results.trivial,
            metric=results.score_metric,
        )
    )


def budget_figure(of: Budgets) -> Figure:
    """The same figure, of any verdict."""
    noun = of.verdict.noun
    several = max((len(each.k) for each in of.verdict.budget), default=0) > 1
    crowded = len(of.rules) > CROWDED
    views: tuple[View, ...] = ()
    if several:
        view = View(label="Budget", panels=(_panel(of),), chips=chips_of(of.rules), note=_leads(of.verdict))
        views = (view,)
    caption = (
        "The expected validation score of the best of k configs, drawn at random from those that were tried."
        f" A curve that is good far to the left belongs to {with_article(noun)} that needs little tuning. Where curves"
        " cross,"
        " the winner depends on how much you can tune. A run that diverged counts as the worst score of the"
        " study. Bands reach from the lowest seed to the highest"
        + (
            f"; with this many {plural(noun)}, pick some from the legend to see their bands."
            if crowded
            else "."
        )
    )
    caption += about(of.trivial)
    if of.staged:
        caption += " Only configs of stage 1 count: what stage 2 tried follows from the best of them."
    return Figure(
        name="budget",
        title="Winner against tuning budget",
        caption=caption
        if views
        else f"Nothing to draw: this figure needs {with_article(noun)} with at least two configs.",
        command=of.command,
        views=views,
        crowded=crowded,
    )


def _panel(of: Budgets) -> Json:
    look = looks(of.rules)
    curves = sorted(of.verdict.budget, key=lambda each: of.rules.index(each.rule))
    data = [trace for each in curves for trace in _traces(of, each, look[each.rule])]
    longest = max(len(each.k) for each in curves)
    x = (
        log_axis([1, longest], pad=0.03)
        if longest > MANY
        else {"dtick": max(1, round(longest / 12)), "tick0": 1}
    )
    values = [_y(of, value) for each in curves for value in each.score]
    floor = of.floor if of.verdict.measure.percent else None
    if of.trivial is not None:
        values = reaching(values, height(of.trivial, of.metric, floor))
    panel = {
        "data": data,
        "layout": layout(f"Expected best validation {of.score}", "configs tried, k", x, _axis(of, values)),
    }
    return mark(of.trivial, panel, of.metric, floor)


def _axis(of: Budgets, values: Sequence[float]) -> Json:
    """Logarithmic in the error of an accuracy, and in a loss; linear where numbers may be negative."""
    if of.verdict.measure.percent:
        return accuracy_axis(values)
    return log_axis(values) if of.verdict.measure.loss and min(values) >= 0.0 else {}


def _y(of: Budgets, score: float) -> float:
    """Where a score is drawn: a loss as it is, an accuracy by its error."""
    measure = of.verdict.measure
    return error(score, of.floor) if measure.percent else measure.readable(score)


def _traces(of: Budgets, each: BudgetCurve, look: Look) -> list[Json]:
    measure = of.verdict.measure

    def show(score: float) -> str:
        return percent(score) if measure.percent else number(measure.readable(score))

    hover = [
        f"<b>{text(each.rule)}</b>, best of {k}: {show(score)}"
        + (f"<br>{show(low)} to {show(high)} over seeds" if low != high else "")
        for k, score, low, high in zip(each.k, each.score, each.low, each.high, strict=True)
    ]
    traces = []
    if any(low != high for low, high in zip(each.low, each.high, strict=True)):
        low, high = [_y(of, v) for v in each.low], [_y(of, v) for v in each.high]
        traces.append(ribbon(each.rule, look, each.k, low, high))
    score = [_y(of, value) for value in each.score]
    traces.append(line(each.rule, look, each.k, score, hover, few_markers=len(each.k) > 12))
    return traces


def _leads(verdict: Verdict) -> str:
    """Who leads for which budgets, as one sentence."""
    parts = []
    for leader in verdict.leaders:
        span = (
            f"{leader.first_k}" if leader.first_k == leader.last_k else f"{leader.first_k} to {leader.last_k}"
        )
        beyond = "" if leader.equal_budget else f", where not every {verdict.noun} has that many"
        parts.append(f"{listed(leader.rules)} for k = {span}{beyond}")
    return f"Best expectation: {'; '.join(parts)}." if parts else ""
