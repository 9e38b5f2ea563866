"""Figure ``averaging-length``: validation scores of averages against their length, made when the runs were over."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.messages import count
from ravine.outcomes.lengths import How, Lengths, Spread, lengths
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
    visible,
)
from ravine.report.palette import Look, looks
from ravine.report.trivial_mark import about, height, mark, reaching
from ravine.report.views import Chip, Figure, View, command, loss_unit

OWN = "last weights"
_WITH = {
    "again": "BatchNorm's statistics estimated again",
    "last": "BatchNorm's statistics of the last weights",
}


def draw_lengths(results: Results) -> Figure:
    """Scores of averages by their relative width, for one rule at a time."""
    quantities = ("loss",) if results.is_regression else ("accuracy", "loss")
    found = [lengths(results, f"validation_{quantity}") for quantity in quantities]
    views = tuple(_view(results, of_rule) for of_rule in zip(*found, strict=True))
    words = command(results).split()
    made = " ".join(["ravine", "average", *words[2:], "--lengths"])
    caption = (
        f"Power averages of the weights of each {results.noun}'s chosen config, made out of what the runs stored along "
        "their way, "
        "against their relative width: the standard deviation of the steps that count, as a part of the run. The "
        "rightmost is the mean of all steps. Lines are means over seeds, bands reach from the lowest seed to the "
        f"highest. Scores are on validation data, as {made} stored them."
        f"{about(results.trivial)}"
    )
    return Figure(
        name="averaging-length",
        title="Score against averaging length",
        caption=caption
        if views
        else f"Nothing to draw: no scores are stored. For runs with a bank, {made} stores them.",
        command=command(results, "averaging-length"),
        views=views,
        select=results.noun.capitalize(),
    )


def _view(results: Results, found: Sequence[Lengths]) -> View:
    first = found[0]
    labels = _labels(first)
    look = looks([OWN, *labels.values()])
    panels = tuple(_panel(results, each, labels, look) for each in found)
    chips = tuple(Chip(key=name, label=name, swatch=each.swatch()) for name, each in look.items())
    note = f"At lr {first.lr:.3g}, {count(first.num_seeds, 'seed')}."
    return View(label=first.rule, panels=panels, chips=chips, note=note)


def _labels(found: Lengths) -> dict[How, str]:
    """What each line is called; without BatchNorm there is one."""
    return {how: _WITH[how] for how in found.scores} if len(found.scores) > 1 else {"again": "averages"}


def _panel(results: Results, found: Lengths, labels: dict[How, str], look: dict[str, Look]) -> Json:
    accuracy = found.quantity.endswith("accuracy")
    floor = results.error_floor if accuracy else None
    ends = (found.widths[0], found.widths[-1])
    data = _traces(OWN, look[OWN], ends, [found.own, found.own], found.num_seeds, floor, level=True)
    for how, label in labels.items():
        data += _traces(label, look[label], found.widths, found.scores[how], found.num_seeds, floor)
    values = [
        _y(value, floor)
        for spread in (found.own, *(each for spreads in found.scores.values() for each in spreads))
        for value in (spread.mean, spread.low, spread.high)
    ]
    unit = "%" if accuracy else loss_unit(results)
    title = f"Validation {'accuracy' if accuracy else 'loss'} ({unit})"
    shown = reaching(values if accuracy else visible(values), height(results.trivial, found.quantity, floor))
    y = accuracy_axis(shown) if accuracy else log_axis(shown)
    panel = {"data": data, "layout": layout(title, "relative width", log_axis(found.widths, pad=0.03), y)}
    return mark(results.trivial, panel, found.quantity, floor)


def _traces(
    label: str,
    look: Look,
    widths: Sequence[float],
    spreads: Sequence[Spread],
    num_seeds: int,
    floor: float | None,
    *,
    level: bool = False,
) -> list[Json]:
    show = number if floor is None else percent
    hover = []
    for width, spread in zip(widths, spreads, strict=True):
        words = f"<b>{text(label)}</b><br>" + ("" if level else f"width {width:.3g}: ") + show(spread.mean)
        if num_seeds > 1:
            words += f"<br>{show(spread.low)} to {show(spread.high)} over {count(num_seeds, 'seed')}"
        hover.append(words)
    traces = []
    if num_seeds > 1 and not level:
        low, high = [_y(s.low, floor) for s in spreads], [_y(s.high, floor) for s in spreads]
        traces.append(ribbon(label, look, widths, low, high))
    means = [_y(spread.mean, floor) for spread in spreads]
    traces.append(line(label, look, widths, means, hover))
    return traces


def _y(value: float, floor: float | None) -> float:
    """Where a score is drawn: a loss as it is, an accuracy by its error."""
    return value if floor is None else error(value, floor)
