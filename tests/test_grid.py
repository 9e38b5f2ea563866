"""Small tables for terminals and notebooks."""

from __future__ import annotations

import pytest

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
    html = Grid(title=bad, before=(bad,), columns=(bad,), rows=((bad,),), after=(bad,)).html()
    assert bad not in html
    assert html.count("&lt;script&gt;") == 5


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


def test_a_range_test_prints_as_a_table() -> None:
    fields = {"hypers": {"rho": 0.9}, "lr": None, "loss": None, "low": 0.01, "high": 0.02, "diverged": None}
    good = LrRange(rule="sgd", suggested=0.015, lowest=0.1, **fields)  # type: ignore[arg-type]
    found = LrRanges([good])
    assert str(found).splitlines()[1].split() == ["sgd", "0.015", "0.01", "to", "0.02", "0.1", "–"]
    assert "sgd was tested with rho 0.9" in str(found)
    assert "LrRange(" not in repr(found)
    assert found[0] is good
