"""The distance of heads from the best one is drawn where it was measured, and nowhere else."""

from __future__ import annotations

import pytest
from report_studies import Make

from ravine.outcomes.results import Results
from ravine.report.draw_head_gap import LEAST
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
