"""What is drawn: the right curves, on the right axes, in looks that differ."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from report_studies import Make

from ravine.errors import InputError
from ravine.outcomes.results import Results
from ravine.report.chart import accuracy_axis, error, log_axis, log_ticks, ribbon, text
from ravine.report.collect import lr_curves
from ravine.report.figures import FIGURES, RARE, figure, figures
from ravine.report.palette import COLOURS, look, looks
from ravine.report.views import View, command
from ravine.verdict.words import listed


def traces(view: View, panel: int, kind: str) -> list[dict[str, Any]]:
    return [trace for trace in view.panels[panel]["data"] if trace["meta"] == kind]


def test_every_figure_is_strict_json(six: Results, regression: Results, lost: Results) -> None:
    for results in (six, regression, lost):
        found = figures(results)
        assert [each.name for each in found if each.group is None] == [
            name for name in FIGURES if name not in RARE or (name == "residuals" and results.is_regression)
        ]
        json.dumps([each.json() for each in found], allow_nan=False)
        for each in found:
            assert each.caption.endswith(".")
            for view in each.views:
                keys = {chip.key for chip in view.chips}
                for panel in view.panels:
                    assert {t["legendgroup"] for t in panel["data"] if t["meta"] != "ground"} <= keys
                    assert panel["layout"]["title"]["text"]


def test_lr_figure_has_a_curve_and_a_ring_per_rule_and_marks_what_diverged(six: Results) -> None:
    view = figure(six, "lr").views[0]
    assert view.label == "Validation"
    losses = lr_curves(six, "validation_loss")
    for panel in (0, 1):
        assert [trace["legendgroup"] for trace in traces(view, panel, "line")] == list(six.rules)
        assert len(traces(view, panel, "ring")) == 6
        marked = {trace["legendgroup"]: trace["x"] for trace in traces(view, panel, "diverged")}
        assert marked == {
            curve.rule: [point.lr for point in curve.points if point.num_diverged]
            for curve in losses
            if any(point.num_diverged for point in curve.points)
        }
        assert view.panels[panel]["layout"]["xaxis"]["type"] == "log"
    first = traces(view, 0, "line")[0]
    assert first["y"] == pytest.approx([point.median for point in losses[0].points], rel=1e-4)


def test_accuracy_is_drawn_by_its_error_and_read_as_accuracy(six: Results) -> None:
    panel = figure(six, "lr").views[0].panels[1]
    curve = lr_curves(six, "validation_accuracy")[0]
    line = next(trace for trace in panel["data"] if trace["meta"] == "line")
    expected = [max(100 * (1 - point.median), 50 / 270) for point in curve.points if point.median is not None]
    assert [y for y in line["y"] if y is not None] == pytest.approx(expected, rel=1e-4)
    axis = panel["layout"]["yaxis"]
    assert axis["range"][0] > axis["range"][1]  # better is higher
    for value, words in zip(axis["tickvals"], axis["ticktext"], strict=True):
        assert 100 - value == pytest.approx(float(words))


def test_curves_share_their_vertical_axis(six: Results) -> None:
    for view in figure(six, "curves").views:
        left, right = (panel["layout"]["yaxis"] for panel in view.panels)
        assert left == right
        assert [trace["legendgroup"] for trace in traces(view, 0, "line")] == list(six.rules)


def test_regimes_have_a_view_per_rule(six: Results) -> None:
    found = figure(six, "regimes")
    assert {view.label for view in found.views} == set(six.rules)
    for view in found.views:
        assert len(traces(view, 0, "line")) == len(view.chips)
        assert view.note.count("\n") == 3


def test_gap_has_a_point_per_finished_run_and_budget_a_point_per_k(six: Results) -> None:
    view = figure(six, "gap").views[0]
    assert sum(len(trace["x"]) for trace in traces(view, 0, "line")) == 162 - six.num_diverged
    for trace in traces(figure(six, "budget").views[0], 0, "line"):
        assert trace["x"] == list(range(1, 10))


def test_nothing_to_draw_is_said(lost: Results, make: Make) -> None:
    found = {each.name: each for each in figures(lost)}
    assert found["lr"].views  # its crosses say where everything diverged
    for name in ("curves", "regimes", "gap", "budget"):
        assert not found[name].views
        assert found[name].caption.startswith("Nothing to draw")
    single = make(rules=("adam",), lrs=(1e-3,), seeds=1)
    assert not figure(single, "budget").views
    assert figure(single, "lr").views


def test_the_spread_breaks_where_every_seed_diverged() -> None:
    found = ribbon("a", look(0), [1, 2, 3, 4, 5], [None, 1.0, 2.0, None, 3.0], [None, 4.0, 5.0, None, 6.0])
    assert found["x"] == [2, 3, 3, 2, None, 5, 5]
    assert found["y"] == [1.0, 2.0, 5.0, 4.0, None, 3.0, 6.0]


def test_an_unknown_figure_is_one_line(six: Results) -> None:
    with pytest.raises(InputError, match="--figure regime: no such figure; did you mean 'regimes'"):
        figure(six, "regime")


def test_text_of_users_is_escaped_for_plotly(make: Make) -> None:
    hostile = "<b>x</b>&<a href='javascript:alert(1)'>y</a>"
    results = make(rules=(hostile,), lrs=(1e-3, 1e-2), seeds=2)
    for each in figures(results):
        for view in each.views:
            for panel in view.panels:
                for trace in panel["data"]:
                    for words in trace.get("hovertext", ()):
                        assert "<a" not in words
                        assert "</b>&<" not in words
    assert text(hostile).count("<") == 0


def test_twenty_one_rules_look_different() -> None:
    found = [look(index) for index in range(21)]
    assert len({(each.colour, each.symbol) for each in found}) == 21
    assert len({(each.colour, each.dash) for each in found}) == 21
    for start in (0, 7, 14):  # within a round the markers differ, so grey print is enough
        assert len({each.symbol for each in found[start : start + 7]}) == 7
    assert look(21) == look(0)
    assert looks(["a", "b", "a"]) == {"a": look(0), "b": look(1)}
    assert all(each.swatch().startswith("<svg") for each in found)


def test_colours_stand_out_on_white() -> None:
    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    # Okabe and Ito's yellow would have 1.3; two is what lines of 2 px with markers need.
    assert min(1.05 / (luminance(colour) + 0.05) for colour in COLOURS) > 2


@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 0.12), (0.09, 0.5), (1e-3, 30.0), (1e-9, 1e9), (0.18, 95.0), (5.0, 5.2)]
)
def test_log_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert all(low <= value <= high for value in ticks)
    assert all(float(f"{value:.3g}") == pytest.approx(value) for value in ticks)


def test_axes_of_nothing_and_of_one_value() -> None:
    assert log_axis([None, 0.0, math.inf])["showticklabels"] is False
    assert accuracy_axis([])["showticklabels"] is False
    one = log_axis([0.3])
    assert one["range"][0] < math.log10(0.3) < one["range"][1]
    assert one["tickvals"]
    assert error(1.0, 0.2) == 0.2


def test_commands_are_safe_to_paste(make: Make) -> None:
    results = make(name="a'b; rm -rf $HOME", rules=("sgd",), lrs=(0.1,), seeds=1)
    words = command(results, "lr")
    assert words.startswith("ravine report 'a'\"'\"'b; rm -rf $HOME' --store ")
    assert words.endswith(" --figure lr")
    results.source.root = "postgresql+psycopg://me:p@ss:word@host:5432/db?folder=/x"
    assert "--store 'postgresql+psycopg://me@host:5432/db?folder=/x'" in command(results)
    results.source.root = "runs"
    assert command(make(rules=("sgd",), lrs=(0.1,), seeds=1)).startswith("ravine report digits-rules --store")
    assert command(results).endswith("HOME'")
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
