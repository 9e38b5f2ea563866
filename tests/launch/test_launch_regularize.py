"""BatchNorm first, dropout only if it still overfits: which runs the second stage has, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

import ravine
from ravine.data import load
from ravine.errors import StudyError
from ravine.outcomes.regularized import regularized_words
from ravine.outcomes.trials import Predicted
from ravine.report.page import report
from ravine.study import Study, runs_of

# Few training examples with wrong labels: a network that learns them by heart is no better than chance elsewhere.
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 12)).astype(np.float32)
Y = (X[:, 0] + 1.5 * RNG.normal(size=400) > 0).astype(np.int64)
KEYS: dict[str, Any] = {
    "data": (X[:200], Y[:200], X[200:], Y[200:]),
    "model": {"kind": "mlp", "hidden": [64], "norm": "batch", "dropout": [0.0, 0.3, 0.6]},
    "epochs": 30,
    "batch_size": 32,
    "evaluations": 2,
    "seeds": 3,
    "tune": "regularize",
    "rules": [{"kind": "momentum", "lr": [0.01, 0.1]}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where: Path = tmp_path_factory.mktemp("regularize") / "runs"
    ravine.run(Study(name="over", **KEYS), store=where, quiet=True)
    return where


def test_stage_two_is_the_other_rates_for_the_winner_of_stage_one(folder: Path) -> None:
    found = ravine.results("over", store=folder)
    (decided,) = found.regularized
    assert decided.gap is not None
    first = [run for run in found.runs if run.hypers["stage"] == "1"]
    second = [run for run in found.runs if run.hypers["stage"] == "2"]
    assert {run.hypers["model.dropout"] for run in first} == {0.0}
    assert len(first) == 2 * 3
    winner = [run for run in first if run.config == decided.config]
    gaps = [run.metrics["train_accuracy"] - run.metrics["validation_accuracy"] for run in winner]
    assert decided.gap.size == pytest.approx(np.mean(gaps))
    assert decided.gap.size > 0.2
    assert decided.overfits
    assert {run.hypers["model.dropout"] for run in second} == {0.3, 0.6}
    assert {run.hypers["lr"] for run in second} == {winner[0].hypers["lr"]}
    assert len(second) == 2 * 3
    for gain in decided.gains:
        scores = {run.seed: run.metrics["validation_accuracy"] for run in second if run.config == gain.config}
        before = {run.seed: run.metrics["validation_accuracy"] for run in winner}
        assert gain.gain == pytest.approx(np.mean([scores[seed] - before[seed] for seed in before]))
        assert gain.certain == (gain.low is not None and gain.low > 0.0)


def test_runs_are_those_of_a_study_that_tries_everything(folder: Path) -> None:
    joint = Study(name="joint", **{**KEYS, "tune": "joint"})
    ids = {run.id for run in runs_of(joint, load(joint.data))}
    assert {run.id for run in ravine.results("over", store=folder).runs} <= ids
    assert Study(name="over", **KEYS).num_runs == (2 + 2) * 3


def test_the_verdict_is_about_what_was_decided(folder: Path) -> None:
    found = ravine.results("over", store=folder)
    (decided,) = found.regularized
    assert found.verdict.rules[0].config == decided.kept
    said = str(found)
    assert "it overfits" in said
    assert f"dropout {decided.gains[0].rate:g}" in said
    assert found.json()["regularize"][0]["overfits"] is True
    assert "Whether dropout was needed" in report(found).decode()


def test_what_does_not_overfit_has_no_second_stage(folder: Path) -> None:
    study = Study(name="tolerant", **KEYS, regularize={"tolerance": 0.9})
    found = ravine.run(study, store=folder, quiet=True)
    assert {run.hypers["stage"] for run in found.runs} == {"1"}
    assert not found.regularized[0].overfits
    assert (
        "not above 90 points for sure, so dropout was not tried"
        in regularized_words(found.regularized, found.verdict.measure)[0]
    )
    again = ravine.run(study, store=folder, quiet=True)
    assert len(again.runs) == len(found.runs)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"model": {"kind": "mlp", "dropout": [0.2, 0.5]}}, "model.dropout: tune = \"regularize\" needs a list with 0"),
        ({"model": "mlp"}, "model.dropout: tune = \"regularize\" needs a list with 0"),
        ({"model": {"kind": "mlp", "dropout": {"linear": [0.0, 0.5], "num": 3}}}, "model.dropout: tune"),
        ({"seeds": 1}, "seeds: tune = \"regularize\" needs at least 2 seeds"),
        ({"regularize": {"tolerance": 1.0}}, "regularize.tolerance = 1.0: must be"),
        ({"regularize": {"tolerence": 0.1}}, "regularize.tolerence: unknown key; did you mean 'tolerance'"),
        ({"compare": "dropout"}, "compare = 'dropout': a study in stages"),
        ({"rules": [{"kind": "sgd", "lr": [0.1, 0.2]}, "adam"]}, "rules: tune = \"regularize\" needs the same number"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line(keys: dict[str, Any], line: str) -> None:
    with pytest.raises(StudyError) as fault:
        Study(**{"name": "s", **KEYS, **keys})
    assert str(fault.value).startswith(line)
    assert "\n" not in str(fault.value)


def test_a_regression_has_no_gap_of_accuracies() -> None:
    data = (X[:200], X[:200, 0], X[200:], X[200:, 0])
    study = Study(name="s", **{**KEYS, "data": data})
    with pytest.raises(StudyError, match=r"tune = .regularize.: .* is a regression"):
        runs_of(study, load(study.data))


def test_each_of_several_models_has_its_own_rates() -> None:
    models = [
        {"kind": "mlp", "hidden": [4], "dropout": [0.0, 0.1]},
        {"kind": "mlp", "dropout": [0.0, 0.2, 0.4]},
    ]
    study = Study(name="s", **{**KEYS, "model": models})
    assert study.later == 2
    runs = runs_of(study, load(study.data))
    assert {run.recipe.hypers["model.dropout"] for run in runs} == {0.0}
    assert replace(study, tune="joint").num_runs == (2 + 3) * 2 * 3


def test_by_another_metric_configs_and_gains_are_its_and_the_gap_is_of_accuracy(folder: Path) -> None:
    found = ravine.run(Study(name="by-loss", **KEYS, metric="log_loss"), store=folder, quiet=True)
    (decided,) = found.regularized
    first = [run for run in found.runs if run.hypers["stage"] == "1"]
    predicted = Predicted(store=found.source, labels=found.labels)
    outputs = predicted.outputs("validation", [run.id for run in found.runs])

    def loss(config: str) -> dict[int, float]:
        own = [run for run in found.runs if run.config == config]
        return {
            run.seed: log_loss(found.labels.validation, softmax(outputs[run.id].astype(np.float64), axis=1))
            for run in own
        }

    means = {config: np.mean(list(loss(config).values())) for config in {run.config for run in first}}
    assert decided.config == min(means, key=lambda config: means[config])
    winner = [run for run in first if run.config == decided.config]
    gaps = [run.metrics["train_accuracy"] - run.metrics["validation_accuracy"] for run in winner]
    assert decided.gap is not None
    assert decided.gap.size == pytest.approx(np.mean(gaps), abs=1e-6)
    assert {run.hypers["lr"] for run in found.runs if run.hypers["stage"] == "2"} == {winner[0].hypers["lr"]}
    before = loss(decided.config)
    assert len(decided.gains) == 2
    for gain in decided.gains:
        after = loss(gain.config)
        assert gain.gain == pytest.approx(np.mean([before[seed] - after[seed] for seed in before]), abs=1e-6)
    assert found.json()["regularize"][0]["rates"][0]["validation"] > 0.0
    assert "Gains in log loss on validation" in str(found)


def test_a_metric_that_chooses_another_config_has_no_second_stage(folder: Path) -> None:
    def low(p: np.ndarray, y: np.ndarray) -> float:
        return -float((p.argmax(axis=1) == y).mean())

    usual = ravine.results("over", store=folder)
    other = ravine.results("over", store=folder, metric=low)
    assert other.regularized[0].config != usual.regularized[0].config
    assert other.regularized[0].gains == ()
    assert other.verdict.rules[0].config == other.regularized[0].config
