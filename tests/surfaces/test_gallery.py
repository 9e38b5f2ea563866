"""docs/gallery.md: what it names is there, its commands are understood, and a figure drawn again is the one kept."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")
NAMES = re.findall(r"\]\(gallery/(\w+)\.svg\)", PAGE)
COMMANDS = re.findall(r"^```sh\n(.+)\n```$", PAGE, re.MULTILINE)
MOST_BYTES = 150_000
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS / "gallery"))
    import figures

    return figures


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, figures: ModuleType) -> ModuleType:
    import make

    return make


def test_the_page_shows_every_figure_and_no_other(figures: ModuleType) -> None:
    assert list(figures.FIGURES) == NAMES
    assert {path.stem for path in (DOCS / "gallery").glob("*.svg")} == set(NAMES)
    assert len(COMMANDS) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_sound_and_small(name: str) -> None:
    path = DOCS / "gallery" / f"{name}.svg"
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert path.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(
    command: str, monkeypatch: pytest.MonkeyPatch, figures: ModuleType
) -> None:
    """Up to the drawing: the words are parsed, and rules and surfaces are looked up."""
    from ravine.cli import main
    from ravine.surfaces import SURFACES, scene

    program, *words = shlex.split(command)
    if program == "scripts/gallery":
        assert set(words) <= set(figures.FIGURES)
        return
    asked: dict[str, object] = {}

    def written(name: str, **options: object) -> Path:
        asked.update(options, name=name)
        return Path("x.svg")

    monkeypatch.setattr("ravine.report.surface.surface", written)
    assert main(words) == 0
    assert asked["name"] in SURFACES
    assert f"{asked['out']}".removesuffix(".svg") in NAMES
    rules = asked["rules"]
    assert isinstance(rules, list)
    assert scene(str(asked["name"]), rules=rules, steps=2).on == tuple(rules)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zigzag", "saddle"])
def test_a_figure_drawn_again_is_the_one_that_is_kept(
    figures: ModuleType, make: ModuleType, name: str
) -> None:
    again = figures.FIGURES[name]()
    kept = (DOCS / "gallery" / f"{name}.svg").read_text(encoding="utf-8")
    assert NUMBER.sub("", again.svg) == NUMBER.sub("", kept)
    found, expected = ([float(n) for n in NUMBER.findall(svg)] for svg in (again.svg, kept))
    assert found == pytest.approx(expected, abs=0.3)  # pixels: another processor may round differently
    assert make.section(NAMES.index(name) + 1, again) in PAGE


def test_the_first_steps_under_a_constant_gradient(figures: ModuleType) -> None:
    """1 / sqrt(1 - d); (1 - 0.9) / sqrt(1 - 0.999) at t = 1; the greatest of (1 - 0.9^t) / sqrt(1 - 0.999^t)."""
    assert figures.stride("rmsprop", 1, decay=0.999) == pytest.approx(1000**0.5, rel=1e-5)
    bare = [figures.stride("adam", t, bias_correction=0.0) for t in range(1, 30)]
    closed = [(1 - 0.9**t) / (1 - 0.999**t) ** 0.5 for t in range(1, 30)]
    assert bare == pytest.approx(closed, rel=1e-5)  # eps is 1e-7
    assert (max(bare), bare.index(max(bare)) + 1) == (pytest.approx(6.57, abs=0.005), 12)
    text = " ".join(PAGE.split())
    assert "the first step of RMSProp with decay 0.999 is 31.6 lr" in text
    assert "its first step is 3.16 lr, and its longest one, at t = 12, is 6.57 lr" in text


def test_a_name_that_is_none_is_told(make: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert make.main(["zigzg"]) == 2
    assert capsys.readouterr().err.startswith("no such figure: zigzg; there are zigzag, saddle")
