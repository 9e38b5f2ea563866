"""`data.weight_scores`: what hypers are chosen by, the verdict and the tables have the weights of examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

import ravine
from ravine.api.metric import metric_for
from ravine.data.parts import part_of
from ravine.errors import DataError, StudyError
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


def _macro(right: np.ndarray, taken: np.ndarray, sample_weight: np.ndarray) -> float:
    return float(sk.f1_score(right, taken, average="macro", sample_weight=sample_weight))


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


def test_dropout_is_kept_for_what_it_gains_by_weight(tmp_path: Path) -> None:
    """The gap is of all examples alike, on both sides; what chooses and gains has the weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 12))
    y = (x[:, 0] + 1.5 * rng.normal(size=400) > 0).astype(int)
    of = ravine.from_arrays(x, y, weights=rng.gamma(2.0, size=400), weight_scores=True, validation=0.5)
    model = {"kind": "mlp", "hidden": [64], "norm": "batch", "dropout": [0.0, 0.3, 0.6]}
    found = ravine.run(
        ravine.Study(
            name="s", data=of, model=model, epochs=30, seeds=3, batch_size=32, tune="regularize",
            rules=[{"kind": "momentum", "lr": [0.01, 0.1]}],
        ),
        store=tmp_path,
        quiet=True,
    )  # fmt: skip
    (decided,) = found.regularized
    w, by_config = of.validation.weights, {}
    for run in found.runs:
        taken = predicted(found, "validation", run.id).argmax(axis=1)
        score = sk.accuracy_score(of.validation.y, taken, sample_weight=w)
        by_config.setdefault(run.config, {})[run.seed] = (score, sk.accuracy_score(of.validation.y, taken))
    first = {run.config for run in found.runs if run.hypers["stage"] == "1"}
    means = {config: np.mean([score for score, _ in by_config[config].values()]) for config in first}
    assert decided.config == max(means, key=lambda each: means[each])
    gaps = [
        run.metrics["train_accuracy"] - by_config[run.config][run.seed][1]
        for run in found.runs
        if run.config == decided.config
    ]
    assert decided.overfits
    assert decided.gap is not None
    assert decided.gap.size == pytest.approx(np.mean(gaps))
    before = by_config[decided.config]
    for gain in decided.gains:
        after = by_config[gain.config]
        assert gain.gain == pytest.approx(np.mean([after[seed][0] - before[seed][0] for seed in before]))
    assert "in weighted accuracy on validation" in str(found)


@pytest.mark.parametrize(("metric", "known"), [(None, sk.accuracy_score), ("f1_macro", _macro)])
def test_each_part_of_a_ladder_is_tuned_and_tested_by_weight(
    metric: str | None, known: Any, tmp_path: Path
) -> None:
    of = data()
    found = ravine.run(
        ravine.Study(
            name="s", data=of, model={"kind": "mlp", "hidden": []}, steps=15, seeds=2, metric=metric,
            rules=[{"kind": "sgd", "lr": [0.003, 0.3]}],
            variants=[{"label": "line"}, {"label": "bent", "model": {"hidden": [4]}}],
            ladder={"per_class": [2, 15, 40], "draws": 2, "default": {"lr": 0.03}},
        ),
        store=tmp_path,
        quiet=True,
    )  # fmt: skip
    assert found.ladder is not None
    assert found.ladder.measure.name == ("weighted accuracy" if metric is None else "weighted macro F1")
    by_rung: dict[tuple[str, int], list[float]] = {}
    for each in found.ladder.chosen:
        part = part_of(of, each.part)
        own = [
            run for run in found.runs if run.rule == each.arm and run.recipe["part"] == each.part.content()
        ]
        y, w = part.validation.y, part.validation.weights
        values = {
            run.id: known(y, predicted(found, "validation", run.id).argmax(axis=1), sample_weight=w)
            for run in own
        }
        means = {
            config: np.mean([values[run.id] for run in own if run.config == config])
            for config in {run.config for run in own}
        }
        assert means[each.config] == pytest.approx(max(means.values()), abs=1e-9)
        taken = [predicted(found, "test", run).argmax(axis=1) for run in each.runs]
        expected = np.mean([known(of.test.y, one, sample_weight=of.test.weights) for one in taken])
        assert each.test == pytest.approx(expected, abs=1e-6)
        assert each.accuracy == pytest.approx(np.mean([(one == of.test.y).mean() for one in taken]))
        if each.validation is not None:
            assert each.validation == pytest.approx(means[each.config], abs=1e-6)
        by_rung.setdefault((each.arm, each.part.per_class), []).append(expected)
    for rung in found.ladder.rungs:
        assert rung.mean == pytest.approx(np.mean(by_rung[rung.arm, rung.per_class]), abs=1e-6)
    again = Results.load(Store(tmp_path), "s")
    assert again.ladder is not None
    assert again.ladder.json() == found.ladder.json()


def test_a_part_of_a_ladder_without_weight_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    w = (rng.random(300) > 0.8) * 1.0
    of = ravine.from_arrays(rng.normal(size=(300, 2)), np.arange(300) % 2, weights=w, weight_scores=True)
    keys = {"epochs": 1, "rules": [{"kind": "sgd", "lr": 0.1}]}
    few = ravine.Study(name="s", data=of, model="mlp", ladder={"per_class": [5, 9], "draws": 4}, **keys)
    with pytest.raises(
        DataError, match=r"^ladder: draw \d of 5 per class of .*: all 2 weights of the validation part"
    ):
        ravine.run(few, store=tmp_path, quiet=True)
    some = np.where(np.arange(300) % 2, w, 1.0)
    of = ravine.from_arrays(rng.normal(size=(300, 2)), np.arange(300) % 2, weights=some, weight_scores=True)
    few = ravine.Study(
        name="s", data=of, model="mlp", ladder={"per_class": [5, 9], "draws": 4}, metric="roc_auc", **keys
    )
    with pytest.raises(StudyError, match=r"validation part of draw \d of 5 per class with a weight above 0$"):
        ravine.run(few, store=tmp_path, quiet=True)


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
