"""Several studies under one verdict: what it says, what counts once, and what cannot be compared."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

import ravine
from ravine.cli.main import main
from ravine.errors import InputError
from ravine.outcomes.apart import trained_apart
from ravine.outcomes.compared import Comparison
from ravine.outcomes.compared_page import as_judgement
from ravine.report.judged import judged_page, write_judged
from ravine.verdict import ACCURACY, Trial, judge

DATA = {"kind": "digits", "limit": 300}
MOMENTUM = {"kind": "momentum", "lr": [0.01, 0.1]}


def study(
    store: Path, name: str, rules: Sequence[dict[str, Any]], data: Any = DATA, **keys: Any
) -> ravine.Results:
    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [8]},
        "steps": 40,
        "batch_size": 32,
        "seeds": 3,
    }
    return ravine.run(
        ravine.Study(name=name, data=data, rules=list(rules), **{**given, **keys}), store=store, quiet=True
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two studies: rules of their own, and momentum with other learning rates in each."""
    path = tmp_path_factory.mktemp("compared") / "runs"
    study(path, "one", [MOMENTUM, {"kind": "sgd", "lr": [0.01, 0.1, 1.0]}])
    study(
        path, "two", [{"kind": "momentum", "lr": [0.1, 0.3]}, {"kind": "adam", "lr": [0.001, 0.01]}], steps=60
    )
    return path


def scores(results: ravine.Results, part: str) -> dict[str, dict[str, np.ndarray]]:
    """Right or wrong by rule and config, (seeds, examples), from what the store has."""
    answers = getattr(results.labels, part)
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for run in sorted(results.runs, key=lambda run: run.seed):
        logits = results.source.tensors("predictions", run.id)[part]
        found.setdefault(run.rule, {}).setdefault(run.config, []).append(logits.argmax(axis=1) == answers)
    return {rule: {c: np.array(rows) for c, rows in configs.items()} for rule, configs in found.items()}


def test_the_verdict_is_that_on_the_scores_of_all_studies(store: Path) -> None:
    both = {name: ravine.results(name, store=store) for name in ("one", "two")}
    found = ravine.compare("one", "two", store=store)
    test, validation = (
        {
            (rule if rule != "momentum" else f"{name}: momentum"): configs
            for name, results in both.items()
            for rule, configs in scores(results, part).items()
        }
        for part in ("test", "validation")
    )
    expected = ravine.judge(test, validation=validation).verdict
    assert {rule.rule for rule in found.verdict.rules} == {"one: momentum", "two: momentum", "sgd", "adam"}
    assert [(r.rule, r.test, r.num_configs) for r in found.verdict.rules] == [
        (r.rule, r.test, r.num_configs) for r in expected.rules
    ]
    for pair, other in zip(found.verdict.pairs, expected.pairs, strict=True):
        assert (pair.first, pair.second, pair.num_seeds) == (other.first, other.second, 3)
        assert pair.p_corrected == pytest.approx(other.p_corrected, rel=1e-12)
        assert pair.ci == pytest.approx(other.ci, rel=1e-12)


def test_budgets_and_lengths_that_differ_are_said(store: Path) -> None:
    found = ravine.compare("one", "two", store=store)
    assert any("Unequal tuning budgets (sgd 3, the smallest 2)" in text for text in found.warnings)
    (alike,) = [text for text in found.warnings if "not trained alike" in text]
    assert "steps (40 in one, 60 in two)" in alike
    assert "hidden" not in alike
    grid = found.grid()
    configs = {row[0]: row[grid.columns.index("configs")] for row in grid.rows}
    assert configs.pop("most frequent class") == "–"
    assert configs == {"one: momentum": "2", "two: momentum": "2", "sgd": "3", "adam": "2"}
    assert "two: 12 runs of 4 configs and 3 seeds, 60 steps each" in str(found)


