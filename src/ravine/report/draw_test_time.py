"""Figure ``test-time``: scores against the number of Monte Carlo passes, and how unsure right and wrong answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.modes import mode_grid, mode_rows, mode_words_of, random_rules
from ravine.ensembles.pooling import log_softmax
from ravine.ensembles.scoring import entropy_of, nll
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
    text,
    visible,
)
from ravine.report.palette import Look, look
from ravine.report.trivial_mark import OF_POOLS, about, height, mark, reaching
from ravine.report.views import Chip, Figure, View, command, loss_unit
from ravine.store import Labels
from ravine.study.modes import MC, MEAN, WITH_VIEWS

Array = NDArray[np.float64]

RIGHT, WRONG = "right", "wrong"
_BINS = 24
_SHOWN = (
    1,
    2,
    3,
    5,
    7,
    10,
    15,
    20,
    30,
    50,
    70,
    100,
    150,
    200,
    300,
    500,
    700,
    1000,
    2000,
    3000,
    5000,
    7000,
    10000,
)
_LOOKS = {MEAN: look(6), MC: look(0), MEAN + WITH_VIEWS: look(4), MC + WITH_VIEWS: look(2)}
_OF_ANSWERS = {RIGHT: look(5), WRONG: look(1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A score of one mode against the number of samples, over the seeds of a config.

    Args:
        samples: the numbers; one of them for a mode that draws none.
        mean, low, high: over the seeds.
    """

    samples: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModeCurves:
    """What modes reach at one rule's chosen config, on validation data.

    Args:
        rule: its label.
        num_seeds: the runs behind these numbers.
        lines: by quantity, ``nll`` and ``accuracy`` or ``mse``, and by mode.
        entropies: of the predictive distributions of mc, in nats, of right and of wrong answers of all seeds.
        informations: mutual information between an answer and the masks (BALD), likewise.
    """

    rule: str
    num_seeds: int
    lines: Mapping[str, Mapping[str, Line]]
    entropies: Mapping[str, Array]
    informations: Mapping[str, Array]


def mode_curves(results: Results) -> tuple[ModeCurves, ...]:
    """Those of each rule whose chosen config has Monte Carlo passes; none where the study asks for none."""
    if results.asked is None:
        return ()
    found = []
    for rule in results.verdict.rules:
        stored: dict[str, list[Mapping[str, np.ndarray]]] = {}
        for mode in results.asked.asked:
            runs = results.source.evaluated.read(mode.id, rule.runs)
            if rule.runs and len(runs) == len(rule.runs):
                stored[mode.name] = list(runs.values())
        drawn = next((mode for mode in (MC, MC + WITH_VIEWS) if mode in stored), None)
        if drawn is None:
            continue
        mean = list(results.source.tensors_many("predictions", rule.runs).values())
        entropies, informations = _uncertainties(results, stored[drawn])
        found.append(
            ModeCurves(
                rule=rule.rule,
                num_seeds=len(rule.runs),
                lines=_lines(results, mean, stored),
                entropies=entropies,
                informations=informations,
            )
        )
    return tuple(found)


def draw_test_time(results: Results) -> Figure:
    """Scores against the number of passes, and histograms of uncertainty, for one rule or level at a time.

    One whose chosen runs have no random layer is left out: all of its passes are the mean pass.
    """
    rows, noun = mode_rows(results), results.noun
    random = random_rules(rows)
    curves = mode_curves(results)
    found = [each for each in curves if each.rule in random]
    others = [each.rule for each in curves if each.rule not in random]
    samples = next((mode.samples for mode in results.asked.asked if mode.samples), 0) if results.asked else 0
    how = "averaged" if results.is_regression else "averaged in probability"
    caption = (
        f"Of each {noun}'s chosen config on validation data: the first n of {samples:,} Monte Carlo passes, {how},"
        " against n. The mean pass does not depend on n."
        " Lines are means over seeds, bands reach from the lowest seed to the highest."
        f"{about(results.trivial)}"
    )
    if not results.is_regression:
        caption += (
            " Below, how unsure the average of all passes is, for right and wrong answers of all seeds: its entropy,"
            " and the mutual information between an answer and the masks (BALD), which is the part of the entropy that"
            " is about the weights. Bars are shares of the right, or of the wrong, answers."
        )
    if others:
        caption += (
            f" Where no layer is random, every pass is the mean pass; so not drawn: {', '.join(others)}."
        )
    return Figure(
        name="test-time",
        title="How good the mean pass is",
        caption=caption
        if found
        else "Nothing to draw: no chosen run has Monte Carlo passes of a random layer.",
        command=command(results, "test-time"),
        views=tuple(_view(results, each) for each in found),
        select=noun.capitalize(),
        lead=" ".join(mode_words_of(tuple(row for row in rows if row.rule in random))[:1]),
        table=mode_grid(rows, results.mode, noun) if rows else None,
    )


