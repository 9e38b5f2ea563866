"""A study that is judged by a metric: configs chosen on validation by it, judged by it, and asked again untrained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

import ravine
from ravine.errors import InputError, StudyError
from ravine.outcomes import Results
from ravine.outcomes.trials import Predicted
from ravine.report.draw_budget import draw_budget
from ravine.store import Store

RULES = [{"kind": "sgd", "lr": [0.003, 0.03]}, {"kind": "adam", "lr": [0.001, 0.01]}]


def study(name: str, data: str, metric: object = None, **more: object) -> ravine.Study:
    return ravine.Study(
        **{
            "name": name,
            "data": data,
            "model": {"kind": "mlp", "hidden": [4]},
            "steps": 30,
            "seeds": 2,
            "rules": RULES,
            "metric": metric,
            **more,
        }
    )


def macro_f1(p: np.ndarray, y: np.ndarray) -> float:
    return float(sk.f1_score(y, p.argmax(axis=1), average="macro"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    ravine.run(study("wine", "wine", "f1_macro"), store=folder, quiet=True)
    ravine.run(study("diabetes", "diabetes", "mae"), store=folder, quiet=True)
    return folder


def outputs(results: Results, split: str, run: str) -> np.ndarray:
    found = Predicted(store=results.source, labels=results.labels).outputs(split, [run])[run]
    return found.astype(np.float64)


def test_configs_are_chosen_and_judged_by_it(folder: Path) -> None:
    results = ravine.results("wine", store=folder)
    assert results.metric.name == "f1_macro"
    assert results.verdict.measure.name == "macro F1"
    labels = results.labels
    means: dict[str, dict[str, list[float]]] = {}
    for run in results.runs:
        chosen = outputs(results, "validation", run.id).argmax(axis=1)
        f1 = sk.f1_score(labels.validation, chosen, average="macro")
        assert run.metrics["validation_f1_macro"] == pytest.approx(f1, abs=1e-12)
        means.setdefault(run.rule, {}).setdefault(run.config, []).append(f1)
    for rule in results.verdict.rules:
        best = max(np.mean(values) for values in means[rule.rule].values())
        assert rule.validation == pytest.approx(best, abs=1e-12)
        assert np.mean(means[rule.rule][rule.config]) == pytest.approx(best, abs=1e-12)
        tested = [outputs(results, "test", run).argmax(axis=1) for run in rule.runs]
        f1 = [sk.f1_score(labels.test, each, average="macro") for each in tested]
        assert rule.test == pytest.approx(np.mean(f1), abs=1e-12)
        low, high = rule.ci
        assert 0.0 <= low <= rule.test <= high <= 1.0
    assert "test macro F1" in str(results)


def test_tables_and_json_name_it(folder: Path) -> None:
    results = ravine.results("wine", store=folder)
    assert results.columns()[-1] == "validation_f1_macro"
    assert all(isinstance(row["validation_f1_macro"], float) for row in results.table())
    found = results.json()
    assert found["metric"] == "f1_macro"
    assert found["rules"][0]["test_f1_macro"] == pytest.approx(results.verdict.rules[0].test)
    assert "test_accuracy" not in found["rules"][0]


def test_another_metric_needs_no_training_and_the_usual_one_is_as_ever(folder: Path) -> None:
    before = {run.id: run.seconds for run in ravine.results("wine", store=folder).runs}
    asked = ravine.results("wine", store=folder, metric="accuracy")
    ravine.run(study("plain", "wine"), store=folder, quiet=True)
    plain = ravine.results("plain", store=folder)
    assert {run.id: run.seconds for run in plain.runs} == before
    assert asked.verdict == plain.verdict
    assert asked.columns() == plain.columns()
    assert "metric" not in plain.json()
    again = ravine.run(study("plain", "wine", "log_loss"), store=folder, quiet=True)
    assert {run.id: run.seconds for run in again.runs} == before
    assert again.metric.name == "log_loss"
    assert ravine.results("plain", store=folder).verdict == again.verdict
    losses = [run.metrics["validation_loss"] for run in again.runs]
    assert [run.metrics["validation_log_loss"] for run in again.runs] == pytest.approx(losses, abs=1e-5)


def test_test_is_read_for_the_chosen_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    own = Predicted.test_scores
    monkeypatch.setattr(Predicted, "test_scores", lambda self, run: read.append(run) or own(self, run))
    results = ravine.results("wine", store=folder, metric="roc_auc")
    assert set(read) == {run for rule in results.verdict.rules for run in rule.runs}
    assert len(read) == 4


def test_the_budget_figure_says_what_it_expects(folder: Path) -> None:
    titles = [
        draw_budget(ravine.results(name, store=folder, metric=metric))
        .views[0]
        .panels[0]["layout"]["title"]["text"]
        for name, metric in (("wine", "roc_auc"), ("wine", "accuracy"), ("diabetes", "r2"))
    ]
    assert ["ROC AUC (%)" in titles[0], "accuracy (%)" in titles[1], "R²" in titles[2]] == [True] * 3


def test_of_a_regression(folder: Path) -> None:
    results = ravine.results("diabetes", store=folder)
    best = results.verdict.rules[0]
    errors = [sk.mean_absolute_error(results.labels.test, outputs(results, "test", run)) for run in best.runs]
    assert -best.test == pytest.approx(np.mean(errors))
    assert best.ci[1] <= 0.0
    assert results.test_errors[best.rule].mae == pytest.approx(np.mean(errors))
    assert results.json()["rules"][0]["test_mae"] == pytest.approx(np.mean(errors))
    r2 = ravine.results("diabetes", store=folder, metric="r2")
    first = r2.verdict.rules[0]
    wanted = [sk.r2_score(results.labels.test, outputs(results, "test", run)) for run in first.runs]
    assert first.test == pytest.approx(np.mean(wanted), abs=1e-12)
    assert f"a test R² of {np.mean(wanted):.3g}".replace("-", "−") in r2.verdict.sentences[0]


def test_a_function_of_a_program(folder: Path) -> None:
    results = ravine.results("wine", store=folder, metric=macro_f1)
    own = ravine.results("wine", store=folder)
    assert results.metric.name == "macro_f1"
    for mine, theirs in zip(results.verdict.rules, own.verdict.rules, strict=True):
        assert (mine.rule, mine.config) == (theirs.rule, theirs.config)
        assert mine.test == pytest.approx(theirs.test, abs=1e-12)
    cost = {"function": lambda p, y: 1.0 - p[np.arange(len(y)), y], "better": "lower"}
    ran = ravine.run(study("cost", "wine", cost), store=folder, quiet=True)
    assert ran.verdict.measure.loss
    assert ran.score_metric.endswith("_loss")
    assert "validation_own_loss" in ran.columns()
    with pytest.raises(StudyError, match=r"a function of a Python program .* which a store does not keep"):
        ravine.results("cost", store=folder)
    assert ravine.results("cost", store=folder, metric="accuracy").is_usual


def test_a_function_of_the_name_of_a_metric_is_not_taken_for_it(folder: Path) -> None:
    def accuracy(p: np.ndarray, y: np.ndarray) -> float:
        return -float((p.argmax(axis=1) == y).mean())

    other = ravine.results("wine", store=folder, metric={"function": accuracy, "better": "lower"})
    plain = ravine.results("wine", store=folder, metric="accuracy")
    assert (other.is_usual, other.asks_otherwise, plain.is_usual) == (False, True, True)
    for mine in other.verdict.rules:
        same = next(each for each in plain.verdict.rules if each.rule == mine.rule)
        assert (mine.config, mine.test) == (same.config, pytest.approx(same.test))
        assert other.verdict.measure.readable(mine.test) == pytest.approx(-same.test)
    assert "own accuracy" in other.verdict.sentences[0]
    assert {"accuracy", "own_accuracy_loss"} <= set(other.metrics().metrics)


def test_a_function_that_only_a_store_names_is_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_metrics.py").write_text(
        "def share(p, y):\n    return float((p.argmax(axis=1) == y).mean())\n"
    )
    text = (
        'name = "named"\ndata = "wine"\nmodel = { kind = "mlp", hidden = [4] }\nsteps = 30\nseeds = 2\n'
        'metric = "own_metrics:share"\n[[rules]]\nkind = "sgd"\nlr = [0.003, 0.03]\n'
    )
    file = tmp_path / "named.toml"
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    ran = ravine.run(file, store=folder, quiet=True)
    assert ran.metric.name == "own_metrics:share"
    assert ravine.results("named", store=folder).verdict == ran.verdict
    found = ravine.mistakes("named", store=folder)
    assert found.confusion is not None
    assert found.confusion.num_runs == 2
    file.unlink()
    for use in (ravine.results, ravine.ensemble, ravine.soup):
        with pytest.raises(StudyError, match="ravine runs no code that only a store names: give the metric"):
            use("named", store=folder)
    one = next(run.id for run in ran.runs)
    assert len(ravine.predict("named", np.zeros((1, 13)), what=one, store=folder).predicted) == 1
    assert ravine.results("named", store=folder, metric="own_metrics:share").verdict == ran.verdict


def test_winners_elsewhere_are_chosen_by_it(folder: Path) -> None:
    results = ravine.results("wine", store=folder)
    best = max(
        (np.mean([r.metrics["validation_f1_macro"] for r in results.runs if r.config == config]), config)
        for config in {run.config for run in results.runs}
    )[1]
    found = ravine.ensemble("wine", store=folder)
    configs = {run.id: run.config for run in results.runs}
    assert {configs[member.run] for member in found.members} == {best}


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("f1", "metric = 'f1': is of two classes, and there are 3"),
        ("rmse", "metric = 'rmse': is not a metric for classification"),
        ("accurcy", "metric = 'accurcy': did you mean 'accuracy'"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, metric: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        ravine.results("wine", store=folder, metric=metric)
    assert str(caught.value).startswith(words)


def test_answers_of_a_store_without_a_class_are_refused(folder: Path) -> None:
    results = ravine.results("wine", store=folder)
    from ravine.outcomes.metric import check_labels

    short = replace(results.labels, test=np.minimum(results.labels.test, 1))
    with pytest.raises(
        StudyError, match=r"needs examples of every class, and there is none of .* in the test part"
    ):
        check_labels(ravine.results("wine", store=folder, metric="roc_auc").metric, short)


def test_a_staged_study_decays_what_the_metric_chose(tmp_path: Path) -> None:
    staged = study("staged", "wine", "log_loss", tune="staged", schedule=["constant", "cosine"])
    results = ravine.run(staged, store=tmp_path, quiet=True)
    first = [run for run in results.runs if run.hypers["stage"] == "1"]
    for rule in results.rules:
        means: dict[float, list[float]] = {}
        for run in first:
            if run.rule == rule:
                means.setdefault(run.hypers["lr"], []).append(run.metrics["validation_log_loss"])
        best = min(means, key=lambda lr: np.mean(means[lr]))
        second = {run.hypers["lr"] for run in results.runs if run.rule == rule and run.hypers["stage"] == "2"}
        assert second == {best}
    assert Store(tmp_path).has("staged")


def test_all_metrics_of_every_run_on_validation_and_of_the_chosen_on_test(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ravine.results("wine", store=folder)
    read: list[str] = []
    own = Predicted.outputs
    monkeypatch.setattr(
        Predicted,
        "outputs",
        lambda self, split, runs: (read.extend(runs) if split == "test" else None) or own(self, split, runs),
    )
    found = results.metrics()
    assert set(read) == {run for rule in results.verdict.rules for run in rule.runs}
    assert "f1" not in found.metrics  # of two classes alone
    assert {"accuracy", "f1_macro", "roc_auc", "ece"} <= set(found.metrics)
    rows = found.table()
    assert [row["run"] for row in rows] == [run.id for run in results.runs if run.status == "done"]
    stored = {run.id: run.metrics["validation_accuracy"] for run in results.runs}
    assert {row["run"]: row["validation_accuracy"] for row in rows} == pytest.approx(stored)
    best = results.verdict.rules[0]
    assert found.test[best.rule]["f1_macro"] == pytest.approx(best.test, abs=1e-12)
    assert found.chosen[best.rule]["f1_macro"] == pytest.approx(best.validation, abs=1e-12)
    share = np.bincount(results.labels.test).max() / len(results.labels.test)
    assert found.trivial["test"]["accuracy"] == pytest.approx(share)
    assert found.json()["chosen"][best.rule]["test"]["f1_macro"] == pytest.approx(best.test)
    assert "macro F1" in str(found)
    assert "ROC AUC" in found._repr_html_()


def test_metrics_of_several_targets_say_their_units(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).astype(np.float32)
    made = ravine.from_arrays(x, np.stack([x[:, 0], 1e3 * x[:, 1]], axis=1), name="pair")
    results = ravine.run(study("pair", made), store=tmp_path, quiet=True)  # type: ignore[arg-type]
    found = results.metrics()
    assert "units of variance" in str(found.grids()[1])
    mse = found.test[results.rules[0]]["mse"]
    assert mse > 1e3 * results.verdict.rules[0].test  # the one in squares of the targets' own units
    for metric, cautions in (("mae", 1), ("r2", 0), ("mse", 0)):
        judged = ravine.results("pair", store=tmp_path, metric=metric)
        found = [
            text for text in judged.warnings if f"own unit: {judged.labels.targets[1]} varies most" in text
        ]
        assert len(found) == cautions, metric


def test_all_metrics_of_a_regression_and_of_ones_own(folder: Path) -> None:
    found = ravine.results("diabetes", store=folder, metric="pinball_0.9").metrics()
    assert not found.notes
    assert list(found.metrics) == ["r2", "mse", "rmse", "mae", "median_absolute_error", "pinball_0.9"]
    own = ravine.results("wine", store=folder, metric=macro_f1).metrics()
    rule = next(iter(own.test))
    assert own.test[rule]["macro_f1"] == pytest.approx(own.test[rule]["f1_macro"])


def test_of_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    y = (x[:, :3] + 0.5 * rng.normal(size=(300, 3)) > 0.5).astype(int)
    ran = ravine.run(study("labels", (x, y), "f1_macro", seeds=2), store=tmp_path, quiet=True)
    best = ran.verdict.rules[0]
    wanted = [
        sk.f1_score(ran.labels.test, outputs(ran, "test", run) > 0, average="macro") for run in best.runs
    ]
    assert best.test == pytest.approx(np.mean(wanted), abs=1e-12)
    found = ravine.results("labels", store=tmp_path, metric="roc_auc").metrics()
    assert set(found.metrics) == {
        "label_accuracy", "subset_accuracy", "f1_macro", "f1_micro", "f1_weighted", "f1_samples", "roc_auc",
        "average_precision", "log_loss", "brier",
    }  # fmt: skip
