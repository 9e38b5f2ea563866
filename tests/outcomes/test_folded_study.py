"""A study with folds from its runs to its words."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import ravine
from ravine.data import Dataset, from_arrays, load
from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError, StudyError
from ravine.outcomes import Results
from ravine.predictors.folds import of_folds
from ravine.report import facts, figures, page, terminal
from ravine.store import Store
from ravine.study.definition import definition_of

FOLDS, SEEDS = 3, 2


Y = (np.arange(150) // 3) % 2
X = (
    np.random.default_rng(0).standard_normal((150, 4)) * [1.0, 5.0, 1.0, 0.1]
    + [1.5, 0.0, 20.0, 0.0] * Y[:, None]
)


def _data(repeats: int = 1) -> Dataset:
    """Two classes that one of four numbers tells apart, in groups of three rows."""
    return from_arrays(X, Y, groups=np.arange(150) // 3, split={"folds": FOLDS, "repeats": repeats})


def _study(**changes: Any) -> ravine.Study:
    given: dict[str, Any] = {
        "name": "folded",
        "data": _data(),
        "model": {"kind": "mlp", "hidden": [4]},
        "steps": 12,
        "batch_size": 16,
        "seeds": SEEDS,
        "rules": [{"kind": "sgd", "lr": [0.01, 0.3]}, {"kind": "adam", "lr": [0.001, 0.03]}],
    }
    return ravine.Study(**{**given, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds") / "runs"


@pytest.fixture(scope="module")
def results(store: Path) -> Results:
    return ravine.run(_study(), store=store, quiet=True)


def test_each_rule_is_chosen_by_the_validation_of_each_fold_and_tested_on_that_fold(results: Results) -> None:
    data = _data()
    assert data.folds is not None
    found = results.folds
    assert found is not None
    assert len(results.runs) == _study().num_runs == FOLDS * 4 * SEEDS
    assert len(found.chosen) == FOLDS * 2
    for each in found.chosen:
        own = data.folds.of(each.part)
        of_fold = [
            run for run in results.runs if run.rule == each.rule and run.recipe["part"] == each.part.content()
        ]
        means: dict[str, list[float]] = {}
        for run in of_fold:
            stored = results.source.tensors("predictions", run.id)
            assert len(stored["validation"]) == len(own.validation)
            assert len(stored["test"]) == len(own.test)
            right = stored["validation"].argmax(axis=1) == own.validation.y
            means.setdefault(run.config, []).append(float(right.mean()))
        best = max(np.mean(scores) for scores in means.values())
        assert each.validation == pytest.approx(best)
        assert np.mean(means[each.config]) == pytest.approx(best)
        right = [
            (results.source.tensors("predictions", run)["test"].argmax(axis=1) == own.test.y).mean()
            for run in each.runs
        ]
        assert each.test == pytest.approx(np.mean(right))


def test_the_verdict_is_on_procedures(results: Results) -> None:
    found, verdict = results.folds, results.verdict
    assert found is not None
    assert {rule.rule for rule in verdict.rules} == {"sgd", "adam"}
    for rule in verdict.rules:
        assert rule.test == pytest.approx(np.mean([each.test for each in found.of(rule.rule)]))
    (pair,) = verdict.pairs
    by_fold = [a.test - b.test for a, b in zip(found.of(pair.first), found.of(pair.second), strict=True)]
    assert pair.difference == pytest.approx(np.mean(by_fold))
    assert found.ratio == pytest.approx(1 / (FOLDS - 1), abs=0.02)
    assert verdict.sentences[0].startswith("Over 3 folds, ")
    assert any("3 folds give a spread with 2 degrees of freedom" in text for text in results.warnings)
    assert results.trivial is not None
    assert results.trivial.scores["test"] == pytest.approx(0.5, abs=0.03)


def test_nothing_is_trained_again_and_repeats_add_runs_of_their_own(store: Path, results: Results) -> None:
    again = ravine.run(_study(), store=store, quiet=True)
    assert [run.id for run in again.runs] == [run.id for run in results.runs]
    more = ravine.run(_study(data=_data(repeats=2)), store=store, quiet=True)
    assert len(more.runs) == 2 * len(results.runs)
    assert {run.id for run in results.runs} <= {run.id for run in more.runs}
    old = {run.id: run.metrics for run in results.runs}
    assert all(run.metrics == old[run.id] for run in more.runs if run.id in old)
    assert more.folds is not None
    assert (more.folds.folds, more.folds.repeats) == (FOLDS, 2)
    ravine.run(_study(), store=store, quiet=True)


def test_what_a_fold_has_does_not_depend_on_the_other_folds(tmp_path: Path, results: Results) -> None:
    """Its runs are those of a study whose given test split is that fold."""
    data = _data()
    assert data.folds is not None
    part = FoldOf(fold=1, repeat=0)
    alone = replace(data.folds.of(part), fingerprint="alone")
    single = ravine.run(_study(name="single", data=alone), store=tmp_path / "runs", quiet=True)
    own = [run for run in results.runs if run.recipe["part"] == part.content()]
    for one, other in zip(single.runs, own, strict=True):
        assert (one.rule, one.seed, one.hypers["lr"]) == (other.rule, other.seed, other.hypers["lr"])
        assert one.metrics == other.metrics


def test_deleting_another_study_keeps_the_answers_of_the_folds(store: Path, results: Results) -> None:
    ravine.run(_study(name="other", data="iris", rules=["adam"]), store=store, quiet=True)
    Store(store).delete_study("other")
    assert ravine.results("folded", store=store).verdict.pairs == results.verdict.pairs


def test_folds_for_people_and_for_programs(store: Path, results: Results, tmp_path: Path) -> None:
    shown = io.StringIO()
    Console(file=shown, width=110).print(terminal.verdict(results))
    assert "Over 3 folds" in shown.getvalue()
    assert facts.about_runs(results) == "24: 3 folds, 2 seeds"
    content = json.loads(json.dumps(results.json(), allow_nan=False))
    assert len(content["folds"]["chosen"]) == FOLDS * 2
    assert content["folds"]["folds"] == FOLDS
    assert {row["fold"] for row in content["table"]} == set(range(FOLDS))
    (figure,) = figures.figures(results)
    assert figure.name == "folds"
    assert len(figure.views[0].panels) == 2
    assert len(figure.table.rows) == FOLDS * 2
    assert figures.figure(results, "lr").caption.startswith("Nothing to draw: a rule has another config")
    html = page.report(results).decode()
    assert "Fold by fold" in html
    assert "Each fold was the test split once" in html
    assert "3 folds" in str(_study())
    assert "folds" in definition_of(_study(data={"kind": "iris", "split": {"folds": 3}}))


def test_a_factor_is_compared_over_folds_and_folds_are_not(store: Path, results: Results) -> None:
    by_lr = ravine.results("folded", store=store, compare="lr")
    assert by_lr.folds is not None
    assert len(by_lr.verdict.rules) == 4
    with pytest.raises(StudyError, match="compare = 'fold': folds are averaged over"):
        ravine.results("folded", store=store, compare="fold")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda store: ravine.predict(_study(), X, store=store, what="greedy"),
            "of a study with folds; allowed",
        ),
        (lambda store: ravine.predict(_study(), X, store=store, mode="mc"), "predict by the mean pass alone"),
        (lambda store: ravine.soup(_study(), store=store), "study 'folded' has folds"),
        (lambda store: ravine.sharpness("folded", store=store), "study 'folded' has folds: its runs learned"),
        (lambda store: ravine.landscape("folded", store=store), "study 'folded' has folds: its runs learned"),
        (lambda store: ravine.slowness("folded", store=store), "study 'folded' has folds: its runs learned"),
        (
            lambda store: ravine.average("folded", store=store, last=2),
            "study 'folded' has folds: its runs lear",
        ),
        (lambda store: ravine.compare("folded", "folded", store=store), "folded"),
    ],
)
def test_what_needs_one_validation_split_is_refused(
    store: Path, results: Results, call: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call(store)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ladder": {"per_class": [5], "draws": 2}}, "data.split.folds, ladder: only one of them"),
        ({"tune": "staged", "schedule": ["constant", "cosine"]}, "data.split.folds, tune: only one of them"),
        ({"averages": {"ema": [0.9]}}, "data.split.folds, averages: only one of them"),
        ({"keep": {"every": "epoch"}}, "data.split.folds, keep: only one of them"),
        ({"test_time": {"modes": ["mean", "mc"]}}, "data.split.folds, test_time: only one of them"),
        (
            {
                "model": {"kind": "backbone", "weights": "random:0"},
                "steps": None,
                "phases": [{"train": "head", "steps": 5}],
            },
            "data.split.folds, model: a backbone",
        ),
    ],
)
def test_what_does_not_go_with_folds_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words) as caught:
        _study(**changes)
    assert "\n" not in str(caught.value)


def test_the_winners_of_the_folds_predict_together(store: Path, results: Results) -> None:
    data = _data()
    assert data.folds is not None
    find = lambda: (_study(), None)  # noqa: E731
    found = of_folds(Store(store), "folded", find=find)
    assert len(found.members) == FOLDS
    assert len(of_folds(Store(store), "folded", "ensemble", find=find).members) == FOLDS * SEEDS
    outputs = found.outputs(found.preparation.inputs.apply(X))
    for run_id, logits in outputs.items():
        run = results.source.run(run_id)
        own = data.folds.of(FoldOf.of(run.recipe["part"]))
        raw = own.preparation.inputs.scaling
        tested = own.test.some(slice(None)).astype(np.float64) * np.array(raw.deviation) + np.array(raw.mean)
        rows = [int(np.abs(X - each).sum(axis=1).argmin()) for each in tested]
        stored = results.source.tensors("predictions", run_id)["test"]
        np.testing.assert_allclose(logits[rows], stored, atol=1e-4)
        best = max(
            each.metrics["validation_accuracy"]
            for each in results.runs
            if each.recipe["part"] == run.recipe["part"] and each.config == run.config
        )
        assert run.metrics["validation_accuracy"] == best
    rows = ravine.predict(_study(), X, store=store)
    mean = np.mean([_softmax(each) for each in outputs.values()], axis=0)
    np.testing.assert_allclose(np.array(rows.probabilities), mean, atol=1e-6)
    assert np.mean(np.array(rows.predicted) == np.array([str(y) for y in Y])) > 0.6


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
    return found


def test_winners_of_a_regression_on_a_table_undo_the_scales_of_their_folds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "t.csv"
    rows = [
        f"{'rare' if i == 7 else 'ab'[i % 2]},{rng.normal() * 30 + 100:.3f},{50 + (i % 2) * 20 + rng.normal():.4f}"
        for i in range(60)
    ]
    path.write_text("name,size,y\n" + "\n".join(rows) + "\n")
    data = {"kind": "csv", "path": str(path), "target": "y", "split": {"folds": 3}}
    study = _study(name="priced", data=data, batch_size=8, rules=[{"kind": "adam", "lr": 0.03}])
    results = ravine.run(study, store=tmp_path / "runs", quiet=True)
    found = of_folds(Store(tmp_path / "runs"), "priced", find=lambda: (study, None))
    raw = {name: np.array(column) for name, column in _columns(path).items()}
    outputs = found.outputs(found.preparation.inputs.apply({name: raw[name] for name in ("name", "size")}))
    whole = load(study.data)
    assert whole.folds is not None
    for run_id, values in outputs.items():
        own = whole.folds.of(FoldOf.of(results.source.run(run_id).recipe["part"]))
        answers = own.in_own_units(own.test.y)
        at = [int(np.abs(raw["y"].astype(float) - answer).argmin()) for answer in answers]
        stored = results.source.tensors("predictions", run_id)["test"]
        np.testing.assert_allclose(values[at], stored, rtol=1e-4)


@pytest.mark.parametrize("loss", ["poisson", "mae"])
def test_winners_of_any_loss_predict_what_is_stored_of_them(tmp_path: Path, loss: str) -> None:
    counts = np.random.default_rng(2).poisson(np.exp(0.5 * X[:, 0])).astype(np.float64)
    data = from_arrays(X, counts, task="regression", split={"folds": 3})
    assert data.folds is not None
    study = _study(name="counted", data=data, loss=loss, rules=[{"kind": "adam", "lr": 0.03}])
    results = ravine.run(study, store=tmp_path / "runs", quiet=True)
    found = of_folds(Store(tmp_path / "runs"), "counted", find=lambda: (study, None))
    for run_id, values in found.outputs(found.preparation.inputs.apply(X)).items():
        own = data.folds.of(FoldOf.of(results.source.run(run_id).recipe["part"]))
        assert own.preparation is not None
        raw = own.preparation.inputs.scaling
        tested = own.test.some(slice(None)).astype(np.float64) * np.array(raw.deviation) + np.array(raw.mean)
        at = [int(np.abs(X - each).sum(axis=1).argmin()) for each in tested]
        stored = results.source.tensors("predictions", run_id)["test"]
        np.testing.assert_allclose(values[at], stored, rtol=1e-4, atol=1e-5)


def _columns(path: Path) -> dict[str, list[str]]:
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    return {name: [row[at] for row in rows] for at, name in enumerate(header)}


def test_each_hyper_that_folds_chose_is_listed(tmp_path: Path) -> None:
    rules = [{"kind": "momentum", "lr": [0.01, 0.3], "rho": 0.5, "weight_decay": [0.0, 0.3]}]
    results = ravine.run(_study(rules=rules), store=tmp_path / "runs", quiet=True)
    [rule] = results.verdict.rules
    chosen = results.folds.of("momentum")
    assert rule.hypers["rho"] == 0.5
    for name in ("lr", "weight_decay"):
        values = [each.hypers[name] for each in chosen]
        if len(set(values)) == 1:
            assert values[0] == (rule.lr if name == "lr" else rule.hypers[name])
        else:
            said = str(rule.hypers[f"{name} of the folds"])
            assert all(f"{value:.6g} in {values.count(value)}" in said for value in set(values))
