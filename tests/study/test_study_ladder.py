"""The key `ladder`: which runs a study is then, and what is refused."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from ravine import Study
from ravine.data import Dataset, load, parse_data
from ravine.errors import InputError, StudyError
from ravine.study import runs_of
from ravine.study.changes import changes
from ravine.study.definition import definition_of
from ravine.study.ladder import Ladder
from ravine.study.load import content_of, parse_study
from ravine.study.problems import faults_of

PLAIN: dict[str, Any] = {
    "name": "few",
    "data": "digits",
    "model": "mlp",
    "epochs": 2,
    "seeds": 2,
    "rules": [{"kind": "adam", "lr": [1e-3, 3e-3, 1e-2]}],
    "ladder": {"per_class": [2, 5, 20], "draws": 3},
}


_DIGITS = parse_data("digits")


@cache
def _digits() -> Dataset:
    return load(_DIGITS)


def _study(**changes: Any) -> Study:
    return Study(**{**PLAIN, **changes})


def test_every_part_has_every_config_but_below_five() -> None:
    study = _study(variants=[{}, {"label": "small", "model": {"hidden": [8]}}])
    runs = runs_of(study, _digits())
    found = Counter((run.chosen["variant"], run.chosen["per_class"], run.chosen["draw"]) for run in runs)
    assert len(runs) == study.num_runs == len({run.id for run in runs})
    assert len(found) == 2 * 3 * 3
    assert {n: {num for (_, per_class, _), num in found.items() if per_class == n} for n in (2, 5, 20)} == {
        2: {1 * 2},
        5: {3 * 2},
        20: {3 * 2},
    }
    assert {run.chosen["lr"] for run in runs if run.chosen["per_class"] == 2} == {
        3e-3
    }  # the middle of the three


def test_a_recipe_names_the_whole_data_and_the_part() -> None:
    study = _study()
    data = _digits()
    runs = runs_of(study, data)
    assert {run.recipe.data for run in runs} == {data.fingerprint}
    assert runs[-1].recipe.part == {"per_class": 20, "draw": 2}
    whole = runs_of(_study(ladder=None), data)
    assert not {run.id for run in runs} & {run.id for run in whole}
    more = runs_of(_study(ladder={"per_class": [2, 5, 20, 50], "draws": 4}), data)
    assert {run.id for run in runs} < {run.id for run in more}


def test_lengths_in_epochs_have_a_least_number_of_steps() -> None:
    study = _study(epochs=30, ladder={"per_class": [5, 50], "draws": 1, "least_steps": 100})
    steps = {
        run.recipe.part["per_class"]: run.recipe.steps for run in runs_of(study, _digits()) if run.recipe.part
    }
    assert steps == {5: 100, 50: 30 * (400 // 64)}
    fixed = _study(epochs=None, steps=7)
    assert {run.recipe.steps for run in runs_of(fixed, _digits())} == {7}


def test_trials_are_drawn_alike_for_all_arms_and_parts() -> None:
    rules = [{"kind": "adam", "lr": {"log": [1e-4, 1e-1]}}]
    study = _study(
        rules=rules, variants=[{}, {"model": {"dropout": 0.5}}], ladder={**PLAIN["ladder"], "trials": 4}
    )
    runs = runs_of(study, _digits())
    groups: dict[Any, set[Any]] = {}
    for run in runs:
        groups.setdefault((run.chosen["variant"], run.chosen["per_class"], run.chosen["draw"]), set()).add(
            run.chosen["lr"]
        )
    tuned = [lrs for (_, n, _), lrs in groups.items() if n >= 5]
    assert all(lrs == tuned[0] for lrs in tuned)
    assert len(tuned[0]) == 4
    (middle,) = {lr for (_, n, _), lrs in groups.items() if n < 5 for lr in lrs}
    assert middle == pytest.approx(10**-2.5)
    given = _study(rules=rules, ladder={**PLAIN["ladder"], "trials": 4, "default": {"lr": 0.02}})
    assert {r.chosen["lr"] for r in runs_of(given, _digits()) if r.chosen["per_class"] == 2} == {0.02}


def test_a_study_with_a_ladder_is_read_again() -> None:
    for ladder in (
        PLAIN["ladder"],
        {"per_class": [5], "draws": [3, 1], "trials": 2, "default": {"lr": 0.1}, "least_steps": 9},
    ):
        study = _study(ladder=ladder, variants=[{}, {"batch_size": 8}])
        text = definition_of(study)
        assert parse_study(content_of(text)) == study
        assert changes(text, text) == []
    assert Ladder(per_class=(5,), draws=(1, 3)).content() == {"per_class": [5], "draws": [1, 3]}
    assert "ladder: 2, 5, 20 per class, 3 draws each; not tuned below 5" in str(_study())
    text, other = (definition_of(_study(ladder={**PLAIN["ladder"], "least_steps": n})) for n in (1, 2))
    assert changes(text, other) == ["ladder.least_steps: 1 -> 2"]


@pytest.mark.parametrize(
    ("ladder", "line"),
    [
        (3, "ladder = 3: must be a table such as { per_class = [5, 10, 20, 50], draws = 5 }"),
        ({"per_class": [5]}, "ladder.draws: missing"),
        ({"per_class": [], "draws": 2}, "ladder.per_class = []: must be a list of 1 to 100 whole numbers"),
        ({"per_class": [0], "draws": 2}, "ladder.per_class.0 = 0: must be a whole number from 1"),
        ({"per_class": [5, 5], "draws": 2}, "ladder.per_class"),
        ({"per_class": [5], "draws": 0}, "ladder.draws = 0"),
        ({"per_class": [5], "draws": 2, "draw": 2}, "ladder.draw: unknown key; did you mean 'draws'"),
        (
            {"per_class": [5], "draws": 2, "default": {"rl": 1.0}},
            "ladder.default.rl: unknown key; allowed: ",
        ),
        ({"per_class": [5], "draws": 2, "default": {"lr": -1.0}}, "ladder.default.lr = -1.0: must be"),
        ({"per_class": [5], "draws": 2, "trials": 0}, "ladder.trials = 0"),
    ],
)
def test_one_line_names_the_key(ladder: object, line: str) -> None:
    with pytest.raises(StudyError) as caught:
        _study(ladder=ladder)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert [str(each) for each in faults_of({**PLAIN, "ladder": ladder})[0]] == [str(caught.value)]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"tune": "staged", "schedule": ["constant", "cosine"]}, "ladder, tune: only one of them"),
        ({"keep": {"every": "epoch"}}, "ladder, keep: only one of them"),
        (
            {"search": {"kind": "random", "trials": 3}, "ladder": {**PLAIN["ladder"], "trials": 4}},
            "ladder.trials, search",
        ),
        ({"compare": "per_class"}, "compare = 'per_class': does not vary"),
    ],
)
def test_what_a_ladder_cannot_be_beside(change: dict[str, Any], line: str) -> None:
    with pytest.raises(StudyError, match=line.replace(".", r"\.")):
        _study(**change)


def test_data_that_are_too_small_or_have_no_classes() -> None:
    study = _study(ladder={"per_class": [5, 500], "draws": 1})
    with pytest.raises(
        InputError, match=r"ladder.per_class = 500: digits has only 104 .* allowed: up to 104"
    ):
        runs_of(study, _digits())
    study = _study(data="diabetes")
    with pytest.raises(InputError, match="ladder: diabetes is a regression"):
        runs_of(study, load(study.data))
    study = _study(batch_size=64)
    with pytest.raises(StudyError, match="batch_size = 64: the part of 2 per class has only 20 examples"):
        runs_of(study, _digits())
