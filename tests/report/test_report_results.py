"""The numbers of a study against the same numbers taken from the store by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_studies import Make, fill
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from ravine.errors import StoreError
from ravine.outcomes.results import Results
from ravine.outcomes.runs import plain
from ravine.report import page
from ravine.store import Store


def scores(results: Results, run: str, part: str) -> float:
    """A run's accuracy on a part, from its stored predictions."""
    logits = results.source.tensors("predictions", run)[part]
    return float((logits.argmax(1) == getattr(results.labels, part)).mean())


def test_json_has_exactly_the_keys_and_no_nan(six: Results) -> None:
    found = json.loads(json.dumps(six.json(), allow_nan=False))
    assert list(found) == [
        "study", "runs", "diverged", "seconds", "backend", "rules", "trivial", "best", "separable", "warnings", "notes",
        "table",
    ]  # fmt: skip
    assert found["table"] == json.loads(json.dumps(six.table()))
    assert (found["study"], found["runs"], found["backend"]) == ("digits-rules", 162, "fused compiled")
    assert found["diverged"] == sum(run.status == "diverged" for run in six.runs) > 0
    assert found["seconds"] == pytest.approx(math.fsum(run.seconds or 0.0 for run in six.runs))
    for entry in found["rules"]:
        assert list(entry) == ["rule", "lr", "val_accuracy", "test_accuracy", "ci"]
        assert entry["ci"][0] <= entry["test_accuracy"] <= entry["ci"][1]
    assert {entry["rule"] for entry in found["rules"]} == set(six.rules)
    assert found["best"] == found["rules"][0]["rule"]


def test_accuracies_are_those_of_the_stored_predictions(six: Results) -> None:
    for entry in six.json()["rules"]:
        runs = [run for run in six.runs if run.rule == entry["rule"] and run.hypers["lr"] == entry["lr"]]
        assert len(runs) == 3
        for key, part in (("val_accuracy", "validation"), ("test_accuracy", "test")):
            assert entry[key] == pytest.approx(np.mean([scores(six, run.id, part) for run in runs]))


def test_errors_of_a_regression_are_those_of_scikit_learn(regression: Results) -> None:
    answers = regression.labels.test
    for entry in regression.json()["rules"]:
        runs = [
            run for run in regression.runs if run.rule == entry["rule"] and run.hypers["lr"] == entry["lr"]
        ]
        outputs = [
            regression.source.tensors("predictions", run.id)["test"].astype(np.float64) for run in runs
        ]
        mse = np.mean([mean_squared_error(answers, each) for each in outputs])
        assert entry["test_rmse"] == pytest.approx(math.sqrt(mse))
        assert entry["test_mae"] == pytest.approx(np.mean([mean_absolute_error(answers, e) for e in outputs]))
        assert entry["test_r2"] == pytest.approx(np.mean([r2_score(answers, each) for each in outputs]))
    for row in regression.table():
        if row["status"] != "done":
            assert row["validation_r2"] is None
            continue
        found = regression.source.tensors("predictions", str(row["run"]))["validation"].astype(np.float64)
        assert row["validation_r2"] == pytest.approx(r2_score(regression.labels.validation, found))
        assert row["validation_mae"] == pytest.approx(
            mean_absolute_error(regression.labels.validation, found)
        )


def test_a_regression_has_the_mean_of_validation_as_its_last_row(regression: Results) -> None:
    guess = np.full_like(regression.labels.test, regression.labels.validation.mean())
    beat = regression.json()["trivial"]
    assert beat["name"] == "mean of the target"
    assert beat["test_loss"] == pytest.approx(mean_squared_error(regression.labels.test, guess))
    assert beat["test_rmse"] == pytest.approx(math.sqrt(mean_squared_error(regression.labels.test, guess)))
    assert beat["test_mae"] == pytest.approx(mean_absolute_error(regression.labels.test, guess))
    assert beat["test_r2"] == pytest.approx(r2_score(regression.labels.test, guess))
    row = next(line for line in str(regression).splitlines() if line.startswith("mean of the target"))
    assert row.split()[4:] == [
        f"{beat['test_loss']:.4g}", "–", f"{beat['test_rmse']:.4g}", f"{beat['test_mae']:.4g}",
        f"{beat['test_r2']:.2f}".replace("-", "−"), f"{beat['val_loss']:.4g}", "–", "–",
    ]  # fmt: skip
    assert "Mean of the target: always" in str(regression)
    assert f'<td class="n">{beat["test_rmse"]:.4g}</td>' in page.report(regression).decode()


def test_printed_results_are_a_table(six: Results, regression: Results) -> None:
    for results in (six, regression):
        lines = str(results).splitlines()
        assert repr(results) == str(results)
        assert lines[0] == results.name
        head = next(line for line in lines if line.startswith("rule "))
        rows = lines[lines.index(head) + 1 :][: len(results.verdict.rules)]
        assert [row.split()[0] for row in rows] == [rule.rule for rule in results.verdict.rules]
        assert ("RMSE" in head) == results.is_regression
        assert "RunRecord" not in str(results)
    best = six.verdict.rules[0]
    low, high = (100 * end for end in best.ci or ())
    assert f"{low:.1f} to {high:.1f}" in six._repr_html_()


