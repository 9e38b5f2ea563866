"""Predictions and cards say what the study is judged by, as scikit-learn computes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, roc_auc_score

import ravine
from ravine.ensembles.cells import Cells
from ravine.ensembles.pool import as_outputs
from ravine.ensembles.pooling import pool_classes
from ravine.store import Store

DRAW = np.random.default_rng(0)
X = DRAW.normal(0.0, 1.0, (160, 4))
NOISY = X[:, 0] + X[:, 1] + DRAW.normal(0.0, 0.8, len(X))
Y = np.array(["no", "yes"])[(NOISY > 0.8).astype(int)]
LABELS = np.stack([NOISY > 0.3, X[:, 2] + DRAW.normal(0.0, 0.7, len(X)) > 0.2], axis=1).astype(int)


def cost(p: np.ndarray, answers: np.ndarray) -> float:
    """A miss costs five times what a false alarm does."""
    claimed = p[:, 1] > 0.5
    return float((5.0 * ((answers == 1) & ~claimed) + ((answers == 0) & claimed)).mean())


def run(folder: Path, y: Any, metric: Any, **changes: Any) -> ravine.Results:
    study = ravine.Study(
        name="s",
        data=changes.pop("data", (X, y)),
        model={"kind": "mlp", "hidden": [8]},
        epochs=8,
        batch_size=16,
        seeds=2,
        rules=[{"kind": "adam", "lr": 0.03}],
        metric=metric,
        **changes,
    )
    return ravine.run(study, store=folder / "runs", quiet=True, device="cpu")


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    return json.loads((folder / "ravine.json").read_text())["scores"], (folder / "README.md").read_text()


@pytest.mark.parametrize("what", ["winner", "ensemble"])
def test_the_f1_of_new_rows_and_of_the_card(tmp_path: Path, what: str) -> None:
    results = run(tmp_path, Y, "f1")
    found = ravine.predict(results, (X, Y), what=what)
    expected = f1_score(Y, np.asarray(found.predicted, dtype=str), pos_label="yes")
    assert next(iter(found.scores)) == "f1"
    assert found.scores["f1"] == pytest.approx(expected, abs=1e-12)
    assert set(found.scores) == {"f1", "accuracy", "nll"}
    assert f"answer: F1 {100 * expected:.2f} %, accuracy " in found.sentences[1]
    ravine.export(results, out=tmp_path / "m", what=what)
    again = ravine.predict(tmp_path / "m", (X, Y))
    assert again.scores == pytest.approx(found.scores, abs=1e-6)  # floats of another pass
    assert next(iter(again.scores)) == "f1"
    scores, text = card_of(tmp_path / "m")
    assert next(iter(scores["validation"]["scores"])) == "f1"
    own = scores["validation"]["scores"]["f1"]
    with Store(tmp_path / "runs") as store:
        labels = store.labels.of(store.study("s").data_fingerprint)
        ids = [run.id for run in results.runs if what == "ensemble"] or [
            max(results.runs, key=lambda each: each.metrics["validation_f1"]).id
        ]
        logits = [store.tensors("predictions", run)["validation"].astype(np.float64) for run in ids]
    p = np.mean([np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in logits], axis=0)
    assert own["value"] == pytest.approx(f1_score(labels.validation, p.argmax(axis=1)), abs=1e-12)
    assert own["low"] < own["value"] < own["high"] <= 1.0
    assert f"| validation | F1 | {100 * own['value']:.2f} % | " in text


def test_one_run_has_the_value_and_interval_that_the_study_says(tmp_path: Path) -> None:
    """The winner's own validation F1 is the number that the run has in `ravine metrics`."""
    results = run(tmp_path, Y, "f1")
    best = max(results.runs, key=lambda each: each.metrics["validation_f1"])
    ravine.export(results, out=tmp_path / "m")
    scores, _ = card_of(tmp_path / "m")
    assert scores["validation"]["scores"]["f1"]["value"] == pytest.approx(
        results.metrics().validation[best.id]["f1"]
    )
    assert set(scores["test"]["scores"]) == {"f1"}


