"""The figure of a learning-rate range test: smoothed training loss against the learning rate, a curve per rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ravine.report.chart import Json, layout, line, log_axis, number, ribbon, text, visible
from ravine.report.palette import Look, looks
from ravine.report.views import CROWDED, Chip, Figure, View

if TYPE_CHECKING:
    from ravine.launch.lr_range import LrRange


def draw_range(findings: Sequence[LrRange], command: str) -> Figure:
    """A curve per rule with its spread over seeds; a ring where the suggestion lies.

    Args:
        findings: of the rules.
        command: what makes the figure again.
    """
    look = looks(each.rule for each in findings)
    data = [trace for each in findings for trace in _traces(each, look[each.rule])]
    low, high = float(findings[0].lr[0]), float(findings[0].lr[-1])
    shown = [value for each in findings for value in _shown(each)]
    panel = layout(
        "Training loss, smoothed",
        "learning rate",
        log_axis([low, high], pad=0.02),
        log_axis(visible(shown)),
    )
    seeds = len(findings[0].loss)
    spread = (
        f"lines are medians over {seeds} seeds, bands reach from the lowest to the highest"
        if seeds > 1
        else ""
    )
    caption = (
        "The learning rate grows by the same ratio at every step of one short training run. Where the loss falls, the "
        "rule learns; where it rises, the rule loses what it has learned. A ring marks the suggested lr: there the "
        "loss has fallen by four fifths of the way to its lowest value, and the lr is at most a tenth of the one at "
        "which the loss rises again"
        f"{'; ' + spread if spread else ''}. Curves end where the loss has exploded."
    )
    chips = tuple(Chip(key=rule, label=rule, swatch=each.swatch()) for rule, each in look.items())
    view = View(label="Training", panels=({"data": data, "layout": panel},), chips=chips)
    return Figure(
        name="lr-range",
        title="Usable learning rates",
        caption=caption,
        command=command,
        views=(view,),
        crowded=len(findings) > CROWDED,
    )


def _shown(each: LrRange) -> list[float]:
    """The median curve as far as it is worth drawing: up to twice its start, or ten times its lowest point."""
    with np.errstate(invalid="ignore"):
        middle = np.median(each.loss, axis=0)
    finite = middle[np.isfinite(middle)]
    if not len(finite):
        return []
    ceiling = max(2.0 * finite[0], 10.0 * finite.min())
    lowest = int(finite.argmin())
    over = np.flatnonzero(finite[lowest:] > ceiling)
    end = lowest + int(over[0]) + 1 if len(over) else len(finite)
    return [float(value) for value in finite[:end]]


def _traces(each: LrRange, look: Look) -> list[Json]:
    middle = _shown(each)
    lr = [float(f"{value:.5g}") for value in each.lr[: len(middle)]]
    hover = [f"<b>{text(each.rule)}</b>, lr {x:.3g}<br>{number(y)}" for x, y in zip(lr, middle, strict=True)]
    traces = []
    if len(each.loss) > 1:
        part = each.loss[:, : len(middle)]
        traces.append(ribbon(each.rule, look, lr, list(part.min(axis=0)), list(part.max(axis=0))))
    traces.append(line(each.rule, look, lr, middle, hover, few_markers=True))
    if each.suggested is not None:
        place = int(np.abs(np.log(each.lr[: len(middle)] / each.suggested)).argmin())
        ring = line(
            each.rule, look, [lr[place]], [middle[place]], [f"{hover[place]}<br>suggested"], mode="markers"
        )
        rim = {"color": look.colour, "width": 1.8}
        ring["marker"] = {"symbol": "circle-open", "size": 15, "color": look.colour, "line": rim}
        traces.append(ring | {"meta": "ring"})
    return traces
