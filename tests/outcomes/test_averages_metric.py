"""Averages of the weights, and decay, by the metric that judges a study: recomputed from stored predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

import ravine
from ravine.outcomes import Results
from ravine.store import average_of, kind_of


def share_wrong(p: np.ndarray, y: np.ndarray) -> float:
    return float((p.argmax(axis=1) != y).mean())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("averaged") / "runs"


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    study = ravine.Study(
        name="averaged",
        data="wine",
        model={"kind": "mlp", "hidden": [4]},
        steps=40,
        seeds=2,
        averages={"ema": [0.5, 0.98], "polyak": {"from": 0.5}},
        metric="f1_macro",
        rules=[{"kind": "sgd", "lr": [0.003, 0.03]}],
    )
    return ravine.run(study, store=folder, quiet=True)


def _by_hand(results: Results, run: str, average: str) -> np.ndarray:
    kind = kind_of(average, "predictions") if average else "predictions"
    return results.source.tensors(kind, run)["validation"].argmax(axis=1)


def test_rows_are_by_the_metric(results: Results) -> None:
    answers = results.labels.validation
    (rule,) = results.verdict.rules
    names = {average_of(name) for run in results.runs for name in run.metrics} - {""}
    assert {row.average for row in results.averages} == names
    assert len(names) == 3
    for row in results.averages:
        own, averaged = (
            [f1_score(answers, _by_hand(results, run, name), average="macro") for run in rule.runs]
            for name in ("", row.average)
        )
        assert row.own == pytest.approx(np.mean(own))
        assert row.averaged == pytest.approx(np.mean(averaged))
        assert row.gain == pytest.approx(np.mean(averaged) - np.mean(own))
    assert f"the last weights reach {100 * rule.validation:.2f} % macro F1 on validation" in " ".join(
        str(results).split()
    )


@pytest.mark.parametrize("lower", [False, True])
def test_the_average_that_predicts_is_chosen_by_it(folder: Path, results: Results, lower: bool) -> None:
    """The share of wrong answers, once as if more of it were better."""
    metric = {"function": share_wrong, "better": "lower" if lower else "higher"}
    assert results.averages
    judged = ravine.results("averaged", store=folder, metric=metric)
    (rule,) = judged.verdict.rules
    found = {
        (run, row.average): float((_by_hand(judged, run, row.average) != judged.labels.validation).mean())
        for run in rule.runs
        for row in judged.averages
    }
    best = (min if lower else max)(found.values())
    x = np.random.default_rng(0).normal(size=(5, 13))
    predicted = ravine.predict(judged, x, what="average")
    same = [
        ravine.predict(judged, x, what=f"{run}#{average}").probabilities
        for (run, average), value in found.items()
        if value == best
    ]
    assert any(np.array_equal(predicted.probabilities, each) for each in same)


def test_decay_is_by_the_metric(folder: Path) -> None:
    study = ravine.Study(
        name="staged",
        data="wine",
        model={"kind": "mlp", "hidden": [4]},
        steps=30,
        seeds=2,
        tune="staged",
        schedule=["constant", "cosine"],
        metric="log_loss",
        rules=[{"kind": "sgd", "lr": [0.003, 0.03]}],
    )
    found = ravine.run(study, store=folder, quiet=True)
    (row,) = found.stages
    losses = {
        stage: np.mean(
            [
                run.metrics["validation_loss"]
                for run in found.runs
                if run.hypers["stage"] == stage and run.hypers["lr"] == row.lr
            ]
        )
        for stage in ("1", "2")
    }
    assert row.constant == pytest.approx(losses["1"], abs=1e-5)
    assert row.decayed == pytest.approx(losses["2"], abs=1e-5)
    assert row.gain == pytest.approx(losses["1"] - losses["2"], abs=1e-5)
    assert "in validation log loss" in " ".join(str(found).split())
