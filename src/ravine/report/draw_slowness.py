"""Figure ``slowness``: what the masks of a stochastic layer do to gradients, and how long training takes, by rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.landscapes.slowness import END, START, Slowness
from ravine.messages import count
from ravine.report.chart import Json, layout, line, log_axis, number, percent, text, visible
from ravine.report.palette import Look, looks
from ravine.report.views import Chip, Figure, View

WORDS = {START: "at the initial weights", END: "where the lowest rate ends"}
STEPS = "steps"
SAMPLING = {START: "other minibatches, initial weights", END: "other minibatches, at that end"}


def draw_slowness(found: Slowness, command: str) -> Figure:
    """Share of units with a gradient, noise of the gradient, and steps to a loss, each against the rate."""
    chosen = found.chosen
    name = chosen.hyper.removeprefix("model.")
    look = looks([*WORDS.values(), *SAMPLING.values(), STEPS])
    view = View(
        label=chosen.rule,
        panels=(_units(found, name, look), _noise(found, name, look), _steps(found, name, look)),
        chips=tuple(
            Chip(key=key, label=key, swatch=each.swatch()) for key, each in look.items() if key != STEPS
        ),
    )
    return Figure(
        name="slowness",
        title=f"Why training takes longer with {name}",
        caption=(
            "First the share of hidden units that get a gradient from an example. Then the variance of a minibatch's "
            f"gradient over {count(found.draws, 'draw')} of the masks, divided by the squared length of its mean; "
            "level lines are the same over minibatches without any masks. Both are taken at weights that are the same "
            f"for all rates, and are means over {count(len(chosen.rates[0].records), 'seed')}. Last the steps to a "
            f"validation loss of {chosen.loss:.3g}, at each rate's fastest config; a mark for each seed, the line "
            "through the median."
        ),
        command=command,
        views=(view,),
        table=found.grid(),
    )


def _units(found: Slowness, name: str, look: dict[str, Look]) -> Json:
    rates = [each.rate for each in found.chosen.rates]
    data: list[Json] = []
    for point, label in WORDS.items():
        values = [100 * found.mean("share", point, rate) for rate in rates]
        hover = [
            f"<b>{text(label)}</b><br>{name} {rate:g}: {percent(value / 100)}"
            for rate, value in zip(rates, values, strict=True)
        ]
        data.append(line(label, look[label], rates, values, hover))
    return _panel(found, data, "Hidden units with a gradient (%)", {"rangemode": "tozero"})


def _noise(found: Slowness, name: str, look: dict[str, Look]) -> Json:
    rates = [each.rate for each in found.chosen.rates]
    data, every = [], []
    for point, label in WORDS.items():
        values = [found.mean("noise", point, rate) for rate in rates]
        data.append(_curve(label, look[label], rates, values, name))
        level = found.mean("sampling", point, rates[0])
        others = SAMPLING[point]
        data.append(_curve(others, look[others], (rates[0], rates[-1]), (level, level), name))
        every += [*values, level]
    shown = [value for value in every if 0.0 < value < math.inf]
    return _panel(found, data, "Variance of the gradient by its squared mean", log_axis(visible(shown)))


def _steps(found: Slowness, name: str, look: dict[str, Look]) -> Json:
    rates = found.chosen.rates
    dots = [
        (each.rate, step, each.records[i].seed)
        for each in rates
        for i, step in enumerate(each.steps)
        if step is not None
    ]
    hover = [f"{name} {rate:g}, seed {seed}: step {step:,}" for rate, step, seed in dots]
    points = line(
        STEPS, look[STEPS], [dot[0] for dot in dots], [dot[1] for dot in dots], hover, mode="markers"
    )
    there = [each for each in rates if math.isfinite(each.typical)]
    through = _curve(
        STEPS, look[STEPS], [each.rate for each in there], [each.typical for each in there], name
    )
    title = f"Steps to a validation loss of {found.chosen.loss:.3g}"
    return _panel(found, [through, points], title, {"rangemode": "tozero"})


def _curve(label: str, look: Look, rates: Sequence[float], values: Sequence[float], name: str) -> Json:
    finite = [(rate, value) for rate, value in zip(rates, values, strict=True) if 0.0 < value < math.inf]
    hover = [f"<b>{text(label)}</b><br>{name} {rate:g}: {number(value)}" for rate, value in finite]
    return line(label, look, [rate for rate, _ in finite], [value for _, value in finite], hover)


def _panel(found: Slowness, data: list[Json], title: str, y: Json) -> Json:
    rates = [each.rate for each in found.chosen.rates]
    room = 0.03 * (max(rates) - min(rates))  # for the marks at both ends
    x = {"range": [min(rates) - room, max(rates) + room], "zeroline": False}
    return {"data": data, "layout": layout(title, found.chosen.hyper.removeprefix("model."), x, y)}