def _lines(
    results: Results,
    mean: Sequence[Mapping[str, np.ndarray]],
    stored: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
) -> dict[str, dict[str, Line]]:
    quantities = {"squares": "mse"} if results.is_regression else {"nll": "nll", "right": "accuracy"}
    lines: dict[str, dict[str, Line]] = {}
    for name, quantity in quantities.items():
        own = [np.array([_score(quantity, each["validation"], results.labels)]) for each in mean]
        lines[quantity] = {MEAN: _line(own, (1,))}
        for mode, of_runs in stored.items():
            curves = [np.asarray(each[f"validation_{name}"], dtype=np.float64) for each in of_runs]
            last = len(curves[0])
            lines[quantity][mode] = _line(curves, tuple(sorted({*(n for n in _SHOWN if n < last), last})))
    return lines


def _line(curves: Sequence[Array], samples: tuple[int, ...]) -> Line:
    table_SN = np.stack(curves)[:, np.array(samples) - 1]
    return Line(
        samples=samples,
        mean=tuple(table_SN.mean(axis=0).tolist()),
        low=tuple(table_SN.min(axis=0).tolist()),
        high=tuple(table_SN.max(axis=0).tolist()),
    )


def _score(quantity: str, given: np.ndarray, labels: Labels) -> float:
    cells = Cells.of(labels)
    predicted, answers = cells.outputs(given), cells.answers(labels.validation)
    if quantity == "mse":
        return float(np.square(predicted.astype(np.float64) - answers).mean())
    if quantity == "accuracy":
        return float((predicted.argmax(axis=1) == answers).mean())
    return float(nll(log_softmax(predicted), answers).mean())


