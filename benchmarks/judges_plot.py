"""The figure of judges.md: how often each judge is wrong where methods are equal, and how often it finds one point.

python benchmarks/judges_plot.py judges.jsonl benchmarks/judges.svg
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from judges_cells import joined, kept

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 380, 62, 34, 250, 48
INK, GRID, BLUE, GREY, RED = "#333333", "#dddddd", "#0072b2", "#5c6670", "#d55e00"  # Okabe and Ito's
LINE = 17  # px between two labels


def figure(found: Mapping[str, tuple[float, float]]) -> str:
    """The SVG.

    Args:
        found: by judge, the share of false positives and of differences of one point that were found.
    """
    most = [max(each[axis] for each in found.values()) for axis in (0, 1)]
    ends = math.ceil(20 * most[0] + 0.2) / 20, math.ceil(10 * most[1] + 0.2) / 10

    def x(share: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * share / ends[0]

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share / ends[1]

    parts = [
        f'<text x="{LEFT}" y="20" font-size="13">Better judges are higher, and left of the line at 5 %</text>'
    ]
    for k in range(round(ends[0] * 20) + 1):
        at, dark = x(k / 20), k == 1
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{RED if dark else GRID}"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{5 * k}</text>')
    for k in range(round(ends[1] * 10) + 1):
        at = y(k / 10)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10 * k}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">')
    parts.append("false positives between equal methods, %</text>")
    parts.append(
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
    )
    parts.append("differences of 1 point found, %</text>")
    below = 0.0
    for name, (wrong, right) in sorted(found.items(), key=lambda item: -item[1][1]):
        colour = BLUE if name == "ravine" else GREY
        below = max(below + LINE, y(right) + 4)
        edge = WIDTH - RIGHT
        parts.append(
            f'<path d="M{x(wrong):.1f} {y(right):.1f}L{edge + 6} {below - 4:.1f}h6" stroke="{GRID}" fill="none"/>'
        )
        parts.append(
            f'<circle cx="{x(wrong):.1f}" cy="{y(right):.1f}" r="{6 if colour == BLUE else 4.5}" fill="{colour}"/>'
        )
        weight = ' font-weight="bold"' if colour == BLUE else ""
        text = f"{name} ({100 * wrong:.1f}, {100 * right:.0f})"
        parts.append(f'<text x="{edge + 16}" y="{below:.1f}" fill="{colour}"{weight}>{text}</text>')
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{body}</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", type=Path, help="what judges.py simulated --out wrote")
    parser.add_argument("svg", type=Path)
    args = parser.parse_args()
    cells, _ = kept(args.numbers)
    found = {}
    for name in next(iter(cells.values())):
        null, one = (joined(cells, name, difference=each) for each in (0.0, 0.01))
        found[name] = null.said / len(null.says), one.right / len(one.says)
    args.svg.write_text(figure(found))


if __name__ == "__main__":
    main()