def test_losses_of_a_regression_are_positive_and_their_interval_in_order(regression: Results) -> None:
    for entry in regression.json()["rules"]:
        assert list(entry) == [
            "rule", "lr", "val_loss", "test_loss", "ci", "test_rmse", "test_mae", "test_r2",
        ]  # fmt: skip
        runs = [
            run for run in regression.runs if run.rule == entry["rule"] and run.hypers["lr"] == entry["lr"]
        ]
        errors = []
        for run in runs:
            predicted = regression.source.tensors("predictions", run.id)["test"].astype(np.float64)
            errors.append(np.mean((predicted - regression.labels.test) ** 2))
        assert entry["test_loss"] == pytest.approx(np.mean(errors))
        low, high = entry["ci"]
        assert low < entry["test_loss"] < high


def test_test_predictions_are_read_for_the_chosen_configs_only(tmp_path: Path) -> None:
    class Watched(Store):
        asked: list[str]

        def tensors(self, kind: str, run_id: str) -> dict[str, np.ndarray]:
            self.asked.append(run_id)
            return super().tensors(kind, run_id)

    with Watched(tmp_path / "runs") as store:
        store.asked = []
        fill(store, rules=("sgd", "adam"))
        results = Results.load(store, "digits-rules")
        chosen = {run.id for run in results.runs if run.config in results.chosen}
        assert set(store.asked) == chosen
        assert len(chosen) == 6


def test_every_run_diverged_is_a_result(lost: Results) -> None:
    found = json.loads(json.dumps(lost.json(), allow_nan=False))
    assert found["diverged"] == found["runs"] == 12
    assert found["best"] is None
    assert found["separable"] is False
    for entry in found["rules"]:
        assert entry["test_accuracy"] is None
        assert entry["ci"] == [None, None]
    assert lost._repr_html_().count("–") >= 4


def test_table_has_a_plain_row_per_run(six: Results) -> None:
    rows = six.table()
    assert len(rows) == 162
    assert all(list(row) == six.columns() for row in rows)
    json.dumps(rows, allow_nan=False)
    by_id = {run.id: run for run in six.runs}
    for row in rows:
        run = by_id[str(row["run"])]
        assert row["validation_loss"] == run.metrics.get("validation_loss")
        assert (row["diverged_at"] is not None) == (row["status"] == "diverged")
    assert "test_accuracy" not in six.columns()


def test_table_of_a_regression_has_no_accuracy_and_other_hypers_get_columns(
    regression: Results, make: Make
) -> None:
    assert not any("accuracy" in name for name in regression.columns())
    results = make(
        rules=("sgd",), lrs=(0.1,), others={"model.dropout": (0.0, 0.5), "schedule": ("constant",)}
    )
    assert results.columns()[:5] == ["run", "rule", "lr", "model.dropout", "schedule"]
    assert {row["model.dropout"] for row in results.table()} == {0.0, 0.5}
    assert results.json()["rules"][0]["schedule"] == "constant"


def test_curves_are_read_once_and_only_those_asked_for(six: Results) -> None:
    run = next(run for run in six.runs if run.status == "done")
    found = six.curves("validation_loss", [run.id])
    assert list(found) == [run.id]
    steps, values = found[run.id]
    assert steps[-1] == 440
    assert float(values[-1]) == pytest.approx(run.metrics["validation_loss"], rel=1e-6)
    assert six.curves("validation_loss", [run.id])[run.id][1] is values
    assert six.curves("no_such_metric", [run.id]) == {}


def test_unfinished_runs_are_left_out_with_a_warning(make: Make) -> None:
    results = make(rules=("sgd", "adam"), lrs=(0.01, 0.1), unfinished=4)
    assert "4 of 12 runs have not finished" in results.warnings[0]
    assert results.json()["runs"] == 12
    assert sum(row["validation_loss"] is None for row in results.table()) >= 4


def test_nothing_finished_and_no_such_study_are_one_line(tmp_path: Path) -> None:
    with Store(tmp_path / "runs") as store:
        fill(store, rules=("sgd",), lrs=(0.1,), unfinished=3)
        with pytest.raises(StoreError, match="none of its 3 runs has finished"):
            Results.load(store, "digits-rules")
        with pytest.raises(StoreError, match="did you mean 'digits-rules'"):
            Results.load(store, "digits-rule")


def test_repr_html_escapes_names(make: Make) -> None:
    html = make(name="<b>&", rules=("<i>x",), lrs=(0.01,))._repr_html_()
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "&lt;i&gt;x" in html


@pytest.mark.parametrize(
    ("value", "expected"),
    [(math.nan, None), (math.inf, None), (np.float32(0.5), 0.5), (np.int64(3), 3), (True, 1.0), ("x", "x")],
)
def test_plain(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) in (float, int, str, type(None))
