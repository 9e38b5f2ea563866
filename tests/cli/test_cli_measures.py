"""`ravine sharpness` and `ravine landscape`, in processes of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_cli import STUDY

from command_line import ravine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measures")
    (path / "small.toml").write_text(STUDY.replace("seeds = 2", 'seeds = 2\nkeep = { every = "epoch" }'))
    done = ravine(path, "run", "small.toml")
    assert done.returncode == 0, done.stderr
    assert 'id="figure-sharpness"' not in (path / "runs" / "small.html").read_text(encoding="utf-8")
    return path


def test_sharpness_is_told_kept_and_drawn(folder: Path) -> None:
    done = ravine(folder, "sharpness", "small")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["run", "rule", "lr", "seed", "top"]
    assert len([line for line in lines if " ± " in line]) == 8
    assert any(line == "Rank correlation with the test gap, over all 8 runs:" for line in lines)
    assert ravine(folder, "report", "small").returncode == 0
    assert 'id="figure-sharpness"' in (folder / "runs" / "small.html").read_text(encoding="utf-8")


def test_by_its_file_as_json_for_some_runs(folder: Path) -> None:
    every = json.loads(ravine(folder, "sharpness", "small.toml", "--json").stdout)
    two = ",".join(each["run"][:8] for each in every[2:4])
    some = ravine(folder, "sharpness", "small", "--runs", two, "--rho", "0.1", "--probes", "4", "--json")
    found = json.loads(some.stdout)
    assert [each["run"] for each in found] == [each["run"] for each in every[2:4]]
    assert {each["rho"] for each in found} == {0.1}
    for each, before in zip(found, every[2:4], strict=True):
        assert each["top"][0] == pytest.approx(before["top"][0], rel=1e-3)
        assert each["rise"] > before["rise"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "no study 'nothing' in the store"),
        (("none.toml",), "none.toml: no such study file"),
        (("small", "--rho", "0"), "rho = 0.0: must be a finite number above 0"),
        (("small", "--runs", "small"), "run 'small': in study 'small' no id begins with it"),
        (("small", "--store", "elsewhere"), "no store at 'elsewhere'"),
    ],
)
def test_mistakes_are_told_in_a_line(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = ravine(folder, "sharpness", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("ravine: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.slow
def test_a_landscape_is_a_page_and_lines_of_numbers(folder: Path) -> None:
    done = ravine(folder, "landscape", "small", "--points", "9")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "67 weights, loss over 90 training examples"
    assert lines[1].startswith("plane: axis 1 has ")
    assert sum("outside, at the end" in line for line in lines) == 3
    assert sum(line.startswith("barrier between ") for line in lines) == 2
    assert lines[-1] == "landscape: runs/small-landscape.html"
    page = (folder / "runs" / "small-landscape.html").read_text(encoding="utf-8")
    assert "ravine landscape small --points 9" in re.sub("<[^>]+>", "", page)
    runs = [
        line["first"] for line in json.loads(ravine(folder, "landscape", "small", "--json").stdout)["lines"]
    ]
    picture = ravine(
        folder, "landscape", "small.toml", "--runs", runs[0][:8], "--out", "p.svg", "--points", "9"
    )
    assert picture.returncode == 0, picture.stderr
    assert (folder / "p.svg").read_text(encoding="utf-8").startswith("<svg")


def test_mistakes_in_looking_are_told_in_a_line(folder: Path) -> None:
    for words, said in (
        (("--points", "1"), "points = 1: must be a whole number from 3 to 501"),
        (("--out", "p.jpg"), "out = 'p.jpg': must end in .html, .svg, .png"),
        (("--between", "zz"), "between = zz: must be the ids of two runs, separated by a comma"),
        (("--around", "zz"), "run 'zz': in study 'small' no id begins with it"),
    ):
        done = ravine(folder, "landscape", "small", *words)
        assert done.returncode == 2
        assert done.stderr == f"ravine: {said}\n"
