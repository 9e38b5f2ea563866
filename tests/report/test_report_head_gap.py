"""The distance of heads from the best one is drawn where it was measured, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_studies import Make

from ravine.launch.optima import HeadGap, HeadGaps
from ravine.outcomes.results import Results
from ravine.report.draw_head_gap import LEAST
from ravine.report.features import gap_grid
from ravine.report.figures import figure, figures


@pytest.mark.slow
def test_a_gap_that_was_measured_is_drawn_with_medians(make: Make) -> None:
    found = make(rules=("sgd", "adam"), lrs=(1e-3, 1e-2), seeds=3, name="heads")
    assert "head-gap" not in [each.name for each in figures(found)]
    assert "ravine features heads.toml --optimum" in figure(found, "head-gap").caption
    done = [run for run in found.runs if run.status == "done"]
    gaps = {
        run.id: {"head_objective": 0.5 + 0.25 * (1 + number % 3), "head_optimum": 0.5}
        for number, run in enumerate(done)
    }
    gaps[done[0].id]["head_objective"] = 0.5 - 1e-12
    found.source.averages.add({}, gaps)
    again = Results.load(found.source, found.name)
    view = figure(again, "head-gap").views[0]
    points = [trace for trace in view.panels[0]["data"] if trace["mode"] == "markers"]
    lines = [trace for trace in view.panels[0]["data"] if trace["mode"] == "lines"]
    assert sum(len(trace["x"]) for trace in points) == len(done)
    assert min(y for trace in points for y in trace["y"]) == pytest.approx(LEAST)
    assert [trace["legendgroup"] for trace in lines] == ["sgd", "adam"]
    assert lines[1]["x"] == [1e-3, 1e-2]
    assert lines[1]["y"] == pytest.approx([0.5, 0.5])
    assert "head-gap" in [each.name for each in figures(again)]


def test_a_row_is_of_one_loss_and_its_medians_are_over_draws() -> None:
    """Each part of a ladder has an optimum of its own, and another body has others."""
    gaps = tuple(
        HeadGap(run=f"{of}{n}{draw}", rule="adam", of=of, per_class=n, draw=draw, lr=0.1, seed=0, weight_decay=0.0,
                loss=n + draw + 0.5 * (of == "random"), optimum=float(draw))
        for of in ("head", "random") for n in (5, 20) for draw in (0, 1, 2)
    )  # fmt: skip
    grid = gap_grid(HeadGaps(gaps=gaps, left_out={"all": 6, "pixels": 1}))
    assert grid.columns == ("of", "rule", "n", "lr", "penalty", "runs", "loss", "least", "gap")
    assert grid.rows == (
        ("head", "adam", "5", "0.1", "0", "3", "6", "1", "5"),
        ("head", "adam", "20", "0.1", "0", "3", "21", "1", "20"),
        ("random", "adam", "5", "0.1", "0", "3", "6.5", "1", "5.5"),
        ("random", "adam", "20", "0.1", "0", "3", "21.5", "1", "20.5"),
    )
    assert "Each draw has a least of its own." in grid.after[0]
    assert grid.after[1].endswith("features: 6 runs of all and 1 run of pixels.")
    plain = tuple(replace(each, of="", per_class=None, draw=None) for each in gaps[:1])
    assert gap_grid(HeadGaps(gaps=plain, left_out={})).columns == ("rule", *grid.columns[3:])
