"""An ensemble is compared by what its study is judged by too: F1 and R² against scikit-learn's, intervals by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, r2_score

import ravine
from ravine.cli.main import main
from ravine.data import from_arrays
from ravine.ensembles.fold_findings import FoldEnsemble
from ravine.store import Store

RNG = np.random.default_rng(3)
X = RNG.standard_normal((240, 4))
NOISY = X[:, 0] + 0.9 * RNG.standard_normal(240)
Y = (NOISY > 0.7).astype(int)


def run(name: str, folder: Path, data: Any, metric: Any) -> None:
    study = ravine.Study(
        name=name,
        data=data,
        model={"kind": "mlp", "hidden": [6]},
        steps=40,
        batch_size=16,
        seeds=3,
        rules=[{"kind": "adam", "lr": [3e-3, 0.05]}],
        metric=metric,
    )
    ravine.run(study, store=folder, quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked") / "runs"
    run("f1", folder, from_arrays(X, Y), "f1")
    run("r2", folder, from_arrays(X, NOISY, task="regression"), "r2")
    run("folded", folder, from_arrays(X, Y, split={"folds": 4}), "f1")
    run("usual", folder, from_arrays(X, Y), None)
    return folder


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    found: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
    return found


def f1_parts(predicted: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """F1 plus each example's influence: F = 2 h / s, so the influence is (2 [hit] - F ([claimed] + [own])) n / s."""
    claimed, own = predicted == 1, answers == 1
    total, value = claimed.sum() + own.sum(), f1_score(answers, predicted)
    found: np.ndarray = value + len(answers) * (2.0 * (claimed & own) - value * (1.0 * claimed + own)) / total
    return found


def test_the_f1_of_each_kind_and_the_ensembles_gain(folder: Path) -> None:
    found = ravine.ensemble("f1", store=folder)
    assert not isinstance(found, FoldEnsemble)
    predicted = {}
    with Store(folder) as store:
        labels = store.labels.of(store.study("f1").data_fingerprint)
        for kind in found.judged:
            assert kind.own is not None
            for split, answers in (("validation", labels.validation), ("test", labels.test)):
                p = sum(
                    share * softmax(store.tensors("predictions", run)[split])
                    for run, share in kind.pool.weights.items()
                )
                assert isinstance(p, np.ndarray)
                predicted[kind.name, split] = p.argmax(axis=1)
                expected = f1_score(answers, p.argmax(axis=1))
                assert getattr(kind.own, split) == pytest.approx(expected, abs=1e-12)
    best, last = (predicted[name, "test"] for name in (found.judged[0].name, found.judged[-1].name))
    pair = next(each for each in found.compared if each.score == "f1" and each.second == "best run")
    parts = f1_parts(last, labels.test) - f1_parts(best, labels.test)
    assert pair.difference == pytest.approx(f1_score(labels.test, last) - f1_score(labels.test, best))
    # As `ravine.verdict.comparison` says: moments about zero, and two more examples as heavy as those that differ.
    squares = parts**2
    heavy = (squares**2).sum() / squares.sum() if squares.any() else 0.0
    z = stats.norm.isf(0.025 / len(found.compared))
    half = z * np.sqrt(squares.sum() + 2.0 * heavy) / len(parts)
    assert pair.interval == pytest.approx((pair.difference - half, pair.difference + half))
    text = str(found)
    assert "F1, by which the study is judged (more is better)" in text
    assert "points of test F1 (" in text


def test_numbers_by_r2(folder: Path) -> None:
    found = ravine.ensemble("r2", store=folder)
    assert not isinstance(found, FoldEnsemble)
    with Store(folder) as store:
        labels = store.labels.of(store.study("r2").data_fingerprint)
        last = found.judged[-1]
        assert last.own is not None
        mean = np.mean([store.tensors("predictions", run)["test"] for run in last.pool.weights], axis=0)
    assert last.own.test == pytest.approx(r2_score(labels.test, mean), abs=1e-5)  # stored as float32
    for each in (each for each in found.compared if each.score == "r2" and each.outcome != "not separable"):
        assert (each.outcome == "better") == (each.difference > 0.0)


def test_folds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ravine.ensemble("folded", store=folder)
    assert isinstance(found, FoldEnsemble)
    values = []
    with Store(folder) as store:
        for fold, pooled in found.chosen.items():
            labels = store.labels.of(fold.key(store.study("folded").data_fingerprint))
            p = np.mean(
                [softmax(store.tensors("predictions", run)["test"]) for run in pooled.pool.weights], axis=0
            )
            values.append(f1_score(labels.test, p.argmax(axis=1)))
    own = found.kinds[-1].own
    assert own is not None
    assert own.test == pytest.approx(np.mean(values), abs=1e-12)
    assert own.spread == pytest.approx(np.std(values, ddof=1))
    pair = next(each for each in found.compared if each.score == "f1" and each.second == "best run")
    other = found.kinds[0].own
    assert other is not None
    assert pair.difference == pytest.approx(own.test - other.test)
    assert pair.interval[0] < pair.difference < pair.interval[1]
    assert main(["ensemble", "folded", "--store", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metric"] == "f1"
    assert content["scores"][-1]["by_metric"]["test"] == pytest.approx(own.test)
    assert "F1, by which the study is judged" in str(found)


def test_another_metric_can_be_asked_for_and_the_usual_one_adds_nothing(folder: Path) -> None:
    found = ravine.ensemble("usual", store=folder)
    assert not isinstance(found, FoldEnsemble)
    assert found.metric is None
    assert {each.score for each in found.compared} <= {"accuracy", "nll"}
    assert "metric" not in found.json()
    assert "by_metric" not in found.json()["scores"][0]
    asked = ravine.ensemble("usual", store=folder, metric="log_loss")
    assert not isinstance(asked, FoldEnsemble)
    for kind in asked.judged:
        assert kind.own is not None
        assert kind.own.test == pytest.approx(kind.test["nll"])
    by = {(each.second, each.score): each for each in asked.compared}
    for (second, score), each in by.items():
        if score == "log_loss":
            assert each.interval == pytest.approx(by[second, "nll"].interval)
            assert each.outcome == by[second, "nll"].outcome