def test_a_function_of_the_users_is_reported_where_it_is_at_hand(tmp_path: Path) -> None:
    results = run(tmp_path, Y, {"function": cost, "better": "lower"})
    found = ravine.predict(results, (X, Y))
    claimed, true = np.asarray(found.predicted) == "yes", Y == "yes"
    expected = (5.0 * (true & ~claimed) + (~true & claimed)).mean()
    assert next(iter(found.scores.values())) == pytest.approx(expected)
    assert f"answer: cost {expected:.4g}, accuracy " in found.sentences[1]
    ravine.export(results, out=tmp_path / "m")
    scores, text = card_of(tmp_path / "m")
    assert next(iter(scores["validation"]["scores"])).startswith("cost")
    assert "| validation | cost" in text
    assert set(ravine.predict(tmp_path / "m", (X, Y)).scores) == {
        "accuracy",
        "nll",
    }  # a folder has no functions


def test_labels_and_numbers(tmp_path: Path) -> None:
    labels = run(tmp_path / "labels", LABELS, "f1_macro")
    found = ravine.predict(labels, (X, LABELS), what="ensemble")
    assert found.predicted.shape == LABELS.shape
    expected = f1_score(LABELS, found.predicted.astype(int), average="macro")
    assert found.scores["f1_macro"] == pytest.approx(expected, abs=1e-12)
    numbers = run(tmp_path / "numbers", NOISY, "r2")
    values = ravine.predict(numbers, (X, NOISY), what="ensemble")
    assert values.scores["r2"] == pytest.approx(r2_score(NOISY, values.predicted), abs=1e-9)
    assert list(values.scores) == ["r2", "rmse", "mae"]
    ravine.export(numbers, out=tmp_path / "m")
    assert next(iter(card_of(tmp_path / "m")[0]["validation"]["scores"])) == "r2"
    errors = run(tmp_path / "errors", NOISY, "mae")
    off = ravine.predict(errors, (X, NOISY))
    assert list(off.scores) == ["mae", "rmse"]
    assert off.scores["mae"] == pytest.approx(mean_absolute_error(NOISY, off.predicted), abs=1e-9)
    assert off.sentences[1].count("mean absolute error") == 1


def test_rows_that_lack_what_a_metric_needs_are_scored_by_the_rest(tmp_path: Path) -> None:
    results = run(tmp_path, Y, "roc_auc")
    found = ravine.predict(results, (X, Y))
    assert found.probabilities is not None
    assert found.scores["roc_auc"] == pytest.approx(roc_auc_score(Y == "yes", found.probabilities[:, 1]))
    one = Y == "yes"
    alone = ravine.predict(results, (X[one], Y[one]))
    assert set(alone.scores) == {"accuracy", "nll"}
    assert any(note.startswith("not scored by ROC AUC: ") for note in alone.notes)


def test_a_study_judged_as_usual_says_what_it_said(tmp_path: Path) -> None:
    results = run(tmp_path, Y, None)
    found = ravine.predict(results, (X, Y))
    assert list(found.scores) == ["accuracy", "nll"]
    ravine.export(results, out=tmp_path / "m")
    assert list(card_of(tmp_path / "m")[0]["validation"]["scores"]) == ["accuracy", "nll"]


def test_what_a_vote_decides_is_what_metrics_are_asked_of() -> None:
    """Shares of votes are tied or 0, and the class of a tie is chosen by probabilities."""
    logits = [np.array([[3.0, 0.0, -1.0]]), np.array([[-2.0, 5.0, 0.0]])]
    voted = pool_classes(logits, np.ones(2), "vote")
    outputs = as_outputs(Cells(task="classification"), voted.predicted, voted.log_p)
    assert voted.predicted.tolist() == [1]
    assert outputs.argmax(axis=1).tolist() == [1]
    assert np.isfinite(outputs).all()