def test_another_factor_of_results_is_judged_by_the_metric_that_they_were_asked_by(store: Path) -> None:
    one, two = (ravine.results(name, store=store, metric="f1_macro") for name in ("one", "two"))
    found = ravine.compare(one, two, compare="lr")
    assert found.noun == "level"
    assert found.verdict.measure.name == "macro F1"


OWN = """
def recall_of_3(outputs, answers):
    return ((outputs.argmax(axis=1) == 3) & (answers == 3)).sum() / (answers == 3).sum()
"""


def test_another_metric_is_asked_for(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a function that the studies name, where there is no file of theirs that does, too."""
    (tmp_path / "measured_here.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    for name, lr in (("a", 0.1), ("b", 0.3)):
        rules = [{"kind": "sgd", "lr": lr}]
        study(tmp_path / "runs", name, rules, metric="measured_here:recall_of_3")
    by_macro = ravine.compare("one", "two", store=store, metric="f1_macro")
    results = [ravine.results(name, store=store) for name in ("one", "two")]
    assert ravine.compare(*results, metric="f1_macro").json() == by_macro.json()
    assert by_macro.verdict.measure.name == "macro F1"
    for rule in by_macro.verdict.rules:
        own = []
        for run in rule.runs:
            logits = results[0].source.tensors("predictions", run)["test"]
            own.append(f1_score(results[0].labels.test, logits.argmax(axis=1), average="macro"))
        assert rule.test == pytest.approx(np.mean(own))
    assert main(["compare", "a", "b"]) == 2
    assert "ravine runs no code that only a store names: give the metric (--metric" in capsys.readouterr().err
    verb = ["compare", "a", "b", "--metric"]
    assert main([*verb, "measured_here:recall_of_3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    opened = ravine.results("a", store="runs", metric="accuracy")
    expected = []
    for run in opened.runs:
        taken = opened.source.tensors("predictions", run.id)["validation"].argmax(axis=1) == 3
        expected.append(taken[opened.labels.validation == 3].mean())
    [rule] = [each for each in found["compared"] if each["of"] == ["a"]]
    assert found["metric"].endswith("recall_of_3")
    assert rule["validation"] == pytest.approx(np.mean(expected))
    for wrong, said in (("rmse", "'rmse': is not a metric for"), ("f1_macr", "f1_macro")):
        assert main([*verb, wrong]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_study_as_such_is_tuned_over_its_rules(store: Path) -> None:
    found = ravine.compare("one", "two", store=store, compare="study")
    assert [(rule.rule, rule.num_configs) for rule in found.verdict.rules] in (
        [("one", 5), ("two", 4)],
        [("two", 4), ("one", 5)],
    )
    assert found.noun == "study"
    for rule in found.verdict.rules:
        best = max(
            (float(rows.mean()), name)
            for name, configs in scores(ravine.results(rule.rule, store=store), "validation").items()
            for rows in configs.values()
        )
        if rule.rank == 1:
            assert rule.hypers["rule"] == best[1]
            assert rule.validation == pytest.approx(best[0])


def test_a_rule_with_the_same_configs_is_one_entry_with_all_seeds(tmp_path: Path) -> None:
    study(tmp_path, "few", [MOMENTUM], seeds=[0, 1])
    study(tmp_path, "more", [MOMENTUM, {"kind": "sgd", "lr": 0.1}], seeds=[1, 2])
    found = ravine.compare("few", "more", store=tmp_path)
    seeds = {rule.rule: rule.seeds for rule in found.verdict.rules}
    assert seeds == {"momentum": (0, 1, 2), "sgd": (1, 2)}
    assert found.labels["momentum"] == ("few", "more")
    assert len([run for run in found.runs if run.rule == "momentum"]) == 6  # 2 configs, seed 1 once
    assert any(text.startswith("momentum: few and more tried the same 2 configs") for text in found.warnings)
    assert found.verdict.pairs[0].num_seeds == 2


def test_a_method_compared_with_itself_is_said_so(tmp_path: Path) -> None:
    """Of two grids that overlap, both choose the same configuration."""
    study(tmp_path, "low", [{"kind": "momentum", "lr": [1e-5, 0.1]}])
    study(tmp_path, "high", [{"kind": "momentum", "lr": [0.1, 1e-6]}])
    found = ravine.compare("low", "high", store=tmp_path)
    (pair,) = found.verdict.pairs
    assert (pair.difference, pair.p, pair.separable, pair.seeds_needed) == (0.0, 1.0, False, None)
    assert pair.outcome == "not separable: their chosen runs are the same"
    assert found.verdict.sentences[1] == "They are not separable: their chosen runs are the same."
    study(tmp_path, "anew", [{"kind": "momentum", "lr": [0.1, 1e-7]}], seeds=[5, 6, 7])
    other = ravine.compare("low", "anew", store=tmp_path)
    assert other.verdict.pairs[0].num_seeds == 3  # unpaired, on all of them
    assert any("chose the same configuration, with other seeds" in text for text in other.warnings)
    assert any("unpaired on all of them" in text for text in other.warnings)


def test_runs_of_both_rules_are_no_evidence_against_either() -> None:
    rng = np.random.default_rng(0)
    right = {f"{seed}": (rng.random(400) < 0.8).astype(float) for seed in range(4)}
    trials = [
        Trial(
            rule=rule,
            config="c",
            hypers={},
            seed=seed,
            run=f"{seed}",
            diverged=False,
            validation=right[f"{seed}"],
        )
        for rule, seeds in (("a", range(4)), ("b", range(2)))
        for seed in seeds
    ]
    verdict = judge(trials, right.__getitem__, measure=ACCURACY)
    (pair,) = verdict.pairs
    assert (pair.p, pair.separable) == (1.0, False)
    assert pair.ci[0] <= 0.0 <= pair.ci[1]


def test_studies_of_several_stores(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    found = ravine.compare("one", store=[store, copy])
    assert list(found.studies) == [f"{store}/one", f"{copy}/one"]
    assert {rule.rule for rule in found.verdict.rules} == {"momentum", "sgd"}  # the same runs, once
    (alone,) = ravine.results("one", store=store).verdict.pairs
    assert found.verdict.pairs[0].ci == alone.ci
    with pytest.raises(InputError, match="no study 'three' in any of the stores"):
        ravine.compare("one", "three", store=[store, copy])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"data": "iris"}, "different data, 'digits' and 'iris'"),
        (
            {"data": {**DATA, "split_seed": 1}},
            "different splits of 'digits', the same numbers of other examples",
        ),
        ({"data": {**DATA, "test": 0.3}}, "different splits of 'digits', 300/359/359 and 300/359/539"),
        ({"data": "diabetes"}, "different tasks, classification and regression"),
        (
            {"test_time": {"modes": ["mc"], "judge": "mc", "samples": 2}},
            "the mean pass and mc with 2 samples",
        ),
        ({"ladder": {"per_class": [2, 4], "draws": 2}}, "a ladder has an answer for each number"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    store: Path, tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    model = {"kind": "mlp", "hidden": [8], "dropout": 0.1} if "test_time" in keys else "mlp"
    steps = {"epochs": 1} if "ladder" in keys else {"steps": 3}
    given = {"name": "other", "data": DATA, "model": model, "batch_size": 8, "seeds": 1, **steps, **keys}
    other = ravine.run(ravine.Study(rules=[{"kind": "sgd", "lr": 0.1}], **given), store=tmp_path, quiet=True)
    with pytest.raises(InputError) as caught:
        ravine.compare(ravine.results("one", store=store), other)
    assert said in str(caught.value)
    assert "other" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_verb(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "one", "two", "--store", str(store)]) == 0
    assert "one: momentum" in capsys.readouterr().out
    assert main(["compare", "one", "two", "--store", str(store), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["study"] for each in found["studies"]] == ["one", "two"]
    assert {each["rule"]: each["of"] for each in found["compared"]}["adam"] == ["two"]
    assert len(found["pairs"]) == 6
    assert len(found["table"]) == 27
    assert {row["study"] for row in found["table"]} == {"one", "two"}
    for words, said in (
        (["one"], "only 'one' to compare"),
        ([], "STUDY STUDY ... is missing"),
        (["one", "one"], "given twice"),
        (["one", "gone"], "no study 'gone' in the store"),
        (["one", "two", "--compare", "dropout"], "study 'one': compare = 'dropout': does not vary"),
    ):
        code = main(["compare", *words, "--store", str(store)])
        error = capsys.readouterr().err
        assert code == 2
        assert said in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(("by", "one", "several"), [(None, "rule", "rules"), ("study", "study", "studies")])
def test_the_page_has_one_word_for_what_is_compared(
    store: Path, tmp_path: Path, by: str | None, one: str, several: str
) -> None:
    found = ravine.compare("one", "two", store=store, compare=by)
    text = found.report(tmp_path / "page.html").read_text()
    for words in (
        f"What each {one} reached",
        f"Pairs of {several}",
        f"<dt>{several}</dt>",
        f"airs? of {several}</",
    ):
        assert re.search(words, text), words
    assert "most frequent class" in text
    assert "method" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "studys" not in text


def test_what_was_trained_otherwise(store: Path) -> None:
    runs = {name: ravine.results(name, store=store).runs for name in ("one", "two")}
    assert trained_apart(runs) == ["steps (40 in one, 60 in two)"]
    assert trained_apart({"one": runs["one"], "again": runs["one"]}) == []


def test_it_shows_itself(store: Path) -> None:
    found = ravine.compare(*(ravine.results(name, store=store) for name in ("one", "two")))
    assert isinstance(found, Comparison)
    assert found.name == "one and two"
    assert "<table>" in found._repr_html_()
    assert len(found.table()) == 27


def test_the_page_has_the_runs_and_the_scores_of_the_chosen(store: Path, tmp_path: Path) -> None:
    both = [ravine.results(name, store=store) for name in ("one", "two")]
    found = ravine.compare(*both)
    form = as_judgement(found, write_judged)
    assert form.verdict.pairs == found.verdict.pairs
    assert form.methods == ("adam", "one: momentum", "sgd", "two: momentum")
    for rule in found.verdict.rules:
        own = both[rule.rule in ("adam", "two: momentum")]
        table = {part: scores(own, part)[rule.rule.rpartition(": ")[2]] for part in ("validation", "test")}
        assert rule.config is not None
        for part, configs in table.items():
            assert form.seeds(rule.rule, part) == pytest.approx(
                dict(enumerate(configs[rule.config].mean(axis=1)))
            )
        assert len(form.configs(rule.rule)) == rule.num_configs
        tested = {
            row["config"] for row in form.runs if row[form.noun] == rule.rule and row["test"] is not None
        }
        assert tested == {f"lr {rule.lr:g}"}  # test scores of the others stay unread
    assert found.report(tmp_path / "page.html").read_bytes() == judged_page(form)
    assert main(["compare", "one", "two", "--store", str(store), "--out", str(tmp_path / "page.txt")]) == 2
    assert not (tmp_path / "page.txt").exists()


def test_the_trivial_predictor_is_judged_by_the_studies_metric(tmp_path: Path) -> None:
    for name, lr in (("low", 0.01), ("high", 0.1)):
        made = ravine.Study(
            name=name,
            data="wine",
            model={"kind": "mlp", "hidden": [4]},
            steps=10,
            seeds=2,
            metric="f1_macro",
            rules=[{"kind": "sgd", "lr": lr}],
        )
        alone = ravine.run(made, store=tmp_path, quiet=True).trivial
    found = ravine.compare("low", "high", store=tmp_path).trivial
    assert found is not None
    assert alone is not None
    assert found.scores == alone.scores
    assert found.scores["test"] < 0.3  # the macro F1 of one class of three; its accuracy is 0.39
