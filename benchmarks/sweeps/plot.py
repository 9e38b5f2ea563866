"""A small SVG: time and memory per run against the number of runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeps.summary import Spread

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 360, 260, 56, 34, 14, 44
INK, GRID, BLUE = "#333333", "#dddddd", "#0072b2"  # the blue of Okabe and Ito: safe for the colour-blind


def two_panels(sizes: Sequence[int], panels: Sequence[tuple[str, Sequence[Spread]]]) -> str:
    """Panels side by side, both axes logarithmic: medians, and the spread as bars."""
    drawn = "".join(_panel(i * WIDTH, title, sizes, values) for i, (title, values) in enumerate(panels))
    width = WIDTH * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}">'
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>{drawn}</svg>\n'
    )


def _panel(left: float, title: str, sizes: Sequence[int], values: Sequence[Spread]) -> str:
    low = math.floor(math.log10(min(v.low for v in values)))
    high = max(low + 1, math.ceil(math.log10(max(v.high for v in values))))
    most = math.log2(max(sizes)) or 1.0

    def x(size: int) -> float:
        return left + LEFT + (WIDTH - LEFT - RIGHT) * math.log2(size) / most

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(value)) / (high - low)

    parts = [f'<text x="{left + LEFT}" y="20" font-size="13">{title}</text>']
    for exponent in range(low, high + 1):
        at = y(10.0**exponent)
        parts.append(f'<path d="M{left + LEFT} {at:.1f}H{left + WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(
            f'<text x="{left + LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>'
        )
    for size in sizes:
        parts.append(f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{size}</text>')
    middle = left + (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">runs</text>')
    line = " ".join(f"{x(size):.1f},{y(v.median):.1f}" for size, v in zip(sizes, values, strict=True))
    parts.append(f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for size, v in zip(sizes, values, strict=True):
        parts.append(f'<path d="M{x(size):.1f} {y(v.low):.1f}V{y(v.high):.1f}" stroke="{BLUE}"/>')
        parts.append(f'<circle cx="{x(size):.1f}" cy="{y(v.median):.1f}" r="3.5" fill="{BLUE}"/>')
    return "".join(parts)
