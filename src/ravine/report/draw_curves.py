"""Figures ``curves`` and ``regimes``: loss and accuracy over the steps of training."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import with_article
from ravine.messages import count
from ravine.outcomes.results import Results
from ravine.report.chart import Json, accuracy_axis, curve, error, layout, line, log_axis, text, visible
from ravine.report.collect import BestCurves, best_curves
from ravine.report.palette import Look, looks, regime_look
from ravine.report.regimes import Regime, regimes
from ravine.report.trivial_mark import about, height, mark, reaching
from ravine.report.views import CROWDED, Chip, Figure, View, called, command, loss_unit, spread, trained_unit

BEYOND = 8  # what grows past so many times the other curves leaves through the top


def draw_curves(results: Results) -> Figure:
    """Training and validation curves at the lr that was chosen for each rule."""
    quantities = ("loss",) if results.is_regression else ("loss", "accuracy")
    found = {quantity: best_curves(results, quantity) for quantity in quantities}
    views = tuple(
        _best_view(results, quantity, found[quantity]) for quantity in quantities if found[quantity]
    )
    crowded = len(results.rules) > CROWDED
    caption = (
        f"Each {results.noun} is shown with the lr and the other hypers that were chosen on validation."
        f" {spread(results, crowded=crowded)} Both panels have the same vertical axis: {with_article(results.noun)}"
        " whose curve is much better on the left than on the right overfits. Training values are means over the"
        " minibatches since the previous evaluation, so they include regularizers that act during training."
    )
    caption += about(results.trivial)
    if any(each.ends for curves in found.values() for each in curves):
        caption += " A cross is where a seed stopped early; it has the weights of its best evaluation."
    return Figure(
        name="curves",
        title=f"Training at each {results.noun}'s best learning rate",
        caption=caption if views else "Nothing to draw: no chosen run has curves.",
        command=command(results, "curves"),
        views=views,
        crowded=crowded,
    )


def _best_view(results: Results, quantity: str, found: Sequence[BestCurves]) -> View:
    floor = results.error_floor if quantity == "accuracy" else None
    look = looks(results.rules)
    units = {"training": trained_unit(results), "validation": loss_unit(results)}
    metric = f"validation_{quantity}"
    axis = _shared(found, floor, height(results.trivial, metric, floor))
    panels = []
    for part in ("training", "validation"):
        data: list[Json] = []
        for each in found:
            label = f"{each.rule}, lr {each.lr:.4g}" + (f", {each.hypers}" if each.hypers else "")
            band = each.training if part == "training" else each.validation
            data += curve(each.rule, look[each.rule], band, label, floor)
            data += _early(each, part, look[each.rule], label, floor)
        panel = _over_steps(
            data,
            f"{part.capitalize()} {called(results, quantity)} ({units[part] if floor is None else '%'})",
            axis,
        )
        panels.append(mark(results.trivial, panel, metric, floor) if part == "validation" else panel)
    chips = tuple(
        Chip(key=each.rule, label=f"{each.rule}  lr {each.lr:.3g}", swatch=look[each.rule].swatch())
        for each in found
    )
    return View(label=quantity.capitalize(), panels=tuple(panels), chips=chips)


def _early(each: BestCurves, part: str, look: Look, label: str, floor: float | None) -> list[Json]:
    """A cross at the end of the curve of each seed that stopped early."""
    if not each.ends:
        return []
    hover = [
        f"<b>{text(label)}</b><br>seed {end.seed} stopped at step {end.step:,}"
        f"<br>with the weights of step {end.weights_of:,}"
        for end in each.ends
    ]
    values = [end.training if part == "training" else end.validation for end in each.ends]
    y = [value if floor is None else error(value, floor) for value in values]
    trace = line(each.rule, look, [end.step for end in each.ends], y, hover, mode="markers")
    trace["marker"] = {"symbol": "x-thin", "size": 8, "line": {"width": 1.7, "color": look.colour}}
    return [trace | {"meta": "stopped"}]


def _over_steps(data: list[Json], title: str, axis: Json) -> Json:
    return {"data": data, "layout": layout(title, "step", {"rangemode": "tozero"}, dict(axis))}


def _shared(found: Sequence[BestCurves], floor: float | None, trivial: float | None) -> Json:
    """One vertical axis for training and validation, so that the panels can be compared by eye."""
    bands = [band for each in found for band in (each.training, each.validation)]
    values = [v for band in bands for v in (*band.median, *band.low, *band.high) if v is not None]
    if floor is None:
        return log_axis(reaching(visible(values), trivial))
    return accuracy_axis(reaching([error(value, floor) for value in values], trivial))


def draw_regimes(results: Results) -> Figure:
    """Loss curves at an lr too low, right, high and too high, for one rule at a time."""
    found = {result.rule: regimes(results, result.rule) for result in results.verdict.rules}
    views = tuple(
        _regime_view(results, rule, four)
        for rule, four in found.items()
        if any(each.training is not None for each in four)
    )
    caption = (
        f"What the learning rate does to one {results.noun}'s loss; its other hypers are the chosen ones. Low is slow,"
        " good ends best on validation, high still trains but less well, too high fails."
        f" {spread(results)} A curve that explodes leaves the figure at the top."
        f"{about(results.trivial)}"
    )
    return Figure(
        name="regimes",
        title="Low, good, high, too high",
        caption=caption if views else f"Nothing to draw: no {results.noun} has a run that finished.",
        command=command(results, "regimes"),
        views=views,
        select=results.noun.capitalize(),
    )


def _regime_view(results: Results, rule: str, four: Sequence[Regime]) -> View:
    panels = []
    for part in ("training", "validation"):
        data: list[Json] = []
        tame: list[float] = []
        wild: list[float] = []
        for each in four:
            band = each.training if part == "training" else each.validation
            if band is not None and each.lr is not None:
                data += curve(each.name, regime_look(each.name), band, f"{each.name}: lr {each.lr:.4g}")
                (wild if each.name == "too high" else tame).extend(band.median)
        kept = [value for value in wild if value <= BEYOND * max(tame, default=value)]
        unit = trained_unit(results) if part == "training" else loss_unit(results)
        panel = _over_steps(data, f"{part.capitalize()} loss ({unit})", log_axis(tame + kept))
        panels.append(mark(results.trivial, panel, "validation_loss") if part == "validation" else panel)
    chips = tuple(
        Chip(key=each.name, label=f"{each.name}  lr {each.lr:.3g}", swatch=regime_look(each.name).swatch())
        for each in four
        if each.lr is not None
    )
    return View(label=rule, panels=tuple(panels), chips=chips, note=_reasons(four))


def _reasons(four: Sequence[Regime]) -> str:
    """By what each lr was picked, or why there is none, a line each."""
    parts = []
    for each in four:
        words = (
            f"{each.name} ({each.lr:.3g}): {each.why}" if each.lr is not None else f"{each.name}: {each.why}"
        )
        if each.num_diverged:
            words += f"; {each.num_diverged} of {count(each.num_seeds, 'seed')} diverged"
        parts.append(words[0].upper() + words[1:])
    return "\n".join(parts)
