"""Small tables for terminals and notebooks."""

from __future__ import annotations

import pytest
import torch

import ravine
from ravine.grid import Grid
from ravine.launch.lr_range import LrRange
from ravine.report.findings import LrRanges


def test_columns_are_as_wide_as_a_terminal_shows_their_letters() -> None:
    grid = Grid(columns=("rule", "lr"), rows=(("網路", "0.1"), ("e\u0301", "10")), left=("rule",))
    assert str(grid).splitlines() == ["rule   lr", "網路  0.1", "e\u0301      10"]


def test_words_are_wrapped_and_rows_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    row = ("x" * 60, "1")
    lines = str(Grid(title="t", before=("word " * 20,), columns=("a", "b"), rows=(row,))).splitlines()
    assert max(len(line) for line in lines if "word" in line) <= 40
    assert f"{row[0]}  1" in lines


def test_html_escapes_every_text() -> None:
    bad = "<script>"
    grid = Grid(title=bad, before=(bad,), columns=(bad,), rows=((bad,),), below=((bad, bad),), after=(bad,))
    html = grid.html()
    assert bad not in html
    assert html.count("&lt;script&gt;") == 7


def test_what_has_no_column_is_a_line_below_the_table() -> None:
    grid = Grid(
        columns=("rule",), rows=(("adam",),), below=(("adam", "rho 0.9"), ("網路", "rho 0.5")), after=("!",)
    )
    assert str(grid).split("\n\n") == ["rule\nadam", "adam  rho 0.9\n網路  rho 0.5", "!"]


def test_a_study_prints_as_a_table() -> None:
    study = ravine.Study(
        name="two",
        data="iris",
        model="mlp",
        epochs=1,
        seeds=1,
        rules=[{"kind": "sgd", "lr": [0.01, 0.1]}, {"kind": "momentum", "lr": {"log": [0.01, 1], "num": 3}}],
    )
    assert str(study).splitlines() == [
        "study two",
        "",
        "iris, mlp, 1 epoch: 5 runs with 1 seed",
        "",
        "rule                      lr  other hypers  configs",
        "sgd                0.01, 0.1                      2",
        "momentum  0.01 to 1 (log, 3)                      3",
    ]
    assert repr(study) == str(study)
    assert study._repr_html_().startswith("<div><strong>study two</strong>")


class Net(torch.nn.Linear):
    """A model that is named by its place in the program."""


def test_a_printed_study_names_all_that_its_configs_are_made_of() -> None:
    study = ravine.Study(
        name="many",
        data="iris",
        model=Net,
        steps=5,
        seeds=1,
        batch_size=[16, "full"],
        schedule=["constant", {"kind": "cosine", "warmup": 0.1}],
        rules=[{"kind": "sgd", "lr": 0.1}],
    )
    lines = str(study).splitlines()
    assert lines[2].split(",")[1] == f" {Net.__module__}:Net"
    assert lines[3] == "with schedule constant or cosine, warm-up 10 %; batch_size 16 or full"


def test_a_range_test_prints_as_a_table() -> None:
    fields = {"hypers": {"rho": 0.9}, "lr": None, "loss": None, "low": 0.01, "high": 0.02, "diverged": None}
    good = LrRange(rule="sgd", suggested=0.015, lowest=0.1, **fields)  # type: ignore[arg-type]
    found = LrRanges([good])
    assert str(found).splitlines()[1].split() == ["sgd", "0.015", "0.01", "to", "0.02", "0.1", "–"]
    assert "sgd was tested with rho 0.9" in str(found)
    assert "LrRange(" not in repr(found)
    assert found[0] is good
