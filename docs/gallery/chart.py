"""Curves on a logarithmic axis as a small SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 420, 64, 24, 48
INK, GRID = "#1f2429", "#e3e7eb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Positive numbers against a step, with its name and how it is drawn."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = ""


def chart(
    curves: Sequence[Curve], *, across: str, up: str, ceiling: float = math.inf, room: int = 150
) -> str:
    """An SVG of curves, each named at its right end.

    Args:
        curves: what is drawn.
        across: what the x axis counts.
        up: what the logarithmic y axis measures.
        ceiling: the largest number that has room; above it curves leave the chart.
        room: pixels for the names.
    """
    low = math.floor(math.log10(min(min(curve.y) for curve in curves)))
    high = math.ceil(math.log10(min(ceiling, max(max(curve.y) for curve in curves))))
    last = max(max(curve.x) for curve in curves)
    right, floor = WIDTH - room, HEIGHT - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(y) - low) / (high - low)
        return LEFT + x / last * (right - LEFT), floor - share * (floor - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, Arial, sans-serif" font-size="14" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<clipPath id="c"><path d="M{LEFT} {TOP}H{right}V{floor + 2}H{LEFT}Z"/></clipPath>',
    ]
    for power in range(low, high + 1):
        _, y = place(0, 10.0**power)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for x in np.linspace(0, last, 5):
        parts.append(f'<text x="{place(x, 1.0)[0]:.1f}" y="{floor + 20}" text-anchor="middle">{x:.0f}</text>')
    parts.append(
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>'
    )
    parts.append(f'<text x="{LEFT}" y="{TOP - 9}" text-anchor="middle">{escape(up)}</text>')
    ends: dict[str, float] = {}
    for curve in curves:
        points = [place(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{curve.dash}"' if curve.dash else ""
        parts.append(
            f'<path d="M{line}" fill="none" stroke="{curve.colour}" stroke-width="2.4" clip-path="url(#c)"{dash}/>'
        )
        ends[curve.label] = points[-1][1]
    colours = {curve.label: curve.colour for curve in curves}
    for label, y in _apart(ends).items():
        parts.append(f'<text x="{right + 8}" y="{y + 5:.1f}" fill="{colours[label]}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _apart(ends: Mapping[str, float], gap: float = 18.0) -> dict[str, float]:
    """Heights of names, moved down where they would touch."""
    found: dict[str, float] = {}
    before = -math.inf
    for label, y in sorted(ends.items(), key=lambda item: item[1]):
        before = max(y, before + gap)
        found[label] = before
    return found
