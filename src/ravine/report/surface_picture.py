"""Paths over a surface as a picture for slides and papers: SVG, PNG, or an animated GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.errors import InputError
from ravine.report.outline import FINE, outline, polyline
from ravine.report.palette import Look, looks
from ravine.rules import rule
from ravine.surfaces import Path, Point, Scene, path
from ravine.surfaces.machine_code import Walk
from ravine.surfaces.traced import trace_rule, trace_surface
from ravine.surfaces.tuning import best_path

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, ROW = 720, 30  # pixels: of the map, of a line of the legend
_GRID, _BANDS = 121, 16
_PALE, _DEEP = np.array([247, 249, 251]), np.array([122, 146, 171])
_RED, _INK = "#d3212d", "#1f2429"
_FINER = 2  # a picture is drawn so many times larger, for smooth edges
_FRAMES, _FRAME_MS, _LAST_MS = 60, 80, 2500


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A rule's path in pixels, (S, 2), finite points alone, and the words of its legend."""

    pixels: np.ndarray
    look: Look
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn: bands from high to low (a colour, polygons in pixels), lines, the lowest points, the starts."""

    bands: tuple[tuple[str, tuple[np.ndarray, ...]], ...]
    lines: tuple[Line, ...]
    minima: tuple[Point, ...]
    starts: tuple[Point, ...]
    columns: int = 2  # of the legend

    @property
    def height(self) -> int:
        """Of all, in pixels."""
        return SIDE + 16 + ROW * -(-len(self.lines) // self.columns)


def collect(scene: Scene) -> Picture:
    """The numbers of a scene's picture; each rule at the scene's learning rate, or its best one."""
    ground = scene.surface
    left, right, bottom, top = ground.domain
    heights = _heights(scene)

    def pixel(points: np.ndarray) -> np.ndarray:
        return (points - (left, top)) / (right - left, bottom - top) * SIDE

    known = np.array(ground.minima or [_lowest(ground.domain, heights)])
    lowest = float(heights.min())
    for minimum in ground.minima:
        at_it = path(rule("sgd"), ground, start=minimum, hypers={"lr": 1.0}, steps=0)
        lowest = min(lowest, float(at_it.losses[0]))
    drawn = looks(each.name for each in scene.rules)
    given: dict[str, Any] = {
        "start": scene.start,
        "steps": scene.steps,
        "noise": scene.noise,
        "seed": scene.seed,
    }
    lines = []
    for each in scene.rules:
        if each.name not in scene.on:
            continue
        if scene.lr is None and each.name not in scene.fixed:
            lr, found = best_path(trace_rule(each), ground, lowest=lowest, **given)
        else:
            lr = scene.lr or each.hypers["lr"].default or 0.01
            found = path(each, ground, hypers={"lr": lr}, **given)
        lines.append(_line(each.name, lr, found, drawn[each.name], pixel, scene.steps))
    return Picture(
        bands=bands(heights, lowest),
        lines=tuple(lines),
        minima=tuple((float(x), float(y)) for x, y in pixel(known)),
        starts=(tuple(pixel(np.array(scene.start)).tolist()),),
    )


def svg(picture: Picture) -> str:
    """As an SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {picture.height}" width="{SIDE}" '
        f'height="{picture.height}" font-family="system-ui, Arial, sans-serif" font-size="15">',
        f'<rect width="{SIDE}" height="{picture.height}" fill="#fff"/>',
        f'<clipPath id="map"><rect width="{SIDE}" height="{SIDE}" rx="8"/></clipPath><g clip-path="url(#map)">',
        f'<rect width="{SIDE}" height="{SIDE}" fill="{_colour(0)}"/>',
    ]
    parts.append(f'<g transform="scale({1 / FINE:g})">')
    for colour, polygons in picture.bands:
        parts.append(f'<path d="{outline(polygons, SIDE / (_GRID - 1))}" fill="{colour}"/>')
    parts.append("</g>")
    parts += [_dot(x, y, 6, _RED, "#fff") for x, y in picture.minima]
    parts.append(
        f'<g transform="scale({1 / FINE:g})" fill="none" stroke-linejoin="round" stroke-linecap="round">'
    )
    for line in picture.lines:
        drawn = polyline(line.pixels)
        for colour, width in (("#fff", 4.5), (line.look.colour, 2.4)):
            parts.append(f'<path d="{drawn}" stroke="{colour}" stroke-width="{width * FINE:g}"/>')
    parts.append("</g>")
    parts += [
        _dot(line.pixels[-1][0], line.pixels[-1][1], 5.5, line.look.colour, "#fff") for line in picture.lines
    ]
    parts += [*(_dot(x, y, 7, "#fff", _INK, 3) for x, y in picture.starts), "</g>"]
    for line, (x, y) in zip(picture.lines, _places(picture), strict=True):
        parts.append(f'<path d="M{x} {y}h30" stroke="{line.look.colour}" stroke-width="4"/>')
        parts.append(f'<text x="{x + 40}" y="{y + 5}" fill="{_INK}">{escape(line.label)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def png(picture: Picture) -> bytes:
    """As a PNG.

    Raises:
        InputError: Pillow is missing.
    """
    out = io.BytesIO()
    _drawn(picture, _base(picture), _until(picture, 1.0)).save(out, "PNG", optimize=True)
    return out.getvalue()


def gif(picture: Picture) -> bytes:
    """As an animation of the steps.

    Raises:
        InputError: Pillow is missing.
    """
    base = _base(picture)
    from PIL.Image import Quantize

    # By coverage: the median cut, the default, takes the few red pixels for orange ones.
    shown = [_until(picture, (number + 1) / _FRAMES) for number in range(_FRAMES)]
    drawn = {
        until: _drawn(picture, base, until).quantize(128, method=Quantize.MAXCOVERAGE)
        for until in dict.fromkeys(shown)  # a few steps give a few different frames
    }
    frames = [drawn[until] for until in shown]
    out = io.BytesIO()
    times = [_FRAME_MS] * (_FRAMES - 1) + [_LAST_MS]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return out.getvalue()


def _base(picture: Picture) -> Image:
    """The map without paths, and the legend."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise InputError(
            "PNG and GIF need Pillow: pip install 'ravine[images]'; .svg and .html need nothing"
        ) from None
    image = Image.new("RGB", (SIDE * _FINER, picture.height * _FINER), "#fff")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIDE * _FINER, SIDE * _FINER), fill=_colour(0))
    for colour, polygons in picture.bands:
        for polygon in polygons:
            draw.polygon([tuple(point) for point in polygon * _FINER], fill=colour, outline=colour)
    for x, y in picture.minima:
        _disc(draw, x, y, 6, _RED, "#fff")
    font = ImageFont.load_default(15 * _FINER)
    for line, (x, y) in zip(picture.lines, _places(picture), strict=True):
        box = (x * _FINER, (y - 2) * _FINER, (x + 30) * _FINER, (y + 2) * _FINER)
        draw.rectangle(box, fill=line.look.colour)
        draw.text(((x + 40) * _FINER, y * _FINER), line.label, fill=_INK, font=font, anchor="lm")
    return image


def _until(picture: Picture, share: float) -> tuple[int, ...]:
    """How many points of each line a share of the steps are."""
    return tuple(max(1, round(share * len(line.pixels))) for line in picture.lines)


def _drawn(picture: Picture, base: Image, until: Sequence[int]) -> Image:
    """The picture with so many points of each line."""
    from PIL import ImageDraw

    image = base.crop((0, 0, SIDE * _FINER, SIDE * _FINER))
    draw = ImageDraw.Draw(image)
    for line, num in zip(picture.lines, until, strict=True):
        points = [tuple(point) for point in line.pixels[:num] * _FINER]
        for colour, width in (("#fff", 4.5), (line.look.colour, 2.4)):
            if len(points) > 1:
                draw.line(points, fill=colour, width=round(width * _FINER), joint="curve")
    for line, num in zip(picture.lines, until, strict=True):
        x, y = line.pixels[num - 1]
        _disc(draw, x, y, 5.5, line.look.colour, "#fff")
    for start in picture.starts:
        _disc(draw, *start, 7, "#fff", _INK)
    whole = base.copy()
    whole.paste(image, (0, 0))
    return whole.resize((SIDE, picture.height))


def _disc(draw: Any, x: float, y: float, radius: float, fill: str, edge: str) -> None:
    box = [(value + side * radius) * _FINER for side in (-1, 1) for value in (x, y)]
    draw.ellipse(box, fill=fill, outline=edge, width=2 * _FINER)


def _line(name: str, lr: float, found: Path, look: Look, pixel: Any, steps: int) -> Line:
    finite = np.isfinite(found.losses)
    # Far off the map a number of pixels is of no use to anybody, and may be beyond what a drawing takes.
    pixels = np.clip(pixel(found.points[finite]), -10 * SIDE, 11 * SIDE)
    num = int(finite.sum())
    end = f"loss {found.losses[num - 1]:.2g}" if num > steps else f"diverged at step {num}"
    return Line(pixels=pixels, look=look, label=f"{name.replace('_', ' ')}, lr {lr:.3g}: {end}")


def _heights(scene: Scene) -> np.ndarray:
    left, right, bottom, top = scene.surface.domain
    across, up = np.meshgrid(np.linspace(left, right, _GRID), np.linspace(top, bottom, _GRID))
    walk = Walk(trace_rule(rule("sgd")), trace_surface(scene.surface))
    params = [param.default or 0.0 for param in scene.surface.params.values()]
    found = walk(np.stack((across.ravel(), up.ravel()), axis=1), [0.0], params, np.zeros((0, 2)))
    return np.where(np.isnan(found), np.inf, found).reshape(_GRID, _GRID)


def _lowest(domain: tuple[float, float, float, float], heights: np.ndarray) -> Point:
    left, right, bottom, top = domain
    row, column = np.unravel_index(int(heights.argmin()), heights.shape)
    scale = _GRID - 1
    return left + (right - left) * int(column) / scale, top - (top - bottom) * int(row) / scale


def bands(
    heights: np.ndarray, lowest: float, *, even: bool = False
) -> tuple[tuple[str, tuple[np.ndarray, ...]], ...]:
    """What lies below each of the levels, the highest first: a colour, and polygons in pixels of the map.

    Args:
        heights: a square of them, the first row on top; may be infinite.
        lowest: where the levels begin.
        even: levels at equal distances; by default they are closer where it is low.
    """
    finite = heights[np.isfinite(heights)]
    parts = range(1, _BANDS)
    if even:
        levels = [lowest + (float(finite.max()) - lowest) * k / _BANDS for k in parts]
    else:
        scale = max((float(np.median(finite)) - lowest) / 12, 1e-300)
        span = float(np.log1p((finite.max() - lowest) / scale)) or 1.0
        levels = [lowest + scale * float(np.expm1(span * k / _BANDS)) for k in parts]
    return tuple(
        (_colour(1 - (k + 0.5) / len(levels)), tuple(_below(heights, levels[k])))
        for k in reversed(range(len(levels)))
    )


def _below(heights: np.ndarray, level: float) -> list[np.ndarray]:
    """Polygons that cover where the heights are below a level: runs of whole cells, and cut cells."""
    cell = SIDE / (len(heights) - 1)
    low = heights <= level
    count = low[:-1, :-1].astype(int) + low[:-1, 1:] + low[1:, 1:] + low[1:, :-1]
    found = []
    for row in range(len(heights) - 1):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], count[row] == 4, [0]))))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            corners = [(start, row), (end, row), (end, row + 1), (start, row + 1)]
            found.append(np.array(corners, dtype=float) * cell)
        for column in np.flatnonzero((count[row] > 0) & (count[row] < 4)):
            found.append(np.array(_cut(heights, level, int(column), row)) * cell)
    return found


def _cut(heights: np.ndarray, level: float, column: int, row: int) -> list[tuple[float, float]]:
    corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
    over = [float(heights[y, x]) - level for x, y in corners]
    outline: list[tuple[float, float]] = []
    for here in range(4):
        after = (here + 1) % 4
        (x, y), (u, v) = corners[here], corners[after]
        if over[here] <= 0:
            outline.append((x, y))
        if (over[here] <= 0) != (over[after] <= 0):
            gap = over[here] - over[after]
            share = over[here] / gap if np.isfinite(gap) else 0.5
            outline.append((x + share * (u - x), y + share * (v - y)))
    return outline


def _places(picture: Picture) -> list[Point]:
    """Where the lines of the legend begin."""
    num = picture.columns
    return [(8 + SIDE / num * (i % num), SIDE + 24 + ROW * (i // num)) for i in range(len(picture.lines))]


def _colour(share: float) -> str:
    red, green, blue = (np.rint(_PALE + (_DEEP - _PALE) * share)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _dot(x: float, y: float, radius: float, fill: str, edge: str, width: float = 2) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{edge}" stroke-width="{width}"/>'
