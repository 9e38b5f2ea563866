"""`data.weight_scores`: what hypers are chosen by, the verdict and the tables have the weights of examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

import ravine
from ravine.api.metric import metric_for
from ravine.errors import StudyError
from ravine.outcomes.results import Results
from ravine.store import Store

NUM = 300
ERRORS = {"rmse": sk.root_mean_squared_error, "mae": sk.mean_absolute_error, "r2": sk.r2_score}


def data(task: str = "classification", **keys: Any) -> ravine.Dataset:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(NUM, 3))
    signal = x[:, 0] + rng.normal(size=NUM)
    y = (signal > 0).astype(int) if task == "classification" else 5 * signal
    w = rng.gamma(0.4, size=NUM) * (rng.random(NUM) > 0.1)
    return ravine.from_arrays(x, y, task=task, weights=w, **{"weight_scores": True, **keys})


def study(of: ravine.Dataset, **keys: Any) -> ravine.Study:
    rules = [{"kind": "adam", "lr": [0.003, 0.03]}, {"kind": "sgd", "lr": [0.01, 0.3]}]
    return ravine.Study(name="s", data=of, model="mlp", epochs=2, seeds=2, rules=rules, **keys)


def predicted(results: Results, split: str, run: str) -> np.ndarray:
    return results.source.tensors("predictions", run)[split].astype(np.float64)


def scores(results: Results, split: str, run: str) -> np.ndarray:
    """Of each example, as NumPy has it."""
    outputs = results.source.tensors("predictions", run)[split]
    answers = getattr(results.labels, split)
    if results.is_regression:
        return np.square(outputs.astype(np.float64) - answers)
    return (outputs.argmax(axis=1) == answers).astype(np.float64)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_everything_is_numpys_weighted_mean(task: str, tmp_path: Path) -> None:
    of = data(task)
    results = ravine.run(study(of), store=tmp_path, quiet=True)
    w_validation, w_test = (np.asarray(part.weights, dtype=np.float64) for part in (of.validation, of.test))
    name = "weighted_accuracy" if task == "classification" else "weighted_mse"
    sign = 1 if task == "classification" else -1
    means = {}
    for row in results.table():
        expected = np.average(scores(results, "validation", str(row["run"])), weights=w_validation)
        assert row[f"validation_{name}"] == pytest.approx(expected, rel=1e-6)
        means.setdefault((row["rule"], row["lr"]), []).append(sign * expected)
    for rule in results.verdict.rules:
        best = max((np.mean(found), lr) for (each, lr), found in means.items() if each == rule.rule)
        assert rule.hypers["lr"] == best[1]
        expected = [np.average(scores(results, "test", run), weights=w_test) for run in rule.runs]
        assert rule.test == pytest.approx(sign * np.mean(expected), rel=1e-6)
    assert results.trivial is not None
    right = results.labels.test
    mean = results.labels.training_mean
    of_trivial = right == np.argmax(mean) if task == "classification" else np.square(right - mean[0])
    expected = np.average(of_trivial, weights=w_test)
    assert results.trivial.metrics[f"test_{name}"] == pytest.approx(expected, rel=1e-6)
    listed = results.metrics().test[results.verdict.rules[0].rule]
    assert listed[name] == pytest.approx(sign * results.verdict.rules[0].test, rel=1e-9)
    assert not results.verdict.measure.binary
    assert not results.asks_otherwise
    again = Results.load(Store(tmp_path), "s")
    assert [each.test for each in again.verdict.rules] == [each.test for each in results.verdict.rules]
    assert again.json()["metric"] == name


def test_any_metric_has_weights(tmp_path: Path) -> None:
    of = data()
    results = ravine.run(study(of, metric="f1"), store=tmp_path, quiet=True)
    assert results.metric.name == "weighted_f1"
    assert results.verdict.measure.name == "weighted F1"
    w_validation, w_test = of.validation.weights, of.test.weights
    for row in results.table():
        of_run = predicted(results, "validation", str(row["run"]))
        expected = sk.f1_score(results.labels.validation, of_run.argmax(axis=1), sample_weight=w_validation)
        assert row["validation_weighted_f1"] == pytest.approx(expected, rel=1e-6)
    for rule in results.verdict.rules:
        every = [predicted(results, "test", run).argmax(axis=1) for run in rule.runs]
        expected = [sk.f1_score(results.labels.test, each, sample_weight=w_test) for each in every]
        assert rule.test == pytest.approx(np.mean(expected), rel=1e-6)
    other = Results.load(Store(tmp_path), "s", metric=metric_for(Store(tmp_path), "s", "roc_auc"))
    assert other.metric.name == "weighted_roc_auc"
    assert other.asks_otherwise
    listed = results.metrics()
    assert {f"weighted_{name}" for name in listed.metrics if not name.startswith("weighted_")} < set(
        listed.metrics
    )
    for rule in other.verdict.rules:
        [run, *_] = rule.runs
        of_run = predicted(results, "validation", run)
        auc = sk.roc_auc_score(
            results.labels.validation, of_run[:, 1] - of_run[:, 0], sample_weight=w_validation
        )
        assert listed.validation[run]["weighted_roc_auc"] == pytest.approx(auc, rel=1e-6)


def test_errors_of_a_regression_have_the_weights_too(tmp_path: Path) -> None:
    of = data("regression")
    results = ravine.run(study(of, metric="median_absolute_error"), store=tmp_path, quiet=True)
    w, right = of.validation.weights, results.labels.validation
    for row in results.table():
        found = predicted(results, "validation", str(row["run"]))
        for name, known in ERRORS.items():
            assert row[f"validation_{name}"] == pytest.approx(known(right, found, sample_weight=w), rel=1e-6)
        median = sk.median_absolute_error(right, found, sample_weight=w.astype(np.float64))
        assert row["validation_weighted_median_absolute_error"] == pytest.approx(median, rel=1e-6)
    right, w = results.labels.test, of.test.weights
    assert results.trivial is not None
    mean = np.full(len(right), results.labels.training_mean[0])
    for name, known in ERRORS.items():
        assert results.trivial.metrics[f"test_{name}"] == pytest.approx(
            known(right, mean, sample_weight=w), rel=1e-6
        )
    for rule in results.verdict.rules:
        every = [predicted(results, "test", run) for run in rule.runs]
        mae = np.mean([sk.mean_absolute_error(right, each, sample_weight=w) for each in every])
        assert results.test_errors[rule.rule].mae == pytest.approx(mae, rel=1e-6)


def test_a_function_of_ones_own_has_weights(tmp_path: Path) -> None:
    def f1(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
        return float(sk.f1_score(y, p.argmax(axis=1), sample_weight=weights))

    of = data()
    mine = ravine.run(study(of, metric=f1), store=tmp_path, quiet=True)
    theirs = ravine.results("s", store=tmp_path, metric="f1")
    assert [rule.test for rule in mine.verdict.rules] == pytest.approx(
        [rule.test for rule in theirs.verdict.rules]
    )
    with pytest.raises(
        StudyError, match=r"^metric = .*: returned one number, and data.weight_scores = true: must"
    ):
        ravine.run(study(of, metric=lambda p, y: 0.0), store=tmp_path / "other", quiet=True)


def test_a_class_without_weight_has_no_auc(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    of = ravine.from_arrays(rng.normal(size=(300, 2)), y, weights=1.0 - y, weight_scores=True)
    with pytest.raises(
        StudyError, match=r"^metric = 'roc_auc': .* none of '1' in the validation part with a weight above 0$"
    ):
        ravine.run(study(of, metric="roc_auc"), store=tmp_path, quiet=True)


def test_it_is_refused_beside_what_is_judged_without_weights(tmp_path: Path) -> None:
    model = {"kind": "mlp", "dropout": [0.0, 0.2]}
    of = ravine.Study(
        name="s", data=data(), model=model, epochs=1, rules=[{"kind": "adam", "lr": 0.01}], tune="regularize"
    )
    with pytest.raises(StudyError, match=r'^data.weight_scores = true: not with tune = "regularize"'):
        ravine.run(of, store=tmp_path, quiet=True)
    of = study(data(), ladder={"per_class": [5, 10], "draws": 2})
    with pytest.raises(StudyError, match=r"^data.weight_scores = true: not with ladder"):
        ravine.run(of, store=tmp_path, quiet=True)


def test_without_the_key_scores_are_of_all_examples_alike(tmp_path: Path) -> None:
    results = ravine.run(study(data(weight_scores=False)), store=tmp_path, quiet=True)
    assert results.metric.name == "accuracy"
    assert results.labels.weights is None
    [rule] = [each for each in results.verdict.rules if each.rule == "sgd"]
    assert rule.test == pytest.approx(np.mean([scores(results, "test", run).mean() for run in rule.runs]))


def test_studies_that_are_compared_have_the_weights_and_so_has_what_looks_at_no_input(tmp_path: Path) -> None:
    one = ravine.run(study(data()), store=tmp_path, quiet=True)
    other = ravine.Study(
        name="other", data=data(), model="mlp", epochs=3, rules=[{"kind": "adam", "lr": 0.01}]
    )
    ravine.run(other, store=tmp_path, quiet=True)
    found = ravine.compare("s", "other", store=tmp_path)
    assert found.trivial is not None
    assert one.trivial is not None
    assert found.trivial.scores == one.trivial.scores
    assert found.trivial.scores["test"] == one.trivial.metrics["test_weighted_accuracy"]
    assert found.trivial.scores["test"] != one.trivial.metrics["test_accuracy"]
