"""Figure ``lr``: final loss and accuracy against the learning rate."""

from __future__ import annotations

from collections.abc import Callable

from ravine.errors import with_article
from ravine.messages import count
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
    strip,
    text,
    visible,
)
from ravine.report.collect import LrCurve, LrPoint, lr_curves
from ravine.report.palette import Look, looks
from ravine.report.trivial_mark import about, height, mark, reaching
from ravine.report.views import CROWDED, Figure, View, called, chips, command, loss_unit, spread
from ravine.verdict.words import listed


def draw_lr(results: Results) -> Figure:
    """Final loss and accuracy against lr, a curve per rule, diverged runs along the top edge."""
    views = []
    crowded = len(results.rules) > CROWDED
    for part in ("validation", "train"):
        word = "Validation" if part == "validation" else "Training"
        panels = [_lr_panel(results, f"{part}_loss", f"Final {word.lower()} loss ({loss_unit(results)})")]
        if not results.is_regression:
            panels.append(
                _lr_panel(
                    results, f"{part}_accuracy", f"Final {word.lower()} {called(results, 'accuracy')} (%)"
                )
            )
        if part == "validation" and not results.is_usual:
            judged_by = f"Final validation {results.verdict.measure.titled}"
            panels.insert(0, _lr_panel(results, results.score_metric, judged_by))
        views.append(View(label=word, panels=tuple(panels), chips=chips(results)))
    curves = lr_curves(results, "validation_loss")
    varied = dict.fromkeys(name for each in curves for name in each.others)
    caption = (
        f"The score of each {results.noun} after the last step, at each of its learning rates."
        f" {spread(results, crowded=crowded)}"
    )
    if varied:
        caption += (
            f" Where {listed(list(varied))} also varied, each lr has the setting that did best on validation."
        )
    caption += " A ring marks the lr chosen on validation."
    if results.num_diverged:
        caption += (
            " Crosses along the top edge mark lrs at which runs diverged; larger crosses mark more runs."
        )
    if not results.is_regression:
        caption += (
            " The axis of accuracy is logarithmic in the error: 98 and 99 % are as far apart as 60 and 80 %."
        )
    caption += about(results.trivial)
    caption += (
        f" A wide, flat valley forgives a wrong lr; a narrow one does not. Press {with_article(results.noun)} in the"
        " legend to see it alone, and another one to compare the two."
    )
    return Figure(
        name="lr",
        title="How much the learning rate matters",
        caption=caption,
        command=command(results, "lr"),
        views=tuple(views),
        crowded=crowded,
    )


def _lr_panel(results: Results, metric: str, title: str) -> Json:
    curves = lr_curves(results, metric)
    look = looks(results.rules)
    share = metric == results.score_metric and results.verdict.measure.percent
    floor = results.error_floor if share or metric.endswith("accuracy") else None
    data = [trace for each in curves for trace in _lr_traces(each, look[each.rule], floor)]
    points = [point for each in curves for point in each.points]
    values = [v for point in points for v in (point.median, point.low, point.high) if v is not None]
    errors = visible(values) if floor is None else [error(v, floor) for v in values]
    on_validation = metric.startswith("validation")
    shown = reaching(errors, height(results.trivial, metric, floor) if on_validation else None)
    axis = log_axis(shown) if floor is None else accuracy_axis(shown)
    panel = layout(title, "learning rate", log_axis([point.lr for point in points], pad=0.04), axis)
    broken = [each for each in curves if any(point.num_diverged for point in each.points)]
    if broken:
        strip(panel, len(broken))
        data += [_diverged(each, look[each.rule], row) for row, each in enumerate(reversed(broken))]
    made = {"data": data, "layout": panel}
    return mark(results.trivial, made, metric, floor) if on_validation else made


def _lr_traces(each: LrCurve, look: Look, floor: float | None) -> list[Json]:
    def y(value: float | None) -> float | None:
        return value if floor is None or value is None else error(value, floor)

    lrs = [point.lr for point in each.points]
    middle = [y(point.median) for point in each.points]
    hover = [_words(each.rule, point, number if floor is None else percent) for point in each.points]
    traces = []
    if any(point.num_seeds > 1 for point in each.points) and not each.scattered:
        low, high = [y(point.low) for point in each.points], [y(point.high) for point in each.points]
        traces.append(ribbon(each.rule, look, lrs, low, high))
    mode = "markers" if each.scattered else "lines+markers"
    traces.append(line(each.rule, look, lrs, middle, hover, mode=mode))
    if each.chosen_lr in lrs:
        place = lrs.index(each.chosen_lr)
        words = hover[place] + "<br>chosen on validation"
        ring = line(each.rule, look, [lrs[place]], [middle[place]], [words], mode="markers")
        rim = {"color": look.colour, "width": 1.8}
        ring["marker"] = {"symbol": "circle-open", "size": 15, "color": look.colour, "line": rim}
        traces.append(ring | {"meta": "ring"})
    return traces


def _words(rule: str, point: LrPoint, show: Callable[[float], str]) -> str:
    words = f"<b>{text(rule)}</b>, lr {point.lr:.4g}"
    if point.hypers:
        words += f"<br>{text(point.hypers)}"
    if point.median is not None and point.low is not None and point.high is not None:
        words += f"<br>{show(point.median)}"
        if point.num_seeds > 1:
            words += f" ({show(point.low)} to {show(point.high)}, {count(point.num_seeds, 'seed')})"
    if point.num_diverged:
        words += f"<br>{point.num_diverged} of {count(point.num_runs, 'run')} diverged"
    return words


def _diverged(each: LrCurve, look: Look, row: int) -> Json:
    broken = [point for point in each.points if point.num_diverged]
    hover = [
        f"<b>{text(each.rule)}</b>, lr {p.lr:.4g}<br>{p.num_diverged} of {count(p.num_runs, 'run')} diverged"
        for p in broken
    ]
    sizes = [4 + 4 * p.num_diverged / p.num_runs for p in broken]
    trace = line(each.rule, look, [p.lr for p in broken], [float(row)] * len(broken), hover, mode="markers")
    trace["marker"] = {"symbol": "x-thin", "size": sizes, "line": {"width": 1.7, "color": look.colour}}
    return trace | {"yaxis": "y2", "meta": "diverged"}
