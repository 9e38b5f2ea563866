"""A study with folds that is judged by a metric: chosen, tested and compared by it, fold by fold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

import ravine
from ravine.data import Dataset, from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.errors import StudyError
from ravine.metrics import metric_named, parts_of
from ravine.outcomes.trials import Predicted
from ravine.predictors.folds import of_folds
from ravine.report import draw_folds
from ravine.store import Store
from ravine.study.expand import runs_of
from ravine.verdict import OnFold, measure_by, over_folds

FOLDS, SEEDS = 4, 2
RNG = np.random.default_rng(0)
X = RNG.standard_normal((240, 4))
RARE = (X[:, 0] + RNG.standard_normal(240) > 1.3).astype(int)
NUMBERS = X[:, 0] + 0.3 * RNG.standard_t(3, 240)
PARTS = [FoldOf(fold=fold, repeat=repeat) for repeat in range(2) for fold in range(FOLDS)]


def _study(name: str, data: Dataset, metric: object = None, **more: Any) -> ravine.Study:
    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [4]},
        "steps": 25,
        "batch_size": 16,
        "seeds": SEEDS,
        "rules": [{"kind": "sgd", "lr": [0.03, 0.3]}, {"kind": "adam", "lr": [0.003, 0.03]}],
    }
    return ravine.Study(**{"name": name, "data": data, "metric": metric, **given, **more})


def _rare() -> Dataset:
    return from_arrays(X, RARE, split={"folds": FOLDS, "repeats": 2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds") / "runs"
    ravine.run(_study("rare", _rare(), "f1"), store=folder, quiet=True)
    numbers = from_arrays(X, NUMBERS, task="regression", split={"folds": FOLDS})
    ravine.run(_study("numbers", numbers, "mae"), store=folder, quiet=True)
    return folder


def _f1(outputs: np.ndarray, answers: np.ndarray) -> float:
    return float(sk.f1_score(answers, outputs.argmax(axis=1), zero_division=0.0))


def _auc(outputs: np.ndarray, answers: np.ndarray) -> float:
    return float(sk.roc_auc_score(answers, outputs[:, 1].astype(np.float64) - outputs[:, 0]))


def _mae(outputs: np.ndarray, answers: np.ndarray) -> float:
    return -float(sk.mean_absolute_error(answers, outputs))


BY_HAND = {("rare", "f1"): _f1, ("rare", "roc_auc"): _auc, ("numbers", "mae"): _mae}


@pytest.mark.parametrize(("name", "metric"), BY_HAND)
def test_each_fold_is_tuned_and_tested_by_it_and_the_corrected_t_takes_the_results(
    folder: Path, name: str, metric: str
) -> None:
    by_hand = BY_HAND[name, metric]
    results = ravine.results(name, store=folder, metric=metric)
    found = results.folds
    assert found is not None
    assert len(found.chosen) == 2 * FOLDS * found.repeats
    by_rule: dict[str, list[float]] = {}
    for each in found.chosen:
        labels = results.source.labels.of(each.part.key(results.study.data_fingerprint))
        means: dict[str, list[float]] = {}
        for run in results.runs:
            if run.rule == each.rule and run.recipe["part"] == each.part.content():
                stored = results.source.tensors("predictions", run.id)
                value = by_hand(stored["validation"], labels.validation)
                assert run.metrics[f"validation_{metric}"] == pytest.approx(abs(value), abs=1e-6)
                means.setdefault(run.config, []).append(value)
        best = max(np.mean(values) for values in means.values())
        assert each.validation == pytest.approx(best, abs=1e-6)
        assert np.mean(means[each.config]) == pytest.approx(best, abs=1e-6)
        tested = [results.source.tensors("predictions", run)["test"] for run in each.runs]
        assert len(tested) == SEEDS
        by_rule.setdefault(each.rule, []).append(
            float(np.mean([by_hand(one, labels.test) for one in tested]))
        )
        assert each.test == pytest.approx(by_rule[each.rule][-1], abs=1e-6)
    for rule in results.verdict.rules:
        assert rule.test == pytest.approx(np.mean(by_rule[rule.rule]), abs=1e-6)
        assert rule.ci[0] < rule.test < rule.ci[1] <= (0.0 if metric == "mae" else 1.0)
    (pair,) = results.verdict.pairs
    apart = np.subtract(by_rule[pair.first], by_rule[pair.second])
    assert pair.difference == pytest.approx(apart.mean(), abs=1e-6)
    corrected = math.sqrt((1 / len(apart) + found.ratio) * apart.var(ddof=1))
    if corrected > pair.example_error:
        wanted = 2 * stats.t.sf(abs(apart.mean()) / corrected, len(apart) - 1)
        assert pair.p == pytest.approx(wanted, rel=1e-4)
    else:
        assert pair.seed_error == pytest.approx(pair.example_error)


def test_the_floor_is_the_spread_of_the_metric_over_other_examples() -> None:
    """Of an F1 of folds that agree, against resampling their examples."""
    rng = np.random.default_rng(1)
    answers = (rng.random((5, 400)) < 0.2).astype(int)
    claimed = {rule: np.where(rng.random((5, 400)) < 0.15, 1 - answers, answers) for rule in "ab"}
    metric = metric_named("f1")
    tested = []
    for rule, said in claimed.items():
        for fold in range(5):
            logits = np.stack([1 - said[fold], said[fold]], axis=1).astype(np.float32)
            (parts,) = parts_of(metric, "classification", [logits], answers[fold])
            assert parts.mean() == pytest.approx(sk.f1_score(answers[fold], said[fold]))
            tested.append(OnFold(rule=rule, repeat=0, fold=fold, scores={0: parts}, validation=0.5))
    _, (pair,) = over_folds(tested, 0.25, measure_by(metric, 2.0), 0.05)
    drawn = []
    for _ in range(400):
        rows = rng.integers(0, 400, (5, 400))
        f1 = {
            rule: np.mean([_of(answers[k][rows[k]], said[k][rows[k]]) for k in range(5)])
            for rule, said in claimed.items()
        }
        drawn.append(f1["a"] - f1["b"])
    assert pair.example_error == pytest.approx(np.std(drawn), rel=0.2)


def _of(answers: np.ndarray, said: np.ndarray) -> float:
    return float(2 * (answers & said).sum() / (answers.sum() + said.sum()))


def test_shares_stay_between_0_and_100_per_cent_and_losses_below_0() -> None:
    def of(metric: str, low: float, high: float) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        tested = [
            OnFold(rule="a", repeat=0, fold=k, scores={0: rng.uniform(low, high, 20)}, validation=0.5)
            for k in range(5)
        ]
        (rule,), _ = over_folds(tested, 0.25, measure_by(metric_named(metric), 3.0), 0.05)
        assert rule.ci[0] < rule.test < rule.ci[1]
        return rule.ci

    assert of("f1", 0.96, 1.03)[1] <= 1.0
    assert of("f1", -0.03, 0.04)[0] >= 0.0
    assert of("r2", 0.8, 1.15)[1] <= 1.0
    assert of("mae", -0.1, 0.05)[1] <= 0.0


def test_words_tables_figure_and_json_name_it(folder: Path) -> None:
    results = ravine.results("rare", store=folder)
    assert results.metric.name == "f1"
    assert results.folds is not None
    best = results.verdict.rules[0]
    assert "test F1 (95 % interval" in results.verdict.sentences[0]
    assert "test F1" in str(results)
    assert results.columns()[-1] == "validation_f1"
    assert all(isinstance(row["validation_f1"], float) for row in results.table())
    found = json.loads(json.dumps(results.json(), allow_nan=False))
    assert found["metric"] == "f1"
    assert found["rules"][0]["test_f1"] == pytest.approx(best.test)
    assert found["folds"]["chosen"][0]["test"] == pytest.approx(results.folds.chosen[0].test)
    assert found["trivial"]["test_f1"] == 0.0  # which never finds the second class
    figure = json.dumps(draw_folds.draw_folds(results).views[0].panels)
    assert "Test F1" in figure
    assert "points of F1, better" in figure
    assert "accuracy" not in figure


def test_of_a_loss(folder: Path) -> None:
    results = ravine.results("numbers", store=folder)
    assert results.folds is not None
    best = results.verdict.rules[0]
    assert "a test mean absolute error of " in results.verdict.sentences[0]
    assert results.test_errors[best.rule].mae == pytest.approx(-best.test, rel=1e-6)
    usual = ravine.results("numbers", store=folder, metric="mse")
    run = results.runs[0].id
    assert results.validation_errors[run] == usual.validation_errors[run]
    found = results.json()
    assert found["rules"][0]["test_mae"] == pytest.approx(-best.test)
    assert found["folds"]["chosen"][0]["test"] == pytest.approx(-results.folds.chosen[0].test)
    expected = []
    for part in PARTS[:FOLDS]:
        labels = results.source.labels.of(part.key(results.study.data_fingerprint))
        expected.append(np.abs(labels.test - float(labels.training_mean[0])).mean())
    assert found["trivial"]["test_mae"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert "less mean absolute error" in json.dumps(draw_folds.draw_folds(results).views[0].panels)


def test_nothing_is_trained_for_another_metric(folder: Path) -> None:
    before = {run.id: run.seconds for run in ravine.results("rare", store=folder).runs}
    plain = ravine.run(_study("plain", _rare()), store=folder, quiet=True)
    assert {run.id: run.seconds for run in plain.runs} == before
    assert plain.folds is not None
    assert ravine.results("rare", store=folder, metric="accuracy").verdict == plain.verdict


def test_the_pool_has_the_winners_by_the_metric(folder: Path) -> None:
    results = ravine.results("rare", store=folder)
    found = of_folds(Store(folder), "rare", find=lambda: (_study("rare", _rare(), "f1"), None))
    known = {run.id: run for run in results.runs}
    members = [known[member.name] for member in found.members]
    for run in members:
        own = [each for each in results.runs if each.recipe["part"] == run.recipe["part"]]
        means = {
            config: np.mean([each.metrics["validation_f1"] for each in own if each.config == config])
            for config in {each.config for each in own}
        }
        assert means[run.config] == pytest.approx(max(means.values()))
    assert {FoldOf.of(run.recipe["part"]) for run in members} == set(PARTS)


def test_a_function_of_ones_own(folder: Path) -> None:
    def missed(p: np.ndarray, answers: np.ndarray) -> np.ndarray:
        return 1.0 * (p.argmax(axis=1) != answers)

    own = ravine.results("rare", store=folder, metric={"function": missed, "better": "lower"})
    usual = ravine.results("rare", store=folder, metric="accuracy")
    assert own.verdict.best == usual.verdict.best
    assert own.verdict.rules[0].test == pytest.approx(usual.verdict.rules[0].test - 1.0)
    assert own.verdict.pairs[0].difference == pytest.approx(usual.verdict.pairs[0].difference)


def test_a_run_whose_test_scores_are_not_finite_is_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ravine.results("numbers", store=folder)
    assert whole.folds is not None
    chosen = whole.folds.of("adam")[0]
    own = Predicted.test_scores
    monkeypatch.setattr(
        Predicted,
        "test_scores",
        lambda self, run: own(self, run) * (math.nan if run == chosen.runs[0] else 1.0),
    )
    results = ravine.results("numbers", store=folder)
    assert results.folds is not None
    assert results.folds.of("adam")[0].runs == chosen.runs[1:]
    (rule,) = (each for each in results.verdict.rules if each.rule == "adam")
    assert rule.outcome == f"1 of {FOLDS * SEEDS} chosen runs diverged"
    assert results.verdict.best == "sgd"
    assert math.isfinite(rule.test)
    assert not results.verdict.separable
    assert math.isfinite(results.test_errors["adam"].mae)


def test_a_fold_without_a_class_is_named(tmp_path: Path) -> None:
    """Four groups have all the positives, so that one of five folds tests none of them."""
    groups = np.arange(60) // 3
    data = from_arrays(X[:60], 1 * (groups < 4), groups=groups, split={"folds": 5})
    assert data.folds is not None
    lacking = [part for part in data.folds.sizes if len(set(data.folds.of(part).test.y)) < 2]
    words = (
        "metric = 'roc_auc': needs examples of every class, and there is none of '1' in the test part of "
        f"{lacking[0].words}"
    )
    assert lacking[0].fold > 0
    with pytest.raises(StudyError) as caught:
        runs_of(_study("few", data, "roc_auc", batch_size=8), data)
    assert str(caught.value) == words
    ravine.run(_study("few", data, batch_size=8, rules=["adam"]), store=tmp_path / "runs", quiet=True)
    with pytest.raises(StudyError) as caught:
        ravine.results("few", store=tmp_path / "runs", metric="roc_auc")
    assert str(caught.value) == words
    with pytest.raises(StudyError, match="is not a metric for classification"):
        ravine.results("few", store=tmp_path / "runs", metric="mae")
