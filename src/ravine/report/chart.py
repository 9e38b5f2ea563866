"""Plotly traces and layouts as plain JSON, written by hand: plotly's Python classes are not needed for that.

Text that comes from a user's file (labels, hypers) passes through ``text``: plotly reads a few HTML tags and
entities in whatever it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ravine.messages import count
from ravine.report.collect import Band
from ravine.report.palette import Look

Json = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, MUTED, GRID = "#1f2429", "#5c6670", "#e8ebee"
HEIGHT = 330  # px of a panel without the strip of diverged runs
ROW, TIGHT_ROW = 11, 8  # px per rule in that strip; with more than six rules


def text(value: object) -> str:
    """Text that plotly shows as it is: no tag, and no formula between dollar signs."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def short(value: float | None) -> float | None:
    """Five digits are more than a screen shows, and a third of the file; None if not finite."""
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None


def number(value: float) -> str:
    """A number for reading: four digits, no trailing zeros."""
    return f"{value:.4g}"


def percent(value: float) -> str:
    """A share as a percentage for reading."""
    return f"{100 * value:.2f} %"


def line(
    key: str,
    look: Look,
    x: Sequence[float],
    y: Iterable[float | None],
    hover: Sequence[str],
    *,
    mode: str = "lines+markers",
    sizes: float | Sequence[float] = 7,
    few_markers: bool = False,
) -> Json:
    """A line with markers; ``few_markers`` on curves of many points."""
    rim = {"color": look.colour, "width": 1.8 if look.symbol.endswith("-open") else 0}
    marker: Json = {"symbol": look.symbol, "size": sizes, "color": look.colour, "line": rim}
    if few_markers:
        marker["maxdisplayed"] = 9
    return {
        "type": "scatter",
        "mode": mode,
        "x": list(x),
        "y": [short(value) for value in y],
        "line": {"color": look.colour, "width": 2, "dash": look.dash},
        "marker": marker,
        "hoverinfo": "text",
        "hovertext": list(hover),
        "legendgroup": key,
        "meta": "line",
    }


def ribbon(
    key: str,
    look: Look,
    x: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    opacity: float = 0.14,
) -> Json:
    """The range over seeds as a filled outline; it breaks where there is no value."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    start = 0
    while start < len(x):
        if low[start] is None:
            start += 1
            continue
        end = start
        while end < len(x) and low[end] is not None:
            end += 1
        if xs:
            xs.append(None)
            ys.append(None)
        xs += [*x[start:end], *reversed(x[start:end])]
        ys += [short(v) for v in (*low[start:end], *reversed(high[start:end]))]
        start = end
    return {
        "type": "scatter",
        "mode": "lines",
        "x": xs,
        "y": ys,
        "fill": "toself",
        "fillcolor": look.soft(opacity),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "legendgroup": key,
        "meta": "band",
    }


def bars(look: Look, middle: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Json:
    """Error bars from the lower to the upper ends of intervals, for a trace's ``error_y``.

    An end that is drawn above its middle is one whose axis is upside down.
    """
    ups = [max(a, b) - at for at, a, b in zip(middle, low, high, strict=True)]
    downs = [at - min(a, b) for at, a, b in zip(middle, low, high, strict=True)]
    return {
        "type": "data", "symmetric": False, "array": [short(max(up, 0.0)) for up in ups],
        "arrayminus": [short(max(down, 0.0)) for down in downs],
        "color": look.soft(0.55), "thickness": 1.3, "width": 3,
    }  # fmt: skip


def curve(key: str, look: Look, band: Band, label: str, floor: float | None = None) -> list[Json]:
    """A band over steps as a ribbon (where there is more than one seed) and its median line.

    With a ``floor`` the values are accuracies, drawn by their errors (see ``error``).
    """
    show = number if floor is None else percent

    def y(value: float | None) -> float | None:
        return value if floor is None or value is None else error(value, floor)

    hover = []
    for step, median, low, high in zip(band.steps, band.median, band.low, band.high, strict=True):
        words = f"<b>{text(label)}</b><br>step {step:,}: {show(median)}"
        if band.num_seeds > 1 and low is not None and high is not None:
            words += f"<br>{show(low)} to {show(high)} over {count(band.num_seeds, 'seed')}"
        hover.append(words)
    traces = []
    if band.num_seeds > 1:
        traces.append(ribbon(key, look, band.steps, [y(v) for v in band.low], [y(v) for v in band.high]))
    traces.append(line(key, look, band.steps, [y(v) for v in band.median], hover, few_markers=True))
    return traces


def layout(title: str, x_title: str, x: Json, y: Json, height: int = HEIGHT) -> Json:
    """A panel's layout; the title, on the left above, names the vertical axis: it reads without turning."""
    axis: Json = {
        "showline": True, "linecolor": "#9aa3ab", "ticks": "outside", "ticklen": 4, "tickcolor": "#9aa3ab",
        "gridcolor": GRID, "zeroline": False, "automargin": True,
        "tickfont": {"size": 12, "color": MUTED},
    }  # fmt: skip
    return {
        "height": height,
        "margin": {"l": 56, "r": 14, "t": 40, "b": 46},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "font": {"family": FONT, "size": 13, "color": INK},
        "title": {
            "text": text(title), "x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container",
            "yanchor": "top", "pad": {"t": 10, "l": 4}, "font": {"size": 13, "color": INK, "weight": 600},
        },
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "#fff", "bordercolor": "#9aa3ab", "align": "left",
            "font": {"family": FONT, "size": 12.5, "color": INK},
        },
        "xaxis": {**axis, "showgrid": False, "title": _axis_title(x_title), **x},
        "yaxis": {**axis, "showline": False, "ticks": "", **y},
    }  # fmt: skip


