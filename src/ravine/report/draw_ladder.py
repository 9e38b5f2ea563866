"""Figures ``ladder`` and ``ladder-gap``: what each arm reaches with n examples per class, and how far it overfits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ravine.grid import Grid
from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.ladder_words import FALLS, arm_shown, columns, difference_shown, fall_rows, rows
from ravine.outcomes.results import Results
from ravine.report.chart import GRID, INK, MUTED, Json, layout, line, log_axis, ribbon, short, text
from ravine.report.palette import Look, looks
from ravine.report.trivial_mark import about, mark_linear
from ravine.report.views import Figure, View, chips, command
from ravine.verdict import ArmResult, Crossover, DrawnGap, Measure
from ravine.verdict.crossover import Difference, sentences_of
from ravine.verdict.draws import LEAST_TUNED
from ravine.verdict.gaps import summary_of

_X = "examples per class"
_CROSS = "#6a51a3"  # no colour of an arm
_SHADE = "rgba(106,81,163,0.13)"
_NEITHER = "#c3cad1"
_STRIP = 26  # px of the strip of winners


def draw_ladder(results: Results) -> Figure:
    """The score against n for each arm, the paired difference of two arms, and who is better at each n."""
    ladder = results.ladder
    if ladder is None or not any(each.draws for each in ladder.rungs):
        why = "the study has no ladder" if ladder is None else "no run has finished"
        return _nothing(results, "ladder", "Ladder", why)
    pairs: Sequence[Crossover | None] = ladder.pairs or (None,)
    caption = (
        f"Each {results.noun} was trained on several draws of n examples per class, tuned by itself on the validation"
        " examples among them, and tested on all test examples. Lines are means over draws, bands their 95 % intervals"
        " over other draws and other test examples, small dots the draws."
    )
    if ladder.pairs:
        caption += (
            " The difference is paired by draw; its band is simultaneous: it contains the true difference at every n"
            " at once in at least 95 % of studies, corrected for the number of pairs. Shaded is the confidence set of"
            " the crossover, all n at which that band contains 0. The strip says who is better than all others for"
            " sure; grey is nobody."
        )
    caption += about(results.trivial) + _untuned(ladder)
    return Figure(
        name="ladder",
        title="How many examples it takes",
        lead=" ".join(sentences_of(ladder.pairs)),
        caption=caption,
        command=command(results, "ladder"),
        views=tuple(_view(results, ladder, pair) for pair in pairs),
        select="Compare",
        table=Grid(columns=columns(ladder), rows=rows(ladder), left=("better",)),
    )


def draw_ladder_gap(results: Results) -> Figure:
    """Training minus test accuracy against n for each arm."""
    ladder = results.ladder
    title = "How far it overfits"
    if ladder is None or not ladder.chosen:
        why = "the study has no ladder" if ladder is None else "no run has finished"
        return _nothing(results, "ladder-gap", title, why)
    look = looks(results.rules)
    data: list[Json] = []
    for arm in ladder.arms:
        own = [each for each in ladder.gaps if each.arm == arm]
        if own:
            hover = [
                f"<b>{text(arm)}</b>, n = {each.per_class}<br>{100 * each.mean:.1f} points"
                f" ({100 * each.low:.1f} to {100 * each.high:.1f})"
                for each in own
            ]
            data += _banded(arm, look[arm], own, hover, _POINTS)
    panel = layout("Training − test accuracy (percentage points)", _X, _axis(ladder), {"rangemode": "tozero"})
    return Figure(
        name="ladder-gap",
        title=title,
        lead=summary_of(ladder.falls),
        caption=(
            "By how much the chosen config knows the examples that it learned from better than new ones, against their"
            " number. Lines are means over draws, bands their 95 % intervals over other draws and other test examples,"
            " small dots the draws. With few examples every one is learned by heart, and the gap is what is wrong on"
            " new ones. The fall from the smallest n that is tuned to the largest is paired by draw, with an interval"
            " corrected for the number of arms." + _untuned(ladder)
        ),
        command=command(results, "ladder-gap"),
        views=(View(label="Gap", panels=({"data": data, "layout": panel},), chips=chips(results)),),
        table=Grid(columns=FALLS, rows=fall_rows(ladder), left=FALLS) if ladder.falls else None,
    )


def _untuned(ladder: LadderResult) -> str:
    if all(n >= LEAST_TUNED for n in ladder.per_class):
        return ""
    words = "there is no validation, so nothing is tuned, and they do not count"
    return f" Open marks: below {LEAST_TUNED} examples {words}."


def _nothing(results: Results, name: str, title: str, why: str) -> Figure:
    caption = f"Nothing to draw: {why}."
    return Figure(name=name, title=title, caption=caption, command=command(results, name), views=())


def _view(results: Results, ladder: LadderResult, pair: Crossover | None) -> View:
    panels = [_accuracies(results, ladder, pair)]
    label = ladder.measure.name[:1].upper() + ladder.measure.name[1:]
    if pair is not None:
        panels.append(_difference(ladder, pair))
        label = f"{pair.first} and {pair.second}"
    return View(label=label, panels=tuple(panels), chips=chips(results))


def _axis(ladder: LadderResult) -> Json:
    """The rungs on a logarithmic axis, each with its number."""
    axis = log_axis([float(n) for n in ladder.per_class], pad=0.06)
    if "range" not in axis:
        return axis | {"showticklabels": True, "tickvals": list(ladder.per_class)}
    return axis | {"tickvals": list(ladder.per_class), "ticktext": [str(n) for n in ladder.per_class]}


def _accuracies(results: Results, ladder: LadderResult, pair: Crossover | None) -> Json:
    look = looks(results.rules)
    data: list[Json] = []
    for arm in ladder.arms:
        own = [each for each in ladder.rungs if each.arm == arm and each.mean is not None]
        if own:
            data += _arm(arm, look[arm], own, ladder.measure)
    made = layout(f"Test {ladder.measure.titled}", _X, _axis(ladder), {}, height=360)
    inner = made["height"] - made["margin"]["t"] - made["margin"]["b"]
    bottom = 1 - _STRIP / inner
    made["yaxis"]["domain"] = [0, bottom - 0.02]
    made["yaxis2"] = {
        "domain": [bottom, 1], "range": [-1, 1], "tickvals": [0], "ticktext": ["better"], "ticks": "",
        "tickfont": {"size": 11, "color": MUTED}, "showgrid": False, "zeroline": False, "fixedrange": True,
        "anchor": "x", "automargin": True,
    }  # fmt: skip
    made["shapes"] = _shades(pair)
    if len(ladder.arms) > 1:
        data.append(_winners(ladder, look))
    return mark_linear(
        results.trivial,
        {"data": data, "layout": made},
        f"test_{ladder.measure.metric}",
        percent=ladder.measure.percent,
    )


def _arm(arm: str, look: Look, own: Sequence[ArmResult], measure: Measure) -> list[Json]:
    hover = [
        f"<b>{text(arm)}</b>, n = {each.per_class}<br>{arm_shown(each, measure)}"
        + ("<br>not tuned" if each.per_class < LEAST_TUNED else "")
        + (f"<br>{each.lost} diverged" if each.lost else "")
        for each in own
    ]
    return _banded(arm, look, own, hover, _Unit.of(measure))


def _banded(
    key: str,
    look: Look,
    own: Sequence[ArmResult | DrawnGap | Difference],
    hover: Sequence[str],
    unit: _Unit,
) -> list[Json]:
    """A band, the draws as small dots, and the means; open marks where nothing is tuned."""
    ns = [float(each.per_class) for each in own]
    # The simultaneous band of a difference is of the rungs that count.
    counted = [not isinstance(each, Difference) or each.tuned for each in own]
    low = [unit.drawn(each.low) if yes else None for each, yes in zip(own, counted, strict=True)]
    high = [unit.drawn(each.high) if yes else None for each, yes in zip(own, counted, strict=True)]
    middle = line(key, look, ns, [unit.drawn(each.mean) for each in own], hover)
    middle["marker"] |= {
        "color": [look.colour if each.per_class >= LEAST_TUNED else "#fff" for each in own],
        "line": {"color": look.colour, "width": 1.8},
    }
    dots = [
        (float(each.per_class), unit.drawn(value) or 0.0, draw)
        for each in own
        for draw, value in each.draws.items()
    ]
    cloud = line(
        key,
        look,
        [n for n, _, _ in dots],
        [value for _, value, _ in dots],
        [f"<b>{text(key)}</b>, n = {n:g}, draw {draw}<br>{unit.said(value)}" for n, value, draw in dots],
        mode="markers",
        sizes=4,
    )
    cloud["marker"]["opacity"] = 0.45
    return [ribbon(key, look, ns, low, high), cloud, middle]


@dataclass(frozen=True, slots=True)
class _Unit:
    """How scores are drawn: times a factor, with a word behind them."""

    factor: float
    word: str

    @staticmethod
    def of(measure: Measure) -> _Unit:
        """That of scores."""
        return _Unit(100.0, "%") if measure.percent else _Unit(-1.0 if measure.loss else 1.0, "")

    @staticmethod
    def of_differences(measure: Measure) -> _Unit:
        """That of differences, above 0 where the first is better."""
        return _POINTS if measure.percent else _Unit(1.0, "")

    def drawn(self, score: float | None) -> float | None:
        """Where it is on the axis; None: nowhere."""
        return None if score is None or not math.isfinite(score) else self.factor * score

    def said(self, drawn: float) -> str:
        """In a line that says what a point is."""
        return f"{drawn:.2f} {self.word}" if self.word else f"{drawn:.4g}"


_POINTS = _Unit(100.0, "points")


def _winners(ladder: LadderResult, look: dict[str, Look]) -> Json:
    """A square at each rung in the colour of the arm that is better than all others for sure."""
    best = {n: ladder.best(n) for n in ladder.per_class}
    said = {
        n: "not tuned, so it does not count"
        if n < LEAST_TUNED
        else "none is better than all others for sure"
        if best[n] is None
        else f"{text(best[n])} is better for sure"
        for n in ladder.per_class
    }
    colours = [_NEITHER if (arm := best[n]) is None else look[arm].colour for n in ladder.per_class]
    return {
        "type": "scatter", "mode": "markers", "x": [float(n) for n in ladder.per_class],
        "y": [0.0] * len(ladder.per_class), "yaxis": "y2", "hoverinfo": "text", "meta": "ground",
        "hovertext": [f"n = {n}: {words}" for n, words in said.items()],
        "marker": {
            "symbol": ["square-open" if n < LEAST_TUNED else "square" for n in ladder.per_class], "size": 13,
            "color": colours,
        },
    }  # fmt: skip


def _difference(ladder: LadderResult, pair: Crossover) -> Json:
    look = Look(colour=INK, symbol="circle", dash="solid")
    measure = ladder.measure
    hover = [
        f"n = {each.per_class}: {text(pair.first)} − {text(pair.second)}"
        f"<br>{difference_shown(each, measure)}{measure.unit}" + ("" if each.tuned else "<br>not tuned")
        for each in pair.rungs
    ]
    name = f"{pair.first} − {pair.second}"
    band, cloud, middle = _banded(name, look, pair.rungs, hover, _Unit.of_differences(measure))
    zero = {
        "zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.2, "gridcolor": GRID, "rangemode": "tozero",
    }  # fmt: skip
    unit = "points" if measure.percent else f"gain in {measure.name}"
    made = layout(f"{name} ({unit})", _X, _axis(ladder), zero, height=360)
    made["shapes"] = _shades(pair)
    return {"data": [{**trace, "meta": "ground"} for trace in (band, cloud, middle)], "layout": made}


def _shades(pair: Crossover | None) -> list[Json]:
    """The confidence set of a crossover that is sure, as upright stripes."""
    if pair is None or pair.at is None:
        return []
    stripes: list[Json] = [
        {"type": "rect", "xref": "x", "yref": "paper", "x0": short(low), "x1": short(high), "y0": 0, "y1": 1,
         "fillcolor": _SHADE, "line": {"width": 0}, "layer": "below"}
        for low, high in pair.confidence
    ]  # fmt: skip
    at: Json = {"type": "line", "xref": "x", "yref": "paper", "x0": short(pair.at), "x1": short(pair.at), "y0": 0,
                "y1": 1, "line": {"color": _CROSS, "width": 1.4, "dash": "dot"}}  # fmt: skip
    return [*stripes, at]
