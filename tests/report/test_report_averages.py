"""Averages of the weights in results, report and terminal: the numbers are those of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ravine
from ravine.metrics import METRICS
from ravine.outcomes.averages import average_words, averages
from ravine.outcomes.metric import validated_by
from ravine.outcomes.results import Results
from ravine.report import page
from ravine.report.draw_averages import OWN, averaged_curves
from ravine.report.figures import figure, figures
from ravine.store import RunRecord, Store

NAMES = ("ema 0.5", "polyak")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("store")
    study = ravine.Study(
        name="averaged", data="iris", model={"kind": "mlp", "hidden": [6]}, steps=40, seeds=2, evaluations=8,
        rules=[{"kind": "sgd", "lr": [0.1, 0.5]}, {"kind": "adam", "lr": 0.05}],
        averages={"ema": 0.5, "polyak": {"from": 0.5}},
    )  # fmt: skip
    ravine.run(study, store=folder, quiet=True)
    return Results.load(Store(folder), "averaged")


SHARES = validated_by(METRICS["accuracy"], "classification")
LOSSES = validated_by(METRICS["mse"], "regression")


def record(seed: int, metrics: dict[str, float], *, config: str = "c", status: str = "done") -> RunRecord:
    return RunRecord(
        id=f"{config}{seed}", config=config, rule="sgd", hypers={"lr": 0.1}, seed=seed, recipe={}, status=status,
        step=1, num_steps=1, diverged_at=None, seconds=None, backend=None, metrics=metrics,
    )  # fmt: skip


def test_a_row_has_the_means_and_the_range_over_the_seeds_that_have_the_average() -> None:
    runs = [
        record(0, {"validation_accuracy": 0.5, "ema 0.9/validation_accuracy": 0.75}),
        record(1, {"validation_accuracy": 0.5, "ema 0.9/validation_accuracy": 0.25}),
        record(2, {"validation_accuracy": 0.9}),
        record(3, {}, status="diverged"),
        record(0, {"validation_accuracy": 0.5, "ema 0.9/validation_accuracy": 1.0}, config="another"),
    ]
    [row] = averages(runs, {"c"}, SHARES)
    assert (row.own, row.averaged, row.gain, row.low, row.high, row.num_seeds) == (
        0.5,
        0.5,
        0.0,
        -0.25,
        0.25,
        2,
    )
    [sentence] = average_words([row], SHARES)
    assert sentence == (
        "sgd: the last weights reach 50.00 % on validation; averages of the weights: ema 0.9 50.00 % (+0.00, seeds "
        "−25.00 to +25.00)."
    )


def test_a_smaller_loss_is_a_gain() -> None:
    runs = [record(0, {"validation_loss": 4.0, "swa/validation_loss": 3.0})]
    [row] = averages(runs, {"c"}, LOSSES)
    assert (row.gain, row.averaged) == (1.0, 3.0)
    assert "swa 3 (+1, seeds +1 to +1)" in average_words([row], LOSSES)[0]


def test_results_say_what_each_average_reaches(results: Results) -> None:
    rows = results.averages
    assert [(row.rule, row.average) for row in rows] == [
        (rule, name) for rule in results.rules for name in NAMES
    ]
    for row in rows:
        seeds = [run for run in results.runs if run.rule == row.rule and run.config in results.chosen]
        scores = [run.metrics[f"{row.average}/validation_accuracy"] for run in seeds]
        assert row.averaged == pytest.approx(np.mean(scores))
    assert [entry["average"] for entry in results.json()["averages"]] == list(NAMES) * 2
    sentences = average_words(rows, SHARES)
    assert len(sentences) == 2
    assert all(sentence in " ".join(str(results).split()) for sentence in sentences)
    assert all(sentence in page.report(results).decode() for sentence in sentences)


def test_the_figure_has_a_curve_of_the_weights_and_of_each_average(results: Results) -> None:
    for found in averaged_curves(results, "loss"):
        assert tuple(found.bands) == (OWN, *NAMES)
        assert found.bands[OWN].steps == tuple(range(5, 45, 5))
        assert found.bands["polyak"].steps == (25, 30, 35, 40)
        ids = [run.id for run in results.runs if run.rule == found.rule and run.config in results.chosen]
        last = [results.curves("polyak/validation_loss", ids)[run][1][-1] for run in ids]
        assert found.bands["polyak"].median[-1] == pytest.approx(float(np.median(last)))
    views = figure(results, "averages").views
    assert [view.label for view in views] == list(results.rules)
    assert all([chip.label for chip in view.chips] == [OWN, *NAMES] for view in views)
    assert "averages" in [each.name for each in figures(results)]


def test_a_study_without_averages_says_nothing_of_them(six: Results, tmp_path: Path) -> None:
    assert six.averages == ()
    assert "averages" not in six.json()
    assert "averages" not in [each.name for each in figures(six)]
    assert figure(six, "averages").caption.startswith("Nothing to draw")
    assert "What averaging gained" not in page.report(six).decode()
