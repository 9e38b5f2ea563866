"""Pictures of paths: their numbers, and files that can be read."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import ravine
from ravine.errors import InputError
from ravine.report.outline import FINE, outline, polyline
from ravine.report.surface_picture import SIDE, collect, svg
from ravine.rules import rule
from ravine.surfaces import own_surface, path, scene, surface
from ravine.surfaces.traced import trace_rule
from ravine.surfaces.tuning import best_path


def test_the_lines_are_the_paths() -> None:
    picture = collect(scene("rosenbrock", rules=["momentum", "sgd"], lr=1e-3, steps=50))
    found = path(rule("momentum"), surface("rosenbrock"), hypers={"lr": 1e-3}, steps=50)
    x, y = found.points.T
    expected = np.stack(((x + 2) / 4 * SIDE, (3 - y) / 4 * SIDE), axis=1)
    np.testing.assert_allclose(picture.lines[0].pixels, expected, atol=1e-9)
    assert picture.lines[0].label == f"momentum, lr 0.001: loss {found.losses[-1]:.2g}"
    assert picture.minima == ((0.75 * SIDE, 0.5 * SIDE),)
    assert picture.starts == ((0.125 * SIDE, 0.25 * SIDE),)


def test_the_bands_cover_what_is_below_their_level() -> None:
    picture = collect(scene(lambda x: x[0] + 2, rules=["sgd"], lr=0.1, steps=1))
    sizes = []
    for _, polygons in picture.bands:
        xs, ys = [np.concatenate([polygon[:, i] for polygon in polygons]) for i in (0, 1)]
        assert (xs.min(), ys.min(), ys.max()) == (0, 0, SIDE)
        sizes.append(xs.max())
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < SIDE


def test_the_best_learning_rate_is_the_closed_forms() -> None:
    """On an ellipse of curvatures 1 and 25 gradient descent is fastest at 2 / 26, from a start along both axes."""
    sgd = trace_rule(rule("sgd"))
    lr, found = best_path(
        sgd, surface("ellipse"), start=(-2.0, 1.0), steps=300, noise=0.0, seed=0, lowest=0.0
    )
    assert 2 / 26 / 1.34 < lr < 2 / 26 * 1.04  # neighbours on the grid are 1.33 apart, and 2 / 25 diverges
    assert found.losses[-1] < 1e-12


def test_a_diverging_path_is_drawn_and_told() -> None:
    picture = collect(scene("rosenbrock", rules=["sgd"], lr=1.0, steps=50))
    assert "diverged at step" in picture.lines[0].label
    assert np.isfinite(picture.lines[0].pixels).all()


def test_a_rule_without_an_expression_is_drawn_too() -> None:
    def update(grad, state, param, hypers, t):  # type: ignore[no-untyped-def]
        return -hypers["lr"] * grad * (1.0 if grad.abs().max() < 1 else 0.5), state

    picture = collect(scene("ellipse", rules=[replace(rule("sgd"), name="halving", update=update)], steps=20))
    assert picture.lines[0].label.startswith("halving, lr 0.01")


def test_an_outline_covers_what_its_polygons_cover() -> None:
    """By the area that its loops enclose, holes being negative, and by points inside."""
    picture = collect(scene("rastrigin", rules=["sgd"], lr=1e-3, steps=1))
    for _, polygons in picture.bands[::3]:
        loops = parsed(outline(polygons, SIDE / 120))
        area, covered = sum(map(enclosed, loops)), sum(map(enclosed, polygons))
        assert area == pytest.approx(covered, rel=2e-3)  # corners are rounded to a tenth of a pixel
        assert sum(map(len, loops)) < 0.5 * sum(map(len, polygons))


def enclosed(corners: np.ndarray) -> float:
    (x, y), (u, v) = corners.T, np.roll(corners, -1, axis=0).T
    return 0.5 * float((x * v - u * y).sum())


def parsed(d: str) -> list[np.ndarray]:
    """The corners of a path of m, l, h, v and z, in pixels."""
    loops: list[list[tuple[float, float]]] = []
    x = y = 0.0
    for letter, words in re.findall(r"([mlhvz])([^mlhvz]*)", d):
        numbers = [float(word) for word in re.findall(r"-?\d+", words)]
        if letter == "z":
            x, y = loops[-1][0]
            continue
        dx, dy = {"h": (numbers or [0]) + [0], "v": [0, *numbers]}.get(letter, numbers)
        x, y = x + dx, y + dy
        if letter == "m":
            loops.append([])
        loops[-1].append((x, y))
    return [np.array(loop) / FINE for loop in loops]


def test_a_line_leaves_out_points_that_fall_on_the_one_before() -> None:
    assert polyline(np.array([[1.0, 2.0], [1.01, 2.01], [1.5, 1.0], [1.5, 1.0]])) == "M10 20l5-10"
    assert polyline(np.array([[1.0, 2.0]])) == "M10 20h0"


def test_an_svg_is_sound_xml_whatever_a_rule_is_called() -> None:
    mine = replace(rule("sgd"), name="<&>")
    ground = own_surface(lambda x: (x * x).sum(), (-1.0, 1.0, -1.0, 1.0))
    root = ElementTree.fromstring(svg(collect(scene(ground, rules=[mine], lr=0.1, steps=5))))
    (text,) = [each for each in root.iter() if each.tag.endswith("text")]
    assert str(text.text).startswith("<&>, lr 0.1")


@pytest.mark.slow
def test_files_of_every_kind_are_written(tmp_path: Path) -> None:
    for kind in ("svg", "png", "gif"):
        ravine.surface("saddle", rules=["momentum", "adam"], lr=0.05, steps=10, out=tmp_path / f"x.{kind}")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (SIDE, SIDE + 46)
        assert image.getpixel((SIDE // 2, SIDE // 4)) == (211, 33, 45)  # the minimum at (0, 1), in red
    with Image.open(tmp_path / "x.gif") as image:
        assert image.n_frames > 10
        pixel = image.convert("RGB").getpixel((SIDE // 2, SIDE // 4))
        assert pixel == pytest.approx((211, 33, 45), abs=6)  # one of 128 colours; the median cut is 39 away
    assert (tmp_path / "x.svg").read_text().startswith("<svg")


def test_what_is_missing_or_wrong_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"must end in \.html, \.svg, \.png, \.gif"):
        ravine.surface("saddle", out=tmp_path / "x.jpeg")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r"need Pillow: pip install 'ravine\[images\]'"):
        ravine.surface("saddle", rules=["sgd"], lr=0.1, steps=3, out=tmp_path / "x.png")
