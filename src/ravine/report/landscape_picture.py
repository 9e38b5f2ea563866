"""The paths of runs in their plane, as a picture for slides and papers."""

from __future__ import annotations

import numpy as np

from ravine.landscapes.scenes import Plane
from ravine.report.palette import look
from ravine.report.surface_picture import SIDE, Line, Picture, bands


def collect(plane: Plane) -> Picture:
    """The numbers of a plane's picture."""

    def pixels(points: np.ndarray) -> np.ndarray:
        left, top = plane.x[0], plane.y[-1]
        placed: np.ndarray = (points - (left, top)) / (plane.x[-1] - left, plane.y[0] - top) * SIDE
        return placed

    heights = np.where(np.isfinite(plane.losses), plane.losses, np.inf)[::-1]
    logs = np.log10(np.maximum(heights, 1e-6 * float(heights[np.isfinite(heights)].max(initial=1e-300))))
    lines = tuple(
        Line(
            pixels=pixels(route.points),
            look=look(i),
            label=f"{route.label}: loss {route.losses[-1]:.2g}; {route.outside:.0%} of its variance outside",
        )
        for i, route in enumerate(plane.routes)
    )
    starts = dict.fromkeys(
        (round(float(x), 1), round(float(y), 1)) for x, y in (line.pixels[0] for line in lines)
    )
    return Picture(
        bands=bands(logs, float(logs.min()), even=True),
        lines=lines,
        minima=(),
        starts=tuple(starts),
        columns=1,
    )
