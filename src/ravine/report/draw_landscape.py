"""Figures ``paths``, ``around`` and ``lines`` of a landscape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ravine.landscapes.scenes import Around, Landscape, Plane, Route
from ravine.report.chart import Json, layout, line, log_axis, log_ticks, number, percent, short, text
from ravine.report.palette import Look, look
from ravine.report.views import Chip, Figure, View

_SQUARE = 520  # px: height of a map
_SCALE = [
    [0.0, "#7a92ab"],
    [0.5, "#bccad8"],
    [1.0, "#f7f9fb"],
]  # deep where it is low, as in pictures of surfaces
_GAPS = 1e-6  # below the largest loss so far that a logarithm shows


def draw_paths(plane: Plane, command: str) -> Figure:
    """The paths over the loss in their plane, and beside it what the plane hides."""
    drawn = [look(i) for i in range(len(plane.routes))]
    map_data = [_ground(plane.x, plane.y, plane.losses)]
    curves = []
    for route, own in zip(plane.routes, drawn, strict=True):
        map_data += _path(route, own)
        curves += _heights(route, own)
    first, second = plane.shares
    titles = (
        f"axis 1: {percent(first)} of the variance",
        f"axis 2: {percent(second)} of the variance",
    )
    losses = [v for route in plane.routes for v in (*route.losses, *route.shadows)]
    steps = [step for route in plane.routes for step in route.steps]
    heights = layout(
        "Loss of the runs, and below them in the plane (dotted)",
        "step",
        {"range": [0, int(max(steps))]},
        log_axis(_positive(losses)),
    )
    outside = ", ".join(f"{route.label} {percent(route.outside)}" for route in plane.routes)
    note = f"{percent(plane.outside)} of the variance of all points lies outside the plane. Of each run's: {outside}."
    if plane.buffers_of is not None:
        note += f" The map was evaluated with the BatchNorm averages (buffers) of {plane.buffers_of}."
    panels = (
        {"data": map_data, "layout": _square("Training loss in the plane of the paths", *titles)},
        {"data": curves, "layout": {**heights, "height": _SQUARE}},
    )
    return Figure(
        name="paths",
        title="Paths in a shared plane",
        caption=(
            "Weights during training, projected onto the plane with most of their variance (the principal components"
            " of all points, centred at their mean), over the loss in that plane. Both axes are distances in weight"
            " space, at the same scale. A ring marks a start, a filled mark an end; runs with the same seed start at"
            " the same weights. The map shows the loss in the plane, not at the runs, which lie beside it; the right"
            " panel shows how far the two differ. It is no finding that a path lies mostly in two dimensions: a random"
            " walk in many dimensions has 61 % of its variance along its first axis and 15 % along its second, and"
            " looks like an arc (Antognini and Sohl-Dickstein, 2018)."
        ),
        command=command,
        views=(View(label="Paths", panels=panels, chips=_chips(plane.routes, drawn), note=note),),
    )


def draw_around(found: Landscape, command: str) -> Figure:
    """The loss along two filter-normalized directions, and both axes as curves."""
    views = []
    for each in found.around:
        titles = (
            f"first direction (times {number(each.lengths[0])})",
            f"second direction (times {number(each.lengths[1])})",
        )
        place = {
            "type": "scatter", "mode": "markers", "x": [0], "y": [0], "hoverinfo": "text",
            "hovertext": [f"{text(each.label)}<br>loss {number(each.loss)}"], "meta": "ground",
            "marker": {"size": 11, "color": look(0).colour, "line": {"color": "#fff", "width": 1.5}},
        }  # fmt: skip
        panels = (
            {
                "data": [_ground(each.x, each.x, each.losses), place],
                "layout": _square(f"Training loss around {each.label}", *titles),
            },
            {"data": _slices(each), "layout": _slices_layout(each)},
        )
        views.append(View(label=each.label, panels=panels, chips=()))
    return Figure(
        name="around",
        title="Around a run",
        caption=(
            "The loss along two random directions from a run's weights. In each filter (a row of a matrix, an"
            " output channel of a convolution) a direction is as long as the filter's weights; biases and norms"
            " stay (Li et al., 2018). So at 1 every filter changes by its own norm, and maps of different"
            f" runs can be compared. Two directions of {found.num_parameters:,} are a small sample: a"
            " minimum that is flat here may be steep in other directions."
        ),
        command=command,
        views=tuple(views),
        select="Run",
    )


def draw_lines(found: Landscape, command: str) -> Figure:
    """The loss and the accuracy on straight lines between runs."""
    drawn = [look(i) for i in range(len(found.lines))]
    data: dict[str, list[Json]] = {"loss": [], "accuracy": []}
    for each, own in zip(found.lines, drawn, strict=True):
        key, name = _key(each.first, each.second), f"{each.labels[0]} → {each.labels[1]}"
        for what, values in (("loss", each.losses), ("accuracy", 100 * each.accuracies)):
            hover = [
                f"<b>{text(name)}</b><br>{share:.2f} of the way: {what} {number(value)}{' %' * (what == 'accuracy')}"
                f"<br>barrier {number(each.barrier)}, at {each.at:.2f}"
                for share, value in zip(each.x, values, strict=True)
            ]
            data[what].append(line(key, own, _shorts(each.x), values.tolist(), hover, mode="lines"))
    span: Json = {"range": [0, 1]}
    losses = _positive([value for each in found.lines for value in each.losses])
    panels = [
        {"data": data["loss"], "layout": layout("Training loss", "share of the way", span, log_axis(losses))}
    ]
    if found.task != "regression":
        title = "Training accuracy (%)"
        panels.append({"data": data["accuracy"], "layout": layout(title, "share of the way", span, {})})
    chips = tuple(
        Chip(
            key=_key(each.first, each.second),
            label=f"{each.labels[0]} → {each.labels[1]}",
            swatch=own.swatch(),
        )
        for each, own in zip(found.lines, drawn, strict=True)
    )
    return Figure(
        name="lines",
        title="Between runs",
        caption=(
            "The loss at weights (1 − a) u + a v, on the straight line from run u to run v. The barrier is the largest"
            " distance by which the loss exceeds the line between its ends (Entezari et al., 2022). If it is near 0,"
            " the runs lie in one basin and their weights can be averaged. A barrier between runs with different seeds"
            " says little about their functions: units of a layer can swap places without changing what a network"
            " computes, and two networks that differ only in that are far apart. BatchNorm's running averages are"
            " interpolated like the weights; integer buffers are those of the first run."
        ),
        command=command,
        views=(View(label="Lines", panels=tuple(panels), chips=chips),),
    )


def _key(first: str, second: str) -> str:
    return f"{first}-{second}"


def _chips(routes: Sequence[Route], drawn: Sequence[Look]) -> tuple[Chip, ...]:
    pairs = zip(routes, drawn, strict=True)
    return tuple(Chip(key=route.run, label=route.label, swatch=own.swatch()) for route, own in pairs)


def _ground(x: np.ndarray, y: np.ndarray, losses: np.ndarray) -> Json:
    """The loss as colours and lines of equal height, on a logarithmic scale."""
    positive = _positive(losses.ravel())
    low, high = (min(positive), max(positive)) if positive else (1.0, 10.0)
    logs = [[_log(value, low) for value in row] for row in losses.tolist()]
    ticks = log_ticks(low, high)
    return {
        "type": "contour",
        "x": _shorts(x),
        "y": _shorts(y),
        "z": logs,
        "text": [[f"loss {number(value)}" for value in row] for row in losses.tolist()],
        "hoverinfo": "text",
        "colorscale": _SCALE,
        "contours": {"coloring": "heatmap", **_levels(low, high)},
        "line": {"width": 0.7, "color": "rgba(70,90,110,0.45)"},
        "colorbar": {
            "title": {"text": "loss", "side": "top", "font": {"size": 12}},
            "thickness": 10, "len": 0.8, "outlinewidth": 0,
            "tickvals": [math.log10(tick) for tick in ticks], "ticktext": [f"{tick:g}" for tick in ticks],
        },
        "meta": "ground",
    }  # fmt: skip


def _levels(low: float, high: float) -> Json:
    """Lines of equal height, about fifteen of them."""
    span = math.log10(high) - math.log10(low)
    if span <= 1e-9:
        return {}
    return {"start": short(math.log10(low)), "end": short(math.log10(high)), "size": short(span / 15)}


def _log(value: float, low: float) -> float | None:
    return short(math.log10(max(value, low))) if math.isfinite(value) else None


def _path(route: Route, own: Look) -> list[Json]:
    hover = [
        f"<b>{text(route.label)}</b><br>step {step:,}<br>loss {number(loss)}, on the map {number(shadow)}"
        f"<br>{number(off)} from the plane<br>run {text(route.run)}"
        for step, loss, shadow, off in zip(
            route.steps.tolist(), route.losses, route.shadows, route.off, strict=True
        )
    ]
    x, y = _shorts(route.points[:, 0]), _shorts(route.points[:, 1])
    rim = {**line(route.run, own, x, y, hover, mode="lines"), "hoverinfo": "skip"}
    rim["line"] = {"color": "#fff", "width": 4.5}
    marked = line(route.run, own, x, y, hover, sizes=[9, *[3.5] * (len(x) - 2), 11])
    marked["marker"]["line"] = {"color": "#fff", "width": 1}
    ring = line(route.run, own, x[:1], y[:1], hover[:1], mode="markers", sizes=11)
    ring["marker"] |= {"color": "#fff", "line": {"color": own.colour, "width": 2.5}, "symbol": "circle"}
    return [rim, marked, ring]


def _heights(route: Route, own: Look) -> list[Json]:
    """The loss along a run and along its shadow."""
    parts = []
    for values, words, dash in ((route.losses, "loss", "solid"), (route.shadows, "on the map", "dot")):
        hover = [
            f"<b>{text(route.label)}</b><br>step {step:,}: {words} {number(value)}"
            for step, value in zip(route.steps.tolist(), values, strict=True)
        ]
        heights = [value if value > 0 else None for value in values.tolist()]
        trace = line(route.run, own, route.steps.tolist(), heights, hover, mode="lines")
        trace["line"] = {"color": own.colour, "width": 2 if dash == "solid" else 1.6, "dash": dash}
        parts.append(trace)
    return parts


def _slices(each: Around) -> list[Json]:
    middle = len(each.x) // 2
    parts = []
    for number_of, values in ((0, each.losses[middle]), (1, each.losses[:, middle])):
        words = ("first", "second")[number_of]
        hover = [
            f"{words} direction, {at:.3g}: loss {number(v)}" for at, v in zip(each.x, values, strict=True)
        ]
        parts.append(
            line(words, look(number_of), _shorts(each.x), _or_none(values), hover, mode="lines")
            | {"meta": "ground"}
        )
    return parts


def _slices_layout(each: Around) -> Json:
    middle = len(each.x) // 2
    values = _positive([*each.losses[middle], *each.losses[:, middle]])
    span: Json = {"range": [short(each.x[0]), short(each.x[-1])]}
    made = layout(
        "Along the first direction (blue) and the second",
        "multiple of the direction",
        span,
        log_axis(values),
    )
    return {**made, "height": _SQUARE}


def _square(title: str, x_title: str, y_title: str) -> Json:
    """A map: both axes at one scale."""
    made = layout(
        title, x_title, {"showgrid": False, "zeroline": False}, {"showgrid": False, "zeroline": False}
    )
    made["yaxis"] |= {
        "title": {**made["xaxis"]["title"], "text": text(y_title)}, "scaleanchor": "x", "constrain": "domain",
    }  # fmt: skip
    made["xaxis"] |= {"constrain": "domain"}
    return {**made, "height": _SQUARE}


def _positive(values: Sequence[float] | np.ndarray) -> list[float]:
    """What a logarithm can show: not what is a millionth of the highest."""
    found = [float(value) for value in values if 0 < value < math.inf]
    most = max(found, default=1.0)
    return [max(value, _GAPS * most) for value in found]


def _or_none(values: np.ndarray) -> list[float | None]:
    return [value if 0 < value < math.inf else None for value in values.tolist()]


def _shorts(values: np.ndarray) -> list[float]:
    return [short(value) or 0.0 for value in values.tolist()]
