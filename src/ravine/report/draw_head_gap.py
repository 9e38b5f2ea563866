"""Figure ``head-gap``: how far each trained head is from the best head that there is."""

from __future__ import annotations

import math

import numpy as np

from ravine.errors import with_article
from ravine.outcomes.results import Results
from ravine.outcomes.runs import OBJECTIVE, OPTIMUM, final, lr_of
from ravine.report.chart import Json, layout, line, log_axis, number, text
from ravine.report.palette import Look, looks
from ravine.report.views import Figure, View, chips, command
from ravine.store import RunRecord

LEAST = 1e-9
"""Below, a gap is drawn here: the optimum is not known better."""


def head_gaps(results: Results) -> dict[str, dict[float, list[tuple[RunRecord, float]]]]:
    """The runs whose gap was measured, with it: by rule, and by learning rate, rising."""
    found: dict[str, dict[float, list[tuple[RunRecord, float]]]] = {}
    for run in sorted(results.runs, key=lr_of):
        loss, least = final(run, OBJECTIVE), final(run, OPTIMUM)
        if loss is not None and least is not None and math.isfinite(loss - least):
            found.setdefault(run.rule, {}).setdefault(lr_of(run), []).append((run, max(loss - least, LEAST)))
    return found


def draw_head_gap(results: Results) -> Figure:
    """A point per run, a line per rule through the medians: training loss minus its minimum, against lr."""
    found = head_gaps(results)
    caption = (
        "A linear head's loss is convex, so its minimum is known: L-BFGS finds it in float64. Each point is a run, at"
        " its training loss minus that minimum, penalty included; a line joins the medians of"
        f" {with_article(results.noun)}. What is low has been trained to its end, and no other rule could make the loss"
        " much smaller. That says nothing of pictures that were not in training: see the scores for those. Without"
        " weight decay the minimum may lie infinitely far away; a penalty of 1e-7 takes its place. Decay that is"
        " beside the loss, as AdamW's, is no part of it."
    )
    if not found:
        caption = f"Nothing to draw: not measured. `ravine features {results.name}.toml --optimum` does it."
    return Figure(
        name="head-gap",
        title="Distance from the best head",
        caption=caption,
        command=command(results, "head-gap"),
        views=(View(label="Loss", panels=(_panel(results, found),), chips=chips(results)),) if found else (),
    )


def _panel(results: Results, found: dict[str, dict[float, list[tuple[RunRecord, float]]]]) -> Json:
    look = looks(results.rules)
    data = [
        trace for rule in results.rules if rule in found for trace in _of_rule(rule, look[rule], found[rule])
    ]
    every = [gap for by_lr in found.values() for runs in by_lr.values() for _, gap in runs]
    lrs = [lr for by_lr in found.values() for lr in by_lr]
    return {
        "data": data,
        "layout": layout(
            "Training loss − its minimum", "learning rate", log_axis(lrs, pad=0.05), log_axis(every)
        ),
    }


def _of_rule(rule: str, look: Look, by_lr: dict[float, list[tuple[RunRecord, float]]]) -> list[Json]:
    lrs = list(by_lr)
    medians = [float(np.median([gap for _, gap in runs])) for runs in by_lr.values()]
    words = [
        f"<b>{text(rule)}</b>, lr {lr:.4g}<br>median {number(gap)}"
        for lr, gap in zip(lrs, medians, strict=True)
    ]
    points = [(lr, gap, run) for lr, runs in by_lr.items() for run, gap in runs]
    hover = [
        f"<b>{text(rule)}</b>, lr {lr:.4g}, seed {run.seed}<br>{number(gap)}<br>run {text(run.id)}"
        for lr, gap, run in points
    ]
    cloud = line(
        rule, look, [lr for lr, _, _ in points], [gap for _, gap, _ in points], hover, mode="markers",
        sizes=[5.5] * len(points),
    )  # fmt: skip
    cloud["marker"]["opacity"] = [0.5] * len(points)
    return [cloud, line(rule, look, lrs, medians, words, mode="lines")]
