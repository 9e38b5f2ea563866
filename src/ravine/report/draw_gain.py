"""Figure ``gain``: how much pools of the winner's seeds gain with their number of members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ravine.ensembles import gain, scoring, words
from ravine.ensembles.cells import Cells
from ravine.ensembles.pooling import log_softmax
from ravine.errors import with_article
from ravine.outcomes.results import Results
from ravine.outcomes.words import signed
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
)
from ravine.report.palette import COLOURS, Look, look
from ravine.report.pooled import Members
from ravine.report.trivial_mark import OF_POOLS, about, height, mark, reaching
from ravine.report.views import Chip, Figure, View, command
from ravine.verdict.own_interval import mean_interval

ALPHA = 0.05
_LINEAR = 25  # members, up to which each has its place on a linear axis
SEEDS, BEST, RIVAL = "seeds", "best", "rival"
RIVAL_LOOK = Look(colour=COLOURS[4], symbol="triangle-down", dash="dot")
_TITLES = {"nll": "NLL (nats)", "brier": "Brier score"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gained:
    """By how much all seeds together are better than one of them on average.

    Args:
        one: the mean score of one seed.
        all: the score of the pool of all.
        gain: above 0 is better, for a loss too.
        low, high: its interval of 95 %, over examples, with these seeds.
    """

    one: float
    all: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GainNumbers:
    """What the figure shows.

    Args:
        curve: scores by number of members.
        best: scores of the best single run.
        longer: of single runs of the winner that are so many times as long, the means over their seeds.
        gained: by score.
        forecast: what more seeds would bring; None where it cannot be said.
    """

    curve: tuple[gain.Gain, ...]
    best: Mapping[str, float]
    longer: Mapping[int, Mapping[str, float]]
    gained: Mapping[str, Gained]
    forecast: gain.Forecast | None


def gain_numbers(members: Members) -> GainNumbers:
    """The gain of the winner's seeds."""
    own, answers = members.of(members.seeds), members.answers
    place = members.seeds.index(members.best)
    alone = scores_alone(np.stack(own), answers)
    if members.is_regression:
        errors_RN = np.stack(own).astype(np.float64) - answers
        pooled = {"mse": members.by_example(np.square(errors_RN.mean(axis=0)))}
        forecast = gain.forecast("mse", gain.value_products(errors_RN))
    else:
        whole = members.pooled
        assert whole.log_p is not None
        pooled = {
            "nll": members.by_example(scoring.nll(whole.log_p, answers)),
            "accuracy": members.by_example((whole.predicted == answers) * 1.0),
        }
        forecast = gain.forecast("brier", gain.class_products(np.exp(log_softmax(np.stack(own))), answers))
    return GainNumbers(
        curve=members.curve,
        best={name: float(found[place].mean()) for name, found in alone.items()},
        longer={
            times: {name: float(found.mean()) for name, found in scores_alone(outputs, answers).items()}
            for times, outputs in members.longer.items()
        },
        gained={
            name: _gained(members.by_example(alone[name]), found, name == "accuracy")
            for name, found in pooled.items()
        },
        forecast=forecast,
    )


def scores_alone(outputs_RN: np.ndarray, answers: np.ndarray) -> dict[str, np.ndarray]:
    """Each run's score of each example, by name, (R, N)."""
    if outputs_RN.ndim == 2:
        return {"mse": np.square(outputs_RN.astype(np.float64) - answers)}
    log_p_RNK = log_softmax(outputs_RN)
    return {
        "nll": np.stack([scoring.nll(each, answers) for each in log_p_RNK]),
        "accuracy": (log_p_RNK.argmax(axis=2) == answers) * 1.0,
        "brier": np.stack([scoring.brier(each, answers) for each in log_p_RNK]),
    }


def _gained(alone_RN: np.ndarray, pooled_N: np.ndarray, larger: bool) -> Gained:
    one, whole = float(alone_RN.mean()), float(pooled_N.mean())
    gain_N = (pooled_N - alone_RN.mean(axis=0)) * (1.0 if larger else -1.0)
    low, high = mean_interval(gain_N[None], ALPHA, binary=False)
    return Gained(one=one, all=whole, gain=float(gain_N.mean()), low=low, high=high)


def draw_gain(results: Results, members: Members) -> Figure:
    """A curve for each score, the best single run as a line."""
    found = gain_numbers(members)
    scores = ("mse",) if members.is_regression else ("nll", "accuracy", "brier")
    panels = {score: _panel(results, found, score, members.cells) for score in scores}
    chips = (
        Chip(key=SEEDS, label=f"seeds of {members.winner}", swatch=look(0).swatch()),
        Chip(key=BEST, label="best of them alone", swatch=look(8).swatch()),
        *(
            [Chip(key=RIVAL, label="one run as long as so many", swatch=RIVAL_LOOK.swatch())]
            if found.longer
            else []
        ),
    )
    views = (
        [
            View(
                label=f"NLL and {members.cells.right}",
                panels=(panels["nll"], panels["accuracy"]),
                chips=chips,
            )
        ]
        if ("nll" in panels)
        else [View(label="MSE", panels=(panels["mse"],), chips=chips, note=_forecast(found))]
    )
    if "brier" in panels:
        views.append(View(label="Brier score", panels=(panels["brier"],), chips=chips, note=_forecast(found)))
    return Figure(
        name="gain",
        title="Gain against number of members",
        lead=_lead(members, found),
        caption=(
            "A point is the mean over all pools of so many seeds (over some of them, where there are too many), each"
            " the mean of its members' predictions with equal weights. The band is a 95 % interval over other seeds,"
            " with these examples. Of all seeds there is one pool only, so the spread over seeds is not known there;"
            " its interval, over other examples, is in the numbers below. Where the curve is level, more members are"
            " not worth their cost. "
            + (
                "A dotted line is one run as long as so many members, with a mark at their number: what the same"
                " training reaches in one run, as the mean over its seeds."
                if found.longer
                else f"`ravine ensemble {results.name} --rival` trains one run as long as all of these seeds together,"
                " which then is a line here."
            )
            + about(results.trivial)
        ),
        command=command(results, "gain"),
        views=tuple(views),
        group=members.group,
        table=words.curve_grid(found.curve, members.cells),
    )


