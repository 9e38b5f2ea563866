"""The outline of many polygons that touch: what they share is no edge of what they cover, and costs no bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Grid = tuple[int, int]
FINE = 10  # coordinates are whole tenths of a pixel


def outline(polygons: Sequence[np.ndarray], cell: float) -> str:
    """The `d` of an SVG path, in tenths of a pixel, that covers what the polygons cover.

    Args:
        polygons: in pixels, each (N, 2), all turning the same way and none over another. Where one has a corner on
            another's edge, that is a horizontal edge and the corner lies on a multiple of `cell`.
        cell: pixels.

    Example:
        >>> left, right = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[1, 0], [2, 0], [2, 1], [1, 1]])
        >>> outline([left, right], 1.0)
        'm0 0h20v10h-20z'
    """
    after: dict[Grid, list[Grid]] = {}
    for polygon in polygons:
        corners = [
            corner for x, y in _split(polygon, cell) for corner in [(round(x * FINE), round(y * FINE))]
        ]
        for here, there in zip(corners, corners[1:] + corners[:1], strict=True):
            if here == there:
                continue
            back = after.get(there, [])
            if here in back:
                back.remove(here)
            else:
                after.setdefault(here, []).append(there)
    parts, at = [], (0, 0)
    for start in after:
        while after[start]:
            loop = _without_straights(_loop(start, after))
            if len(loop) > 2:
                parts.append(_drawn(loop, at))
                at = loop[0]
    return "".join(parts)


def polyline(pixels: np.ndarray) -> str:
    """The `d` of a path through points in pixels, in tenths of one; points that fall on the one before are left out."""
    points = np.rint(pixels * FINE).astype(int).tolist()
    found = [points[0]]
    for point in points[1:]:
        if point != found[-1]:
            found.append(point)
    return f"M{_numbers(found[:1])}" + (
        f"l{_numbers(np.diff(found, axis=0).tolist())}" if len(found) > 1 else "h0"
    )


def _split(polygon: np.ndarray, cell: float) -> list[tuple[float, float]]:
    """With a corner at each multiple of a cell along horizontal edges."""
    found = []
    for (x, y), (u, v) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
        found.append((x, y))
        num = round(abs(u - x) / cell) if y == v else 0
        found += [(x + (u - x) * k / num, y) for k in range(1, num)]
    return found


def _loop(start: Grid, after: dict[Grid, list[Grid]]) -> list[Grid]:
    """A closed way along edges, which are used up: as many lead to every corner as away from it."""
    found, here = [start], after[start].pop()
    while here != start:
        found.append(here)
        here = after[here].pop()
    return found


def _without_straights(loop: list[Grid]) -> list[Grid]:
    return [
        here
        for before, here, there in zip(loop[-1:] + loop[:-1], loop, loop[1:] + loop[:1], strict=True)
        if (here[0] - before[0]) * (there[1] - here[1]) != (here[1] - before[1]) * (there[0] - here[0])
    ]


def _drawn(loop: list[Grid], at: Grid) -> str:
    parts = [f"m{_numbers([(loop[0][0] - at[0], loop[0][1] - at[1])])}"]
    for (x, y), (u, v) in pairwise(loop):
        if y == v:
            parts.append(f"h{u - x}")
        else:
            parts.append(f"v{v - y}" if x == u else f"l{_numbers([(u - x, v - y)])}")
    return "".join([*parts, "z"])


def _numbers(points: Sequence[Sequence[int]]) -> str:
    """Blanks only where no sign separates two numbers."""
    return " ".join(str(value) for point in points for value in point).replace(" -", "-")
