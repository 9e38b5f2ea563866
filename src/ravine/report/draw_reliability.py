"""Figure ``reliability``: whether the pool's confidences are right, before and after its temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.ensembles import scoring
from ravine.ensembles.reliability import Bin, reliability
from ravine.grid import Grid
from ravine.outcomes.results import Results
from ravine.report.chart import Json, bars, layout, line, percent, short
from ravine.report.palette import Look, look
from ravine.report.pooled import Members
from ravine.report.views import Chip, Figure, View, command

BEFORE, AFTER = "before", "after"
_LOOKS = {BEFORE: look(1), AFTER: look(0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Confidence and accuracy of the winner's seeds as one pool.

    Args:
        temperature: that all validation examples fit; 1 where none helps on held-out folds.
        bins: before and, if there is one, after it: then each fold is at the temperature that the others fit.
        errors: calibration errors, likewise.
    """

    temperature: float
    bins: Mapping[str, tuple[Bin, ...]]
    errors: Mapping[str, float]


def reliability_of(members: Members) -> Reliability:
    """Of a classification, or of labels: then of each label of each example."""
    pooled, answers = members.pooled, members.answers
    assert pooled.log_p is not None
    temperature, after = scoring.useful_heat(pooled.log_p, answers, members.per)
    log_ps = {BEFORE: pooled.log_p} if after is None else {BEFORE: pooled.log_p, AFTER: after}
    return Reliability(
        temperature=temperature,
        bins={name: reliability(log_p, pooled.predicted, answers) for name, log_p in log_ps.items()},
        errors={
            name: scoring.calibration_error(log_p, pooled.predicted, answers)
            for name, log_p in log_ps.items()
        },
    )


def draw_reliability(results: Results, members: Members) -> Figure:
    """Accuracy against confidence, and beside it how far they are apart."""
    found = reliability_of(members)
    labels = {BEFORE: "as pooled", AFTER: f"at its temperature, {found.temperature:.3g}"}
    sizes = [each.examples for each in found.bins[BEFORE]]
    each_of = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} or {max(sizes):,}"
    return Figure(
        name="reliability",
        title="Reliability of the probabilities",
        lead=_lead(members, found),
        caption=(
            f"{_what(members)} are sorted by the pool's confidence into {len(sizes)} bins of {each_of} each. On the"
            " left, a bin on the diagonal is right as often as it claims; above it the pool is too modest, below it"
            " too sure of itself. On the right, the same bins in order, so that those near 100 % do not lie on top of"
            " each other. Bars are Wilson's 95 % intervals of the accuracy. For the temperature, each of five folds"
            " has the one that the other four fit."
        ),
        command=command(results, "reliability"),
        views=(
            View(
                label="Reliability",
                panels=(_diagram(found, labels), _gaps(found, labels)),
                chips=tuple(
                    Chip(key=name, label=labels[name], swatch=_LOOKS[name].swatch()) for name in found.bins
                ),
            ),
        ),
        group=members.group,
        table=_table(found),
    )


def _what(members: Members) -> str:
    return "The labels of all validation examples" if members.cells.labels else "Validation examples"


def _lead(members: Members, found: Reliability) -> str:
    before = found.bins[BEFORE]
    weights = [each.examples for each in before]
    gap = float(np.average([each.accuracy - each.confidence for each in before], weights=weights))
    manner = "too modest" if gap > 0.0 else "too sure"
    words = (
        f"The {len(members.seeds)} seeds together are {manner} by {100 * abs(gap):.1f} points on average;"
        f" confidence and accuracy differ by {percent(found.errors[BEFORE])} (ECE)"
    )
    if AFTER not in found.errors:
        return f"{words}, and no temperature helps on held-out folds."
    return f"{words}, and at the temperature T = {found.temperature:.3g} by {percent(found.errors[AFTER])}."


def _hover(label: str, each: Bin) -> str:
    low, high = each.interval
    return (
        f"<b>{label}</b><br>{each.examples:,} examples<br>confidence {percent(each.confidence)}"
        f"<br>accuracy {percent(each.accuracy)} ({100 * low:.1f} to {100 * high:.1f})"
    )


def _series(name: str, look: Look, x: Sequence[float], bins: Sequence[Bin], label: str, *, gap: bool) -> Json:
    def y(each: Bin, value: float) -> float:
        return 100 * (value - each.confidence) if gap else 100 * value

    middle = [y(each, each.accuracy) for each in bins]
    low, high = ([y(each, each.interval[end]) for each in bins] for end in (0, 1))
    trace = line(name, look, x, middle, [_hover(label, each) for each in bins])
    trace["error_y"] = bars(look, middle, low, high)
    return trace


def _diagram(found: Reliability, labels: Mapping[str, str]) -> Json:
    every = [each for bins in found.bins.values() for each in bins]
    low = max(0.0, 100 * min(min(each.confidence, each.interval[0]) for each in every) - 3)
    data = [_reference([low, 100], [low, 100])]
    for name, bins in found.bins.items():
        x = [short(100 * each.confidence) or 0.0 for each in bins]
        data.append(_series(name, _LOOKS[name], x, bins, labels[name], gap=False))
    made = layout(
        "Accuracy (%)", "confidence (%)", {"range": [short(low), 101.5]}, {"range": [short(low), 102]}
    )
    return {"data": data, "layout": made}


def _gaps(found: Reliability, labels: Mapping[str, str]) -> Json:
    num = len(found.bins[BEFORE])
    data = [_reference([0.4, num + 0.6], [0, 0])]
    for place, (name, bins) in enumerate(found.bins.items()):
        shift = 0.18 * (2 * place - len(found.bins) + 1)  # so that bars do not cover each other
        x = [number + 1 + shift for number in range(num)]
        data.append(_series(name, _LOOKS[name], x, bins, labels[name], gap=True))
    made = layout(
        "Accuracy − confidence (percentage points)",
        "bin, from the least to the most confident",
        {"range": [0.4, num + 0.6], "dtick": 2 if num > 8 else 1, "tick0": 1},
        {},
    )
    return {"data": data, "layout": made}


def _reference(x: Sequence[float], y: Sequence[float]) -> Json:
    """Where confidence and accuracy are equal."""
    return {
        "type": "scatter", "mode": "lines", "x": [short(v) for v in x], "y": [short(v) for v in y],
        "line": {"color": "#5c6670", "width": 1, "dash": "dash"}, "hoverinfo": "skip", "meta": "ground",
    }  # fmt: skip


def _table(found: Reliability) -> Grid:
    columns = ["bin", "examples"]
    for name in found.bins:
        columns += [f"confidence {name}", f"accuracy {name}"]
    rows = []
    for place, every in enumerate(zip(*found.bins.values(), strict=True)):
        cells = [str(place + 1), f"{every[0].examples:,}"]
        for each in every:
            low, high = each.interval
            cells += [
                percent(each.confidence),
                f"{percent(each.accuracy)} ({100 * low:.1f} to {100 * high:.1f})",
            ]
        rows.append(tuple(cells))
    return Grid(columns=tuple(columns), rows=tuple(rows))