def error(accuracy: float, floor: float) -> float:
    """An accuracy in [0, 1] as an error in per cent, no less than the floor: a logarithm has no zero."""
    return max(100 * (1 - accuracy), floor)


_LARGEST = (
    307  # power of ten that an axis reaches, up or down: the largest at which a float has all its digits
)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: linear steps over a short span, then 1-2-5, then decades."""
    low = max(low, 10.0**-_LARGEST)
    if high <= low * (1 + 1e-9):
        return []  # nothing between them that a label would tell apart
    span = math.log10(high) - math.log10(low)
    if span < 0.4:
        step = 10.0 ** math.floor(math.log10(high - low))
        step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2, 5) if (high - low) / (step * part) <= 5)
        return [float(f"{step * k:.12g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    digits = (1, 1.5, 2, 3, 4, 5, 7) if span < 1 else (1, 2, 5) if span < 3.2 else (1,)
    every = math.ceil(span / 7)
    exponents = range(math.floor(math.log10(low)), min(math.ceil(math.log10(high)), _LARGEST) + 1)
    values = [digit * 10.0**k for k in exponents if len(digits) > 1 or k % every == 0 for digit in digits]
    return [value for value in values if low <= value <= high]


def log_axis(values: Iterable[float | None], pad: float = 0.06) -> Json:
    """A logarithmic axis over the positive values; plotly wants the exponents as its range."""
    low, high = _ends(values, pad)
    if low == high:
        return {"type": "log", "showticklabels": False, "showgrid": False}
    ticks = log_ticks(low, high)
    powers = low < 1e-3 or high >= 1e5
    return {
        "type": "log",
        "range": [short(math.log10(low)), short(math.log10(high))],
        "tickvals": ticks,
        "ticktext": [_power(value) if powers else f"{value:g}" for value in ticks],
    }


def accuracy_axis(errors: Iterable[float | None], pad: float = 0.06) -> Json:
    """An axis of accuracies by their errors: logarithmic and upside down, so that better is higher."""
    low, high = _ends(errors, pad)
    if low == high:
        return {"type": "log", "showticklabels": False, "showgrid": False}
    ticks = log_ticks(low, min(high, 100.0))
    return {
        "type": "log",
        "range": [short(math.log10(high)), short(math.log10(low))],
        "tickvals": ticks,
        "ticktext": [f"{100 - value:.6g}" for value in ticks],
    }


def _axis_title(words: str) -> Json:
    return {"text": text(words), "standoff": 6, "font": {"size": 12.5, "color": MUTED}}


def _ends(values: Iterable[float | None], pad: float) -> tuple[float, float]:
    """Lowest and highest positive value with some room around; equal if there is none."""
    logs = [math.log10(value) for value in values if value is not None and 0 < value < math.inf]
    if not logs:
        return 1.0, 1.0
    low, high = min(logs), max(logs)
    room = max(pad * (high - low), 0.02)
    low, high = max(low - room, -_LARGEST), min(high + room, _LARGEST)
    return (10.0**low, 10.0**high) if low < high else (1.0, 1.0)


def _power(value: float) -> str:
    """A number as a power of ten, for plotly: ``10<sup>-4</sup>``, ``2×10<sup>-4</sup>``, ``1``."""
    mantissa, _, tens = f"{value:.5e}".partition("e")
    digits, exponent = f"{float(mantissa):g}", int(tens)
    if exponent in (0, 1):
        return f"{value:g}"
    power = f"10<sup>{exponent}</sup>".replace("-", "−")
    return power if digits == "1" else f"{digits}×{power}"


def visible(values: Sequence[float]) -> list[float]:
    """Leaves out what is a hundred times beyond the upper quartile: it would flatten everything else."""
    ordered = sorted(values)
    if not ordered:
        return []
    top = ordered[(3 * (len(ordered) - 1)) // 4]
    return [value for value in ordered if value <= 100 * max(top, 1e-12)]


def strip(panel: Json, rows: int) -> None:
    """Make room at the top edge for marks of diverged runs: a second vertical axis, a row per rule."""
    room = (ROW if rows <= 6 else TIGHT_ROW) * rows + 8
    panel["height"] += room
    inner = panel["height"] - panel["margin"]["t"] - panel["margin"]["b"]
    bottom = 1 - room / inner
    panel["yaxis"]["domain"] = [0, bottom - 6 / inner]
    panel["yaxis2"] = {
        "domain": [bottom, 1], "range": [-0.8, rows - 0.2],
        "tickvals": [(rows - 1) / 2], "ticktext": ["diverged"],
        "tickfont": {"size": 11, "color": MUTED}, "ticks": "", "showgrid": False, "zeroline": False,
        "fixedrange": True, "anchor": "x", "automargin": True,
    }  # fmt: skip
    panel["shapes"] = [
        {"type": "rect", "xref": "paper", "yref": "paper", "x0": 0, "x1": 1, "y0": bottom, "y1": 1,
         "fillcolor": "#f6f2ee", "line": {"width": 0}, "layer": "below"}
    ]  # fmt: skip
