"""The trivial predictor in a figure: a dashed line at its score, or a note at the edge where that is far away."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from ravine.outcomes.trivial import Trivial
from ravine.report.chart import MUTED, Json, error, number, short, text
from ravine.report.chart import percent as shown_share

Axis = Literal["x", "y"]

_NEAR = 0.3  # of the range of the data: by so much the axis goes on to reach the line
_LEAST = 0.05  # decades that such a range is taken for at least


def height(trivial: Trivial | None, metric: str, floor: float | None = None) -> float | None:
    """Where the trivial predictor is drawn: a loss as it is, an accuracy by its error.

    Args:
        trivial: of the study; None: there is none.
        metric: as a run's, on validation or test.
        floor: of an error in per cent; None: the metric is no accuracy.

    Returns:
        None: there is nothing to draw.
    """
    value = trivial.metrics.get(metric) if trivial is not None else None
    if value is None or not math.isfinite(value):
        return None
    return value if floor is None else error(value, floor)


def reaching(values: Iterable[float | None], y: float | None) -> list[float]:
    """What a logarithmic axis is to show: the values, and the line's height if that is near them.

    Example:
        >>> reaching([1.0, 2.0], 2.4), reaching([1.0, 2.0], 90.0)
        ([1.0, 2.0, 2.4], [1.0, 2.0])
    """
    shown = [value for value in values if value is not None and 0 < value < math.inf]
    if y is None or y <= 0 or not shown:
        return shown
    low, high = math.log10(min(shown)), math.log10(max(shown))
    room = _NEAR * max(high - low, _LEAST)
    return [*shown, y] if low - room <= math.log10(y) <= high + room else shown


def mark(
    trivial: Trivial | None, panel: Json, metric: str, floor: float | None = None, *, along: Axis = "y"
) -> Json:
    """A panel with the trivial predictor in it.

    Args:
        trivial: of the study; None: there is none.
        panel: its axis has the metric, and a range.
        metric, floor: as in `height`.
        along: which of its axes that is.
    """
    at = height(trivial, metric, floor)
    if at is None or trivial is None:
        return panel
    value = trivial.metrics[metric]
    return _marked(trivial, panel, at, number(value) if floor is None else shown_share(value), along)


def mark_linear(trivial: Trivial | None, panel: Json, metric: str, *, percent: bool) -> Json:
    """The same on a vertical axis that is linear, and has no range yet.

    Args:
        trivial, panel, metric: as in `mark`.
        percent: the axis is of per cent.
    """
    at = height(trivial, metric)
    ends = [
        value
        for trace in panel["data"]
        if trace.get("yaxis", "y") == "y"
        for value in trace["y"]
        if value is not None
    ]
    if at is None or trivial is None or not ends:
        return panel
    low, high = min(ends), max(ends)
    drawn, least = (100 * at, 1.0) if percent else (at, 0.01 * abs(high))
    room = _NEAR * max(high - low, least)
    if low - room <= drawn <= high + room:
        low, high = min(low, drawn), max(high, drawn)
    pad = 0.05 * max(high - low, least)
    panel["layout"]["yaxis"]["range"] = [short(low - pad), short(high + pad)]
    return _marked(trivial, panel, drawn, shown_share(at) if percent else number(at), "y")


def _marked(trivial: Trivial, panel: Json, at: float, value: str, along: Axis) -> Json:
    layout = panel["layout"]
    axis = layout[f"{along}axis"]
    is_log = axis.get("type") == "log"
    if "range" not in axis or (is_log and at <= 0):
        return panel
    low, high = axis["range"]
    place = ((math.log10(at) if is_log else at) - low) / (high - low)
    inside, other = 0 <= place <= 1, "x" if along == "y" else "y"
    if inside:
        line = {
            "type": "line", f"{along}ref": along, f"{along}0": short(at), f"{along}1": short(at),
            f"{other}ref": f"{other} domain", f"{other}0": 0, f"{other}1": 1,
            "line": {"color": MUTED, "width": 1.3, "dash": "dash"}, "layer": "below",
        }  # fmt: skip
        layout["shapes"] = [*layout.get("shapes", ()), line]
    beyond = "" if inside else {"x": " ←", "y": " ↓"}[along] if place < 0 else {"x": " →", "y": " ↑"}[along]
    spot = min(max(place, 0.0), 1.0)
    where: Json = {
        "y": {"x": 1, "xanchor": "right", "y": spot, "yanchor": "bottom" if spot < 0.9 else "top"},
        "x": {"y": 1, "yanchor": "top", "x": spot, "xanchor": "left" if spot < 0.5 else "right"},
    }[along]
    note = where | {
        "xref": "x domain", "yref": "y domain", "text": text(f"{trivial.name} {value}{beyond}"),
        "showarrow": False, "borderpad": 1,
        "bgcolor": "rgba(255,255,255,0.75)", "font": {"size": 11, "color": MUTED},
        "hovertext": text(trivial.about),
    }  # fmt: skip
    layout["annotations"] = [*layout.get("annotations", ()), note]
    return panel


def about(trivial: Trivial | None) -> str:
    """What the line is, for captions; empty where there is none."""
    if trivial is None:
        return ""
    return (
        f" A dashed line, or a note at the edge where that is far away, shows what always predicting "
        f"{trivial.phrase} reaches."
    )


OF_POOLS = {
    "nll": "validation_loss",
    "mse": "validation_loss",
    "accuracy": "validation_accuracy",
    "brier": "validation_brier",
}
"""The metrics of scores of pools."""
