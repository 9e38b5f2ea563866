"""Several studies with folds under one verdict: that of one study with the rules of all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine.cli.main import main
from ravine.data import from_arrays
from ravine.errors import InputError

FOLDS, SEEDS, N = 4, 2, 120
RNG = np.random.default_rng(2)
X = RNG.standard_normal((N, 3))
Y = (X[:, 0] + 0.5 * RNG.standard_normal(N) > 0).astype(int)
SGD, ADAM = {"kind": "sgd", "lr": [0.02, 0.2]}, {"kind": "adam", "lr": [0.003, 0.03]}


def _run(folder: Path, name: str, rules: list[Any], **changes: Any) -> ravine.Results:
    split = changes.pop("split", {"folds": FOLDS})
    given: dict[str, Any] = {
        "data": from_arrays(X, Y, split=split),
        "model": {"kind": "mlp", "hidden": [4]},
        "steps": 20,
        "batch_size": 16,
        "seeds": SEEDS,
    }
    return ravine.run(ravine.Study(name=name, rules=rules, **{**given, **changes}), store=folder, quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def first(folder: Path) -> ravine.Results:
    return _run(folder / "a", "first", [SGD])


@pytest.fixture(scope="module")
def second(folder: Path) -> ravine.Results:
    return _run(folder / "b", "second", [ADAM])


def test_studies_of_two_stores_are_judged_as_one_study_with_all_rules(
    folder: Path, first: ravine.Results, second: ravine.Results
) -> None:
    both = _run(folder / "both", "both", [SGD, ADAM])
    found = ravine.compare(first, second)
    assert found.folds is not None
    assert both.folds is not None
    assert found.verdict.rules == both.verdict.rules
    assert found.verdict.pairs == both.verdict.pairs
    assert found.verdict.sentences == both.verdict.sentences
    assert found.labels == {"sgd": ("first",), "adam": ("second",)}
    assert [each.test for each in found.folds.chosen] == pytest.approx(
        [each.test for each in both.folds.chosen]
    )
    again = ravine.compare("first", "second", store=[folder / "a", folder / "b"])
    assert again.verdict == found.verdict
    assert "4 folds" in found.verdict.sentences[0]


def test_for_people_and_programs(
    folder: Path, first: ravine.Results, second: ravine.Results, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ravine.compare(first, second)
    shown = str(found)
    assert "first: 16 runs of 2 configs and 2 seeds, 20 steps each, in 4 folds" in " ".join(shown.split())
    content = json.loads(json.dumps(found.json(), allow_nan=False))
    assert len(content["folds"]["chosen"]) == 2 * FOLDS
    assert content["studies"][0]["configs"] == 2
    stores = ["--store", str(folder / "a"), "--store", str(folder / "b")]
    assert main(["compare", "first", "second", *stores]) == 0
    assert "Over 4 folds" in capsys.readouterr().out
    assert main(["compare", "first", "second", *stores, "--out", str(folder / "page.html")]) == 2
    assert "a comparison over folds has no page" in capsys.readouterr().err
    assert not (folder / "page.html").exists()


def test_budgets_are_the_same_for_all_and_said(folder: Path, first: ravine.Results) -> None:
    larger = _run(folder / "a", "larger", [{"kind": "adam", "lr": [0.001, 0.003, 0.01, 0.03]}])
    found = ravine.compare(first, larger)
    assert any(text.startswith("Unequal tuning budgets (adam 4, the smallest 2)") for text in found.warnings)
    assert {rule.rule: rule.num_configs for rule in found.verdict.rules} == {"sgd": 2, "adam": 4}
    trained = _run(folder / "a", "longer", [ADAM], steps=30)
    assert any(
        "steps (20 in first, 30 in longer)" in text for text in ravine.compare(first, trained).warnings
    )


@pytest.mark.slow
def test_whole_studies_and_the_same_rule_in_both(folder: Path, first: ravine.Results) -> None:
    wide = _run(folder / "a", "wide", [SGD], model={"kind": "mlp", "hidden": [12]})
    found = ravine.compare(first, wide, compare="study")
    assert {rule.rule for rule in found.verdict.rules} == {"first", "wide"}
    assert {rule.rule for rule in ravine.compare(first, wide).verdict.rules} == {"first: sgd", "wide: sgd"}
    same = _run(folder / "a", "same", [SGD, ADAM])
    once = ravine.compare(first, same)
    assert {rule.rule for rule in once.verdict.rules} == {"sgd", "adam"}
    assert once.labels["sgd"] == ("first", "same")


@pytest.mark.slow
def test_repeats_that_only_one_has_do_not_count(folder: Path, first: ravine.Results) -> None:
    twice = _run(folder / "a", "twice", [ADAM], split={"folds": FOLDS, "repeats": 2})
    found = ravine.compare(first, twice)
    assert found.folds is not None
    assert found.folds.repeats == 1
    assert "Judged over the 1 repeat that all studies have; twice has 2." in found.warnings
    assert not any(rule.outcome for rule in found.verdict.rules)


def test_what_cannot_be_compared_is_one_line(folder: Path, first: ravine.Results) -> None:
    one_split = _run(folder / "a", "one", [ADAM], split=None)
    five = _run(folder / "a", "five", [ADAM], split={"folds": 5})
    other = _run(folder / "a", "other", [ADAM], data=from_arrays(X[:100], Y[:100], split={"folds": FOLDS}))
    for studies, words in (
        ((first, one_split), "'first' tests every example in folds, 'one' one test split"),
        ((one_split, first), "'first' tests every example in folds, 'one' one test split"),
        ((first, five), "different folds of 'arrays', 4 and 5"),
        ((first, other), "different splits of 'arrays'"),
        ((first, replace(first, metric=first.metric)), "given twice"),
    ):
        with pytest.raises(InputError) as caught:
            ravine.compare(*studies)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
