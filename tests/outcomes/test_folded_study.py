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
from ravine.data import Dataset, from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError, StudyError
from ravine.outcomes import Results
from ravine.report import facts, figures, page, terminal
from ravine.store import Store
from ravine.study.definition import definition_of

FOLDS, SEEDS = 3, 2


def _data(repeats: int = 1) -> Dataset:
    """Two classes that one of four numbers tells apart, in groups of three rows."""
    rng = np.random.default_rng(0)
    y = (np.arange(150) // 3) % 2
    x = rng.standard_normal((150, 4))
    x[:, 0] += 1.5 * y
    return from_arrays(x, y, groups=np.arange(150) // 3, split={"folds": FOLDS, "repeats": repeats})


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
        (lambda store: ravine.ensemble("folded", store=store), "study 'folded' has folds: its runs learn"),
        (lambda store: ravine.predict("folded", np.zeros((2, 4)), store=store), "study 'folded' has folds"),
        (lambda store: ravine.soup(_study(), store=store), "study 'folded' has folds"),
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
