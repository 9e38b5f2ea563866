"""Figure ``sharpness``: the right points, correlations as SciPy's, and nothing where nothing was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from report_studies import Make
from rich.console import Console
from scipy.stats import spearmanr

from ravine.landscapes.findings import Sharpness
from ravine.outcomes.results import Results
from ravine.outcomes.runs import final
from ravine.report.draw_sharpness import draw_sharpness
from ravine.report.figures import FIGURES, RARE, figure, figures
from ravine.report.page import report
from ravine.report.sharp import correlations, sharp_points, spearman
from ravine.report.terminal_sharpness import sharpness


def found_of(run: str, number: int, *, regression: bool = False, **changes: Any) -> Sharpness:
    fields: dict[str, Any] = {
        "run": run, "num_examples": 100, "loss": 0.1, "gradient_norm": 0.01,
        "top": (1.0 + number, 0.5, 0.2), "top_error": (0.001, 0.01, 0.1), "lowest": -0.1, "lowest_error": 0.01,
        "trace": 10.0 - number / 100, "trace_error": 0.5, "rho": 0.05, "rise": 0.01 * (number % 7 + 1),
        "adaptive_rise": 0.02, "test_loss": 0.2 + number, "test_accuracy": None if regression else 0.9 - number / 1000,
    }  # fmt: skip
    return Sharpness(**{**fields, **changes})


def fill(results: Results, change: Callable[[int], dict[str, Any]] = lambda _: {}) -> list[Sharpness]:
    done = [run.id for run in results.runs if run.status == "done"]
    found = [found_of(run, i, regression=results.is_regression, **change(i)) for i, run in enumerate(done)]
    results.source.sharpness.save({"rho": 0.05}, {each.run: each.json() for each in found})
    return found


@pytest.fixture(scope="module")
def measured(make: Make) -> Results:
    results = make(rules=("sgd", "adam"))
    fill(results)
    return results


def test_every_measured_run_is_a_point_with_its_gaps(measured: Results) -> None:
    points = sharp_points(measured)
    done = [run for run in measured.runs if run.status == "done"]
    assert [point.run for point in points] == [run.id for run in done]
    for number, (point, run) in enumerate(zip(points, done, strict=True)):
        loss, accuracy = final(run, "train_loss"), final(run, "train_accuracy")
        assert loss is not None
        assert accuracy is not None
        assert point.gaps["loss"] == pytest.approx(0.2 + number - loss)
        assert point.gaps["accuracy"] == pytest.approx(accuracy - 0.9 + number / 1000)
        assert point.measure("top") == 1.0 + number
        assert point.chosen == (run.config in measured.chosen)


def test_the_figure_has_these_points_and_says_the_correlation(measured: Results) -> None:
    assert [each.name for each in figures(measured) if not each.group] == [
        name for name in FIGURES if name not in RARE or name == "sharpness"
    ]
    drawn = figure(measured, "sharpness")
    json.dumps(drawn.json(), allow_nan=False)
    assert [view.label for view in drawn.views] == [
        "Largest eigenvalue",
        "Trace",
        "Rise in a ball",
        "Adaptive rise",
    ]
    points = sharp_points(measured)
    accuracy, loss = drawn.views[0].panels
    for panel, gap, scale in ((accuracy, "accuracy", 100), (loss, "loss", 1)):
        for trace in panel["data"]:
            own = [point for point in points if point.rule == trace["legendgroup"]]
            assert trace["x"] == pytest.approx([point.measure("top") for point in own], rel=1e-4)
            assert trace["y"] == pytest.approx([scale * point.gaps[gap] for point in own], rel=1e-4)
        assert panel["layout"]["xaxis"]["type"] == "log"
    told = spearmanr([p.measure("top") for p in points], [p.gaps["loss"] for p in points]).statistic
    assert f"Rank correlation with the loss gap: {told:+.2f} over {len(points)} runs" in drawn.views[0].note
    fitted = [point for point in points if point.fitted]
    assert 4 <= len(fitted) < len(points)
    told = spearmanr([p.measure("top") for p in fitted], [p.gaps["loss"] for p in fitted]).statistic
    words = f"{told:+.2f} over the {len(fitted)} that get all training examples right".replace("-", "−")
    assert words in drawn.views[0].note
    assert "test data were read for all of these runs" in drawn.caption.lower()
    assert 'id="figure-sharpness"' in report(measured).decode()


def test_what_a_logarithm_cannot_show_is_counted(make: Make) -> None:
    results = make(rules=("sgd", "adam"))
    fill(results, lambda i: {"trace": -1.0} if i < 2 else {"rise": math.nan} if i == 2 else {})
    by_label = {view.label: view for view in draw_sharpness(results).views}
    assert by_label["Trace"].note.endswith("2 runs are not drawn because the measure is not above 0.")
    assert by_label["Rise in a ball"].note.endswith("1 run is not drawn because the measure is not above 0.")
    assert "not drawn" not in by_label["Largest eigenvalue"].note


def test_without_a_measurement_there_is_no_figure_and_the_command_is_told(six: Results) -> None:
    drawn = figure(six, "sharpness")
    assert drawn.views == ()
    assert "`ravine sharpness digits-rules` measures it" in drawn.caption
    assert 'id="figure-sharpness"' not in report(six).decode()


def test_a_regression_has_a_gap_in_loss_only(make: Make) -> None:
    results = make(rules=("sgd", "adam"), task="regression", sizes=(309, 66, 67))
    fill(results)
    assert {len(view.panels) for view in draw_sharpness(results).views} == {1}


def test_rank_correlations_are_scipys() -> None:
    draw = np.random.default_rng(0)
    for num in (4, 9, 50):
        x, y = draw.integers(0, 6, num).astype(float), draw.normal(size=num)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert math.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_within_a_rule_another_correlation_than_over_all(measured: Results) -> None:
    points = sharp_points(measured)
    found = correlations(points, "rise", "loss")
    for rule in measured.rules:
        own = [point for point in points if point.rule == rule]
        told = spearmanr([p.measure("rise") for p in own], [p.gaps["loss"] for p in own]).statistic
        assert found[rule] == (pytest.approx(told), len(own))
    assert correlations(points[:3], "rise", "loss") == {}


@pytest.mark.parametrize(("width", "columns"), [(140, 10), (80, 9), (40, 5)])
def test_the_terminal_has_a_row_per_run_and_as_many_columns_as_fit(
    measured: Results, width: int, columns: int
) -> None:
    points = sharp_points(measured)
    console = Console(width=width)
    with console.capture() as captured:
        console.print(
            sharpness(
                [p.found for p in points], {run.id: run for run in measured.runs}, points, "digits-rules"
            )
        )
    lines = captured.get().splitlines()
    assert len(lines[0].split()) == columns
    assert lines[0].split()[:5] == ["run", "rule", "lr", "seed", "top"]
    assert lines[1].startswith(f"{points[0].run[:8]}  {points[0].rule}")
    assert any(f"and {len(points) - 20} more" in line for line in lines)
    assert any("in accuracy" in line for line in lines)
    assert "that get all training examples right" in " ".join(captured.get().split())


def test_what_is_kept_comes_back_the_same(measured: Results) -> None:
    whole = found_of("x" * 16, 3, rise=math.inf, trace=math.nan)
    again = Sharpness.of(json.loads(json.dumps(whole.json(), allow_nan=False)))
    assert math.isnan(again.rise)
    assert math.isnan(again.trace)
    assert (again.top, again.test_loss) == (whole.top, whole.test_loss)
