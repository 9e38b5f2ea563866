"""A panel with a row for each of several results: its mean, its interval, and the single values behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ravine.report.chart import INK, MUTED, Json, layout, text

ROW = 42  # px of a row
BETTER, WORSE, OPEN = "#0072B2", "#D55E00", "#5c6670"  # for sure, for sure, and neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, in the unit of the axis.

    Args:
        label: what it is of.
        middle: the mean.
        low, high: of its interval; None: no interval is known.
        dots: the single values, each with what is said of it.
        said: numbers in words, shown below the label.
        hover: what the marks say beside the label.
        colour: of everything in the row.
        filled: the diamond is filled: something is sure.
    """

    label: str
    middle: float
    low: float | None
    high: float | None
    dots: Sequence[tuple[float, str]]
    said: str
    hover: Sequence[str]
    colour: str
    filled: bool = True


def rows_panel(rows: Sequence[Row], *, title: str, x_title: str, zero: bool, most: float = 0.0) -> Json:
    """Rows from top to bottom.

    Args:
        rows: at least one.
        title: what is shown.
        x_title: of the axis.
        zero: 0 means something, and is on the axis with a line of its own.
        most: the axis shows at most this many times the median half width of each interval; 0: all of it.
    """
    places = list(range(len(rows) - 1, -1, -1))
    data = [trace for y, row in zip(places, rows, strict=True) for trace in _traces(y, row)]
    line = {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.2} if zero else {}
    return {
        "data": data,
        "layout": layout(
            title,
            x_title,
            {
                **line, "showgrid": True, "fixedrange": True, "range": list(_reach(rows, zero=zero, most=most)),
                "tickangle": 0, "nticks": 7,
            },
            {
                "tickvals": places, "ticktext": [_tick(row) for row in rows], "showgrid": False,
                "range": [-0.7, len(rows) - 0.4], "fixedrange": True, "tickfont": {"size": 13, "color": INK},
            },
            height=100 + ROW * len(rows),
        ),
    }  # fmt: skip


def _traces(y: int, row: Row) -> list[Json]:
    said = "<br>".join([f"<b>{text(row.label)}</b>", *map(text, row.hover)])
    drawn: list[Json] = []
    if row.low is not None and row.high is not None:
        drawn.append(
            {
                "type": "scatter", "mode": "lines", "x": [row.low, row.high], "y": [y, y],
                "line": {"color": row.colour, "width": 3}, "hoverinfo": "text", "hovertext": [said, said],
                "meta": "ground",
            }
        )  # fmt: skip
    if row.dots:
        drawn.append(
            {
                "type": "scatter", "mode": "markers", "x": [value for value, _ in row.dots],
                "y": [y - 0.28] * len(row.dots), "hoverinfo": "text", "meta": "ground",
                "marker": {"symbol": "circle", "size": 4.5, "color": row.colour, "opacity": 0.45},
                "hovertext": [f"<b>{text(row.label)}</b>, {text(words)}" for _, words in row.dots],
            }
        )  # fmt: skip
    drawn.append(
        {
            "type": "scatter", "mode": "markers", "x": [row.middle], "y": [y],
            "marker": {
                "symbol": "diamond", "size": 12, "color": row.colour if row.filled else "#fff",
                "line": {"color": row.colour, "width": 2},
            },
            "hoverinfo": "text", "hovertext": [said], "meta": "ground",
        }
    )  # fmt: skip
    return drawn


def _tick(row: Row) -> str:
    """A label with its numbers below it, which fits a telephone too."""
    small = f'<span style="font-size:11px;color:{MUTED}">{text(row.said)}</span>'
    return f"{text(row.label)}<br>{small}"


def _reach(rows: Sequence[Row], *, zero: bool, most: float) -> tuple[float, float]:
    """The ends of the axis: an interval that is far wider than most is cut off, or it would flatten all others."""
    halves = sorted((row.high - row.low) / 2 for row in rows if row.low is not None and row.high is not None)
    cut = (most * halves[len(halves) // 2] if halves else 0.0) or math.inf
    values = [0.0] if zero else []
    for row in rows:
        values += [row.middle, *(value for value, _ in row.dots)]
        if row.low is not None and row.high is not None:
            values += [max(row.low, row.middle - cut), min(row.high, row.middle + cut)]
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.02 * abs(high) or 1.0
    return low - room, high + room
