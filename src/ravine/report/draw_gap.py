"""Figure ``gap``: the generalization gap of every run against its validation score."""

from __future__ import annotations

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
    short,
    text,
    visible,
)
from ravine.report.collect import GapPoint, gaps
from ravine.report.palette import Look, looks
from ravine.report.trivial_mark import about, height, mark, reaching
from ravine.report.views import Figure, View, called, chips, command, loss_unit


def draw_gap(results: Results) -> Figure:
    """A point per run: how good it is on validation, and by how much better on what it learned from."""
    views = []
    for quantity in ("loss",) if results.is_regression else ("accuracy", "loss"):
        points = gaps(results, quantity)
        if points:
            panel = _panel(results, points, quantity)
            views.append(View(label=quantity.capitalize(), panels=(panel,), chips=chips(results)))
    caption = (
        f"Each point is a finished run; large points are the seeds of the config that was chosen for"
        f" their {results.noun}."
        " The higher a point, the larger the gap between training and validation: the run knows its training"
        " examples better than the task. A run at zero generalizes fully, but it may have learned little. The"
        f" best runs lie low and at the good end ({'left' if results.is_regression else 'right, for accuracy'})."
    )
    caption += about(results.trivial)
    if not views:
        caption = "Nothing to draw: no run has both a training and a validation score."
    return Figure(
        name="gap",
        title="Generalization gap",
        caption=caption,
        command=command(results, "gap"),
        views=tuple(views),
    )


def _panel(results: Results, points: tuple[GapPoint, ...], quantity: str) -> Json:
    look = looks(results.rules)
    data = [
        _cloud(results, look[rule], [point for point in points if point.rule == rule], quantity)
        for rule in results.rules
        if any(point.rule == rule for point in points)
    ]
    zero = {"zeroline": True, "zerolinecolor": "#9aa3ab", "zerolinewidth": 1}
    if quantity == "accuracy":
        floor = results.error_floor
        errors = [error(point.validation, floor) for point in points]
        x = accuracy_axis(reaching(errors, height(results.trivial, "validation_accuracy", floor)), pad=0.03)
        title = f"Training − validation {called(results, quantity)} (percentage points)"
        panel = {
            "data": data,
            "layout": layout(title, f"validation {called(results, quantity)} (%)", x, zero),
        }
        return mark(results.trivial, panel, "validation_accuracy", floor, along="x")
    shown = visible([point.validation for point in points])
    kept = [point.gap for point in points if point.validation <= max(shown)]
    room = 0.06 * (max(kept) - min(kept)) or 0.1
    span = {"range": [short(min(kept) - room), short(max(kept) + room)]}
    title = f"Validation − training loss ({loss_unit(results)})"
    x = log_axis(reaching(shown, height(results.trivial, "validation_loss")), pad=0.03)
    panel = {"data": data, "layout": layout(title, "validation loss", x, zero | span)}
    return mark(results.trivial, panel, "validation_loss", along="x")


def _cloud(results: Results, look: Look, points: list[GapPoint], quantity: str) -> Json:
    accuracy = quantity == "accuracy"
    rule = points[0].rule
    show = percent if accuracy else number
    hover = []
    for point in points:
        words = f"<b>{text(rule)}</b>, lr {point.lr:.4g}, seed {point.seed}"
        if point.hypers:
            words += f"<br>{text(point.hypers)}"
        words += f"<br>training {show(point.training)}, validation {show(point.validation)}"
        hover.append(words + f"<br>run {text(point.run)}" + ("<br>chosen config" if point.chosen else ""))
    trace = line(
        rule,
        look,
        [error(p.validation, results.error_floor) if accuracy else p.validation for p in points],
        [100 * p.gap if accuracy else p.gap for p in points],
        hover,
        mode="markers",
        sizes=[11 if point.chosen else 5.5 for point in points],
    )
    trace["marker"]["opacity"] = [0.95 if point.chosen else 0.55 for point in points]
    if not look.symbol.endswith("-open"):  # a white rim keeps overlapping points apart
        trace["marker"]["line"] = {"color": "#fff", "width": 0.6}
    return trace
