"""Figure ``budget``: which rule wins, as a function of how many configs one can afford to try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.outcomes.results import Results
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
from ravine.report.views import CROWDED, Figure, View, chips, command, loss_unit
from ravine.study import STAGE
from ravine.verdict.words import listed

if TYPE_CHECKING:
    from ravine.verdict import BudgetCurve

MANY = 24  # configs from which the axis of their number is logarithmic: the first few matter most


def draw_budget(results: Results) -> Figure:
    """Expected best validation score after k configs, a curve per rule."""
    curves = results.verdict.budget
    several = max((len(each.k) for each in curves), default=0) > 1
    crowded = len(results.rules) > CROWDED
    views: tuple[View, ...] = ()
    if several:
        view = View(label="Budget", panels=(_panel(results),), chips=chips(results), note=_leads(results))
        views = (view,)
    caption = (
        "The expected validation score of the best of k configs, drawn at random from those that were tried."
        f" A curve that is good far to the left belongs to a {results.noun} that needs little tuning. Where curves"
        " cross,"
        " the winner depends on how much you can tune. A run that diverged counts as the worst score of the"
        " study. Bands reach from the lowest seed to the highest"
        + (
            f"; with this many {results.noun}s, pick some from the legend to see their bands."
            if crowded
            else "."
        )
    )
    if any(run.hypers.get(STAGE) == "2" for run in results.runs):
        caption += " Only configs of stage 1 count: what stage 2 tried follows from the best of them."
    return Figure(
        name="budget",
        title="Winner against tuning budget",
        caption=caption
        if views
        else f"Nothing to draw: this figure needs a {results.noun} with at least two configs.",
        command=command(results, "budget"),
        views=views,
        crowded=crowded,
    )


def _panel(results: Results) -> Json:
    look = looks(results.rules)
    curves = sorted(results.verdict.budget, key=lambda each: results.rules.index(each.rule))
    data = [trace for each in curves for trace in _traces(results, each, look[each.rule])]
    longest = max(len(each.k) for each in curves)
    x = (
        log_axis([1, longest], pad=0.03)
        if longest > MANY
        else {"dtick": max(1, round(longest / 12)), "tick0": 1}
    )
    values = [_y(results, value) for each in curves for value in each.score]
    if results.is_regression:
        title, axis = f"Expected best validation loss ({loss_unit(results)})", log_axis(values)
    else:
        title, axis = "Expected best validation accuracy (%)", accuracy_axis(values)
    return {"data": data, "layout": layout(title, "configs tried, k", x, axis)}


def _y(results: Results, score: float) -> float:
    """Where a score is drawn: a loss as it is, an accuracy by its error."""
    return -score if results.is_regression else error(score, results.error_floor)


def _traces(results: Results, each: BudgetCurve, look: Look) -> list[Json]:
    def show(score: float) -> str:
        return number(-score) if results.is_regression else percent(score)

    hover = [
        f"<b>{text(each.rule)}</b>, best of {k}: {show(score)}"
        + (f"<br>{show(low)} to {show(high)} over seeds" if low != high else "")
        for k, score, low, high in zip(each.k, each.score, each.low, each.high, strict=True)
    ]
    traces = []
    if any(low != high for low, high in zip(each.low, each.high, strict=True)):
        low, high = [_y(results, v) for v in each.low], [_y(results, v) for v in each.high]
        traces.append(ribbon(each.rule, look, each.k, low, high))
    score = [_y(results, value) for value in each.score]
    traces.append(line(each.rule, look, each.k, score, hover, few_markers=len(each.k) > 12))
    return traces


def _leads(results: Results) -> str:
    """Who leads for which budgets, as one sentence."""
    parts = []
    for leader in results.verdict.leaders:
        span = (
            f"{leader.first_k}" if leader.first_k == leader.last_k else f"{leader.first_k} to {leader.last_k}"
        )
        beyond = "" if leader.equal_budget else ", where not every rule has that many"
        parts.append(f"{listed(leader.rules)} for k = {span}{beyond}")
    return f"Highest expectation: {'; '.join(parts)}." if parts else ""
