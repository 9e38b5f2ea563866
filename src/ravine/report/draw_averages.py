"""Figure ``averages``: curves of the averages of the weights beside the run's own, on validation data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.outcomes.results import Results
from ravine.report.chart import Json, accuracy_axis, curve, error, layout, log_axis, visible
from ravine.report.collect import Band, band
from ravine.report.palette import looks
from ravine.report.trivial_mark import about, height, mark, reaching
from ravine.report.views import Chip, Figure, View, called, command, loss_unit, spread
from ravine.store import kind_of

OWN = "last weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragedCurves:
    """Validation curves of one rule's chosen config: of its weights, and of each of their averages.

    Attributes:
        rule: its label.
        lr: that was chosen.
        bands: by name of the average; the run's own under `OWN`, first.
    """

    rule: str
    lr: float
    bands: Mapping[str, Band]


def averaged_curves(results: Results, quantity: str) -> tuple[AveragedCurves, ...]:
    """Curves of ``loss`` or ``accuracy`` of each rule whose chosen config has averages."""
    metric = f"validation_{quantity}"
    found = []
    for result in results.verdict.rules:
        names = [row.average for row in results.averages if row.rule == result.rule]
        ids = [run.id for run in results.runs if run.config == result.config and run.status == "done"]
        if not names or result.lr is None:
            continue
        metrics = {OWN: metric, **{name: kind_of(name, metric) for name in names}}
        results.read_curves(list(metrics.values()), ids)
        bands = {name: band(list(results.curves(each, ids).values())) for name, each in metrics.items()}
        drawn = {name: each for name, each in bands.items() if each is not None}
        if len(drawn) > 1:  # an average that was made when the run was over has no curve
            found.append(AveragedCurves(rule=result.rule, lr=result.lr, bands=drawn))
    return tuple(found)


def draw_averages(results: Results) -> Figure:
    """Validation curves of weights and averages, for one rule at a time."""
    quantities = ("loss",) if results.is_regression else ("loss", "accuracy")
    found = [averaged_curves(results, quantity) for quantity in quantities]
    views = tuple(_view(results, quantities, of_rule) for of_rule in zip(*found, strict=True))
    caption = (
        f"The weights of each {results.noun}'s chosen config after every step, and averages of them, all on validation "
        "data."
        f" {spread(results)} An average begins where it has weights to average. Where the model has BatchNorm, its"
        " statistics along the way are estimated from 1,024 training examples, and at the end from all of them."
        f"{about(results.trivial)}"
    )
    return Figure(
        name="averages",
        title="Averages of the weights",
        caption=caption if views else "Nothing to draw: no chosen run has averages of its weights.",
        command=command(results, "averages"),
        views=views,
        select=results.noun.capitalize(),
    )


def _view(results: Results, quantities: Sequence[str], found: Sequence[AveragedCurves]) -> View:
    first = found[0]
    look = looks(first.bands)
    panels = []
    for quantity, each in zip(quantities, found, strict=True):
        floor = results.error_floor if quantity == "accuracy" else None
        data: list[Json] = []
        for name, of_average in each.bands.items():
            data += curve(name, look[name], of_average, name, floor)
        unit = loss_unit(results) if floor is None else "%"
        title = f"Validation {called(results, quantity)} ({unit})"
        metric = f"validation_{quantity}"
        axis = _axis(each, floor, height(results.trivial, metric, floor))
        panel = {"data": data, "layout": layout(title, "step", {"rangemode": "tozero"}, axis)}
        panels.append(mark(results.trivial, panel, metric, floor))
    chips = tuple(Chip(key=name, label=name, swatch=look[name].swatch()) for name in first.bands)
    return View(label=first.rule, panels=tuple(panels), chips=chips, note=f"At lr {first.lr:.3g}.")


def _axis(found: AveragedCurves, floor: float | None, trivial: float | None) -> Json:
    values = [
        v for each in found.bands.values() for v in (*each.median, *each.low, *each.high) if v is not None
    ]
    if floor is None:
        return log_axis(reaching(visible(values), trivial))
    return accuracy_axis(reaching([error(value, floor) for value in values], trivial))