def _uncertainties(
    results: Results, stored: Sequence[Mapping[str, np.ndarray]]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Entropies and mutual informations of right and of wrong answers."""
    if results.is_regression:
        return {}, {}
    log_p = np.concatenate([each["validation"] for each in stored]).astype(np.float64)
    within = np.concatenate([each["validation_within"] for each in stored]).astype(np.float64)
    cells = Cells.of(results.labels)
    log_p = log_softmax(cells.outputs(log_p)) if cells.labels else log_p
    entropy = cells.by_example(entropy_of(log_p))
    information = np.maximum(entropy - within, 0.0)  # rounding may leave less
    hits = log_p.argmax(axis=1) == np.tile(cells.answers(results.labels.validation), len(stored))
    right = cells.by_example(hits * 1.0) == 1.0  # all of an example's labels
    parts = {RIGHT: right, WRONG: ~right}
    return (
        {name: entropy[part] for name, part in parts.items()},
        {name: information[part] for name, part in parts.items()},
    )


def _view(results: Results, found: ModeCurves) -> View:
    shown = {name: _LOOKS[name] for name in _LOOKS if name in next(iter(found.lines.values()))}
    panels = [_curves(results, found, quantity, shown) for quantity in found.lines]
    chips = [Chip(key=name, label=name, swatch=each.swatch()) for name, each in shown.items()]
    if found.entropies:
        panels += [
            _histogram("Entropy (nats): share of answers (%)", found.entropies),
            _histogram("Mutual information, BALD (nats): share of answers (%)", found.informations),
        ]
        chips += [
            Chip(key=name, label=f"{name} answers", swatch=_OF_ANSWERS[name].swatch())
            for name in found.entropies
        ]
    return View(
        label=found.rule, panels=tuple(panels), chips=tuple(chips), note=f"{count(found.num_seeds, 'seed')}."
    )


def _curves(results: Results, found: ModeCurves, quantity: str, shown: Mapping[str, Look]) -> Json:
    floor = results.error_floor if quantity == "accuracy" else None
    lines = found.lines[quantity]
    last = max(max(each.samples) for each in lines.values())
    data: list[Json] = []
    for name, of in shown.items():
        each = lines[name]
        if len(each.samples) == 1:  # the same at any number
            each = Line(samples=(1, last), mean=each.mean * 2, low=each.low * 2, high=each.high * 2)
        data += _traces(name, of, each, found.num_seeds, floor)
    values = [_y(value, floor) for each in lines.values() for value in (*each.mean, *each.low, *each.high)]
    unit = "%" if quantity == "accuracy" else loss_unit(results)
    title = f"Validation {'accuracy' if quantity == 'accuracy' else 'loss'} ({unit})"
    metric = OF_POOLS[quantity]
    shown_values = reaching(
        values if floor is not None else visible(values), height(results.trivial, metric, floor)
    )
    y = log_axis(shown_values) if floor is None else accuracy_axis(shown_values)
    panel = {"data": data, "layout": layout(title, "passes, n", log_axis((1, last), pad=0.03), y)}
    return mark(results.trivial, panel, metric, floor)


def _traces(name: str, look: Look, found: Line, num_seeds: int, floor: float | None) -> list[Json]:
    show = number if floor is None else percent
    hover = []
    level = len(found.samples) == 2 and found.mean[0] == found.mean[1]
    for n, mean, low, high in zip(found.samples, found.mean, found.low, found.high, strict=True):
        words = f"<b>{text(name)}</b><br>" + ("" if level else f"{count(n, 'pass', 'passes')}: ") + show(mean)
        if num_seeds > 1:
            words += f"<br>{show(low)} to {show(high)} over {count(num_seeds, 'seed')}"
        hover.append(words)
    traces = []
    if num_seeds > 1:
        low_y, high_y = [_y(v, floor) for v in found.low], [_y(v, floor) for v in found.high]
        traces.append(ribbon(name, look, found.samples, low_y, high_y))
    traces.append(
        line(name, look, found.samples, [_y(v, floor) for v in found.mean], hover, few_markers=True)
    )
    return traces


def _histogram(title: str, values: Mapping[str, Array]) -> Json:
    top = max(float(each.max(initial=0.0)) for each in values.values()) or 1.0
    edges = np.linspace(0.0, top, _BINS + 1)
    data = []
    for name, each in values.items():
        if not len(each):
            continue
        shares = np.histogram(each, edges)[0] / len(each)
        look = _OF_ANSWERS[name]
        data.append(
            {
                "type": "bar",
                "x": [round(float(x), 6) for x in (edges[:-1] + edges[1:]) / 2],
                "y": [round(100 * float(share), 4) for share in shares],
                "width": round(top / _BINS, 6),
                "marker": {"color": look.soft(0.45), "line": {"color": look.colour, "width": 1}},
                "hoverinfo": "text",
                "hovertext": [
                    f"<b>{name} answers</b> ({len(each):,})<br>{low:.3g} to {high:.3g}: {percent(float(share))}"
                    for low, high, share in zip(edges, edges[1:], shares, strict=False)
                ],
                "legendgroup": name,
                "meta": "line",
            }
        )
    made = layout(title, "nats", {"range": [0, round(top, 6)]}, {"rangemode": "tozero"})
    made["barmode"] = "overlay"
    return {"data": data, "layout": made}


def _y(value: float, floor: float | None) -> float:
    """Where a score is drawn: a loss as it is, an accuracy by its error."""
    return value if floor is None else error(value, floor)