def score_title(score: str, cells: Cells) -> str:
    """What an axis of validation scores is called."""
    mse = "MSE (units of variance)" if cells.error_unit else "MSE (target units²)"
    own = mse if score == "mse" else f"{cells.right} (%)"
    return f"Validation {_TITLES.get(score, own)}"


def _lead(members: Members, found: GainNumbers) -> str:
    num = len(members.seeds)
    parts = []
    for score, each in found.gained.items():
        show = percent if score == "accuracy" else number
        amount, low, high = (_signed(score, value) for value in (each.gain, each.low, each.high))
        unit = " points" if score == "accuracy" else ""
        title = {"nll": "an NLL of ", "mse": "an MSE of "}.get(
            score, f"{with_article(members.cells.right)} of "
        )
        parts.append(
            f"{title}{show(each.all)}, one of them alone {show(each.one)} on average: a gain of {amount}{unit}"
            f" ({low} to {high} over other examples)"
        )
    return f"{num} seeds of {members.winner} together have {'; '.join(parts)}."


def _signed(score: str, value: float) -> str:
    shown = f"{100 * value:.2f}" if score == "accuracy" else f"{value:.3g}"
    return signed(shown)


def _forecast(found: GainNumbers) -> str:
    return "" if found.forecast is None else words.forecast(found.forecast)


def _panel(results: Results, found: GainNumbers, score: str, cells: Cells) -> Json:
    """One score against the number of members."""
    percents = score == "accuracy"
    show = percent if percents else number
    floor = results.error_floor

    def y(value: float) -> float:
        return error(value, floor) if percents else value

    x = [each.members for each in found.curve]
    values = [each.scores[score] for each in found.curve]
    hover = []
    for number_of, each in zip(x, values, strict=True):
        said = f"<b>{number_of:,} {'seed' if number_of == 1 else 'seeds'}</b>: {show(each.value)}"
        if each.interval is not None:
            said += f"<br>{' to '.join(map(show, each.interval))} over other {each.covers}"
        hover.append(said)
    band = [each.interval if each.covers == "seeds" else None for each in values]
    low = [None if ends is None else y(ends[0]) for ends in band]
    high = [None if ends is None else y(ends[1]) for ends in band]
    best = found.best[score]
    alone = f"<b>best single run</b>: {show(best)}"
    own, other = look(0), look(8)
    data = [
        ribbon(SEEDS, own, x, low, high),
        line(BEST, other, [x[0], x[-1]], [y(best)] * 2, [alone] * 2, mode="lines"),
        line(SEEDS, own, x, [y(each.value) for each in values], hover),
    ]
    longer = {times: scores[score] for times, scores in found.longer.items()}
    if longer:
        texts = [f"<b>one run, {times} times as long</b>: {show(value)}" for times, value in longer.items()]
        for (times, value), said in zip(longer.items(), texts, strict=True):
            level = line(
                RIVAL, RIVAL_LOOK, [x[0], times, x[-1]], [y(value)] * 3, [said] * 3, sizes=[0, 11, 0]
            )
            data.insert(1, level)
    drawn = [*(y(each.value) for each in values), y(best), *map(y, longer.values())]
    shown = _range(drawn, [v for v in (*low, *high) if v is not None])
    metric, least = OF_POOLS[score], floor if percents else None
    shown = reaching(shown, height(results.trivial, metric, least))
    axis = accuracy_axis(shown) if percents else log_axis(shown)
    panel = {"data": data, "layout": layout(score_title(score, cells), "members", members_axis(x[-1]), axis)}
    return mark(results.trivial, panel, metric, least)


def members_axis(most: int) -> Json:
    """The horizontal axis of numbers of members from 1."""
    if most > _LINEAR:
        return log_axis([1, most], pad=0.04)
    room = 0.03 * max(most - 1, 1) + 0.1
    return {
        "dtick": max(1, round(most / 10)),
        "tick0": 1 if most <= 15 else 0,
        "range": [1 - room, most + room],
    }


def _range(values: list[float], ends: list[float]) -> list[float]:
    """What an axis shows: the values, and of the bands as much as leaves the values two fifths of it."""
    low, high = min(values), max(values)
    room = 0.75 * (high - low) or 0.1 * abs(high)
    return [*values, max(min(ends, default=low), low - room), min(max(ends, default=high), high + room)]
