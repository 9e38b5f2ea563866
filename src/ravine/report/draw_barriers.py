"""Figure ``barriers``: the loss on the straight lines between members whose weights were to be averaged."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ravine.messages import count
from ravine.report.chart import Json, layout, line, number, ribbon, short, text
from ravine.report.palette import Look, look
from ravine.report.views import Chip, Figure, View
from ravine.soups.basin import TOLERANCE, Way
from ravine.soups.findings import Soup
from ravine.soups.tried import Tried
from ravine.soups.words import ways_grid

_MOST = 8  # ways that are drawn, those with the highest bounds
_CROWDED = 3  # ways whose bounds are drawn without being picked


def draw_barriers(soup: Soup, command: str) -> Figure:
    """A view for each group of members that was tried, the chosen one first.

    Args:
        soup: what averaging came to.
        command: what makes the figure again.
    """
    tried = sorted(soup.tried, key=lambda each: each is not soup.chosen)
    drawn = [each for each in tried if each.ways]
    regression = soup.found.task == "regression"
    crowded = any(len(each.ways) > _CROWDED for each in drawn)
    caption = (
        "On the left, the validation loss at weights (1 − a) u + a v, on the straight line from member u to member v,"
        " and dotted the straight line between its ends. On the right, how far the loss is above that line, as a part"
        " of the mean of the ends. A shaded area reaches up to the one-sided 95 % bound of each point"
        f"{'; with this many lines, pick some from the legend to see it' if crowded else ''}. The dashed line is what"
        f" is allowed, {100 * TOLERANCE:g} %: where a bound is above it, a barrier cannot be ruled out, and the weights"
        " are not averaged. BatchNorm's statistics are estimated again at every point."
    )
    if not drawn:
        caption = "Nothing to draw: there is only one member."
    return Figure(
        name="barriers",
        title="Barriers between members",
        lead=" ".join(soup.sentences),
        caption=caption,
        command=command,
        views=tuple(_view(each, regression=regression) for each in drawn),
        select="Members",
        crowded=crowded,
        table=ways_grid(soup.found),
    )


def _view(tried: Tried, *, regression: bool) -> View:
    ways = sorted(tried.ways, key=lambda way: way.tolerance - way.upper)[:_MOST]
    names = {member.name: member.short for member in tried.members}
    labels = [f"{names[way.first]} → {names[way.second]}" for way in ways]
    looks = [look(place) for place in range(len(ways))]
    loss = "MSE (target units²)" if regression else "NLL (nats)"
    drawn = list(zip(ways, labels, looks, strict=True))
    hidden = len(tried.ways) - len(ways)
    outcome = (
        "averaged" if tried.accepted else "refused" if tried.blocked else "no better than the best of them"
    )
    note = f"{_capital(tried.words)}: {outcome}."
    if hidden:
        note += f" {count(hidden, 'line')} with lower bounds {'is' if hidden == 1 else 'are'} left out."
    return View(
        label=_capital(re.split("[:,]", tried.words)[0]),
        panels=(
            {
                "data": [trace for way, label, own in drawn for trace in _losses(way, label, own)],
                "layout": layout(f"Validation {loss}", "share of the way", {"range": [-0.02, 1.02]}, {}),
            },
            _above(drawn),
        ),
        chips=tuple(Chip(key=_key(way), label=label, swatch=own.swatch()) for way, label, own in drawn),
        note=note,
    )


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _key(way: Way) -> str:
    return f"{way.first}-{way.second}"


def _losses(way: Way, label: str, own: Look) -> list[Json]:
    hover = [f"<b>{text(label)}</b><br>{x:.1f} of the way: {number(v)}" for x, v in _points(way, way.losses)]
    x = [short(value) or 0.0 for value in way.x.tolist()]
    straight = line(_key(way), own, [0.0, 1.0], way.losses[[0, -1]].tolist(), ["", ""], mode="lines")
    straight |= {"hoverinfo": "skip", "line": {"color": own.colour, "width": 1.2, "dash": "dot"}}
    return [straight, line(_key(way), own, x, way.losses.tolist(), hover)]


def _points(way: Way, values: np.ndarray) -> list[tuple[float, float]]:
    return list(zip(way.x.tolist(), values.tolist(), strict=True))


def _above(drawn: Sequence[tuple[Way, str, Look]]) -> Json:
    """How far losses are above the lines between their ends, in per cent of the mean of the ends."""
    data: list[Json] = [
        {
            "type": "scatter", "mode": "lines", "x": [0, 1], "y": [100 * TOLERANCE] * 2, "hoverinfo": "text",
            "hovertext": [f"allowed: {100 * TOLERANCE:g} %"] * 2, "meta": "ground",
            "line": {"color": "#5c6670", "width": 1.2, "dash": "dash"},
        }
    ]  # fmt: skip
    for way, label, own in drawn:
        unit = 100.0 / (way.tolerance / TOLERANCE)
        chord = (1.0 - way.x) * way.losses[0] + way.x * way.losses[-1]
        above, bounds = unit * (way.losses - chord), unit * way.bounds
        x = [short(value) or 0.0 for value in way.x.tolist()]
        known = np.isfinite(above) & np.isfinite(bounds)
        low = [float(value) if ok else None for value, ok in zip(above, known, strict=True)]
        high = [float(value) if ok else None for value, ok in zip(bounds, known, strict=True)]
        hover = [
            f"<b>{text(label)}</b><br>{at:.1f} of the way: {number(value)} % above the line"
            f"<br>at most {number(bound)} %"
            for at, value, bound in zip(x, above.tolist(), bounds.tolist(), strict=True)
        ]
        data += [ribbon(_key(way), own, x, low, high), line(_key(way), own, x, above.tolist(), hover)]
    title = "Above the straight line (% of the ends' mean)"
    zero: Json = {"zeroline": True, "zerolinecolor": "#9aa3ab", "zerolinewidth": 1}
    return {"data": data, "layout": layout(title, "share of the way", {"range": [-0.02, 1.02]}, zero)}
