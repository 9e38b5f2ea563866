"""All metrics of a study with folds, against scikit-learn fold by fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

import ravine
from ravine.cli.main import main
from ravine.data import Dataset, from_arrays
from ravine.outcomes import Results

FOLDS, SEEDS = 3, 2
RNG = np.random.default_rng(0)
X = RNG.standard_normal((150, 4))
RARE = (X[:, 0] + RNG.standard_normal(150) > 1.0).astype(int)


def _study(name: str, data: Dataset, **more: Any) -> ravine.Study:
    return ravine.Study(
        name=name,
        data=data,
        model={"kind": "mlp", "hidden": [4]},
        steps=20,
        batch_size=16,
        seeds=SEEDS,
        rules=[{"kind": "sgd", "lr": [0.03, 0.3]}, {"kind": "adam", "lr": [0.003, 0.03]}],
        **more,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds") / "runs"
    rare = from_arrays(X, RARE, split={"folds": FOLDS, "repeats": 2})
    ravine.run(_study("rare", rare), store=folder, quiet=True)
    numbers = from_arrays(X, X[:, 0] + RNG.standard_normal(150), task="regression", split={"folds": FOLDS})
    ravine.run(_study("numbers", numbers), store=folder, quiet=True)
    return folder


def _of_classes(outputs: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    odds = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
    p, said = odds / odds.sum(axis=1, keepdims=True), outputs.argmax(axis=1)
    return {
        "accuracy": sk.accuracy_score(answers, said),
        "balanced_accuracy": sk.balanced_accuracy_score(answers, said),
        "f1": sk.f1_score(answers, said, zero_division=0.0),
        "f1_macro": sk.f1_score(answers, said, average="macro", zero_division=0.0),
        "roc_auc": sk.roc_auc_score(answers, p[:, 1]),
        "average_precision": sk.average_precision_score(answers, p[:, 1]),
        "log_loss": sk.log_loss(answers, p),
        "brier": sk.brier_score_loss(answers, p[:, 1]),
    }


def _of_numbers(outputs: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    return {
        "r2": sk.r2_score(answers, outputs),
        "rmse": sk.root_mean_squared_error(answers, outputs),
        "mae": sk.mean_absolute_error(answers, outputs),
        "median_absolute_error": sk.median_absolute_error(answers, outputs),
    }


@pytest.mark.parametrize(("name", "by_hand"), [("rare", _of_classes), ("numbers", _of_numbers)])
def test_metrics_are_those_of_scikit_learn_fold_by_fold(folder: Path, name: str, by_hand: Any) -> None:
    results = ravine.results(name, store=folder)
    assert results.folds is not None
    found = results.metrics()
    tensors = {run.id: results.source.tensors("predictions", run.id) for run in results.runs}
    labels = {
        each.part: results.source.labels.of(each.part.key(results.study.data_fingerprint))
        for each in results.folds.chosen
    }
    for each, row in zip(
        sorted(results.folds.chosen, key=lambda each: (each.part.repeat, each.part.fold, each.rule)),
        sorted(found.folds, key=lambda each: (each.part.repeat, each.part.fold, each.rule)),
        strict=True,
    ):
        own = labels[each.part]
        assert (row.rule, row.part) == (each.rule, each.part)
        for split, answers in (("validation", own.validation), ("test", own.test)):
            of_seeds = [by_hand(tensors[run][split], answers) for run in each.runs]
            assert len(of_seeds) == SEEDS
            for metric in of_seeds[0]:
                wanted = np.mean([of_seed[metric] for of_seed in of_seeds])
                assert getattr(row, split)[metric] == pytest.approx(wanted, abs=1e-6), (split, metric)
    for rule in results.rules:
        own_rows = [row for row in found.folds if row.rule == rule]
        for metric, value in found.test[rule].items():
            of_folds = [row.test[metric] for row in own_rows]
            assert value == pytest.approx(np.mean(of_folds))
            assert found.spread["test"][rule][metric] == pytest.approx(np.std(of_folds, ddof=1))
    for run in results.runs:
        own = next(each for part, each in labels.items() if part.content() == run.recipe["part"])
        for metric, wanted in by_hand(tensors[run.id]["validation"], own.validation).items():
            assert found.validation[run.id][metric] == pytest.approx(wanted, abs=1e-6)
    usual = {"rare": "accuracy", "numbers": "mse"}[name]
    for rule in results.verdict.rules:
        assert rule.test is not None
        assert found.test[rule.rule][usual] == pytest.approx(abs(rule.test), rel=1e-6)
    assert results.trivial is not None
    of_trivial = {"rare": "accuracy", "numbers": "loss"}[name]
    assert found.trivial["test"][usual] == pytest.approx(
        results.trivial.metrics[f"test_{of_trivial}"], rel=1e-5
    )


def test_as_people_and_programs_read_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "rare", "--store", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "the mean over 6 folds, and ± its standard deviation" in " ".join(shown.split())
    results: Results = ravine.results("rare", store=folder)
    found = results.metrics()
    best = results.verdict.rules[0].rule
    f1, spread = 100 * found.test[best]["f1"], 100 * found.spread["test"][best]["f1"]
    assert f"{f1:.1f} % ± {spread:.1f}" in shown
    assert main(["metrics", "rare", "--store", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["folds"]) == 2 * 2 * FOLDS
    assert content["folds"][0].keys() == {"rule", "fold", "repeat", "validation", "test"}
    assert content["chosen"][best]["test"]["f1"] == pytest.approx(found.test[best]["f1"])
    assert content["spread"]["test"][best]["f1"] == pytest.approx(found.spread["test"][best]["f1"])
    assert len(content["table"]) == len(results.runs)
    assert {row["fold"] for row in content["table"]} == set(range(FOLDS))


def test_a_metric_that_a_fold_has_no_value_of_is_left_out_by_name(tmp_path: Path) -> None:
    groups = np.arange(60) // 3
    data = from_arrays(X[:60], 1 * (groups < 4), groups=groups, split={"folds": 5})
    results = ravine.run(_study("few", data), store=tmp_path / "runs", quiet=True)
    found = results.metrics()
    assert "roc_auc" not in found.metrics
    assert "accuracy" in found.metrics
    (note,) = (note for note in found.notes if note.startswith("ROC AUC"))
    assert note.startswith(
        "ROC AUC is left out: it needs examples of every class, and there is none of '1' in the "
    )
    assert "part of fold " in note
