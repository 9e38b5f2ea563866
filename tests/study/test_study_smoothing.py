"""Label smoothing as a key of a study."""

from __future__ import annotations

import pytest

from ravine.data import load
from ravine.errors import StudyError
from ravine.study import Study, runs_of
from ravine.study.definition import definition_of
from ravine.study.load import content_of, parse_study

BASE = {"name": "s", "data": "iris", "model": "mlp", "epochs": 2, "seeds": 1, "rules": ["adam"]}


def test_each_factor_is_a_config_and_0_is_the_run_without_the_key() -> None:
    data = load(parse_study(BASE).data)
    (plain,) = runs_of(parse_study(BASE), data)
    off, on = runs_of(parse_study({**BASE, "label_smoothing": [0.0, 0.1]}), data)
    assert off.id == plain.id
    assert on.recipe.hypers["label_smoothing"] == 0.1
    assert on.recipe.structure == off.recipe.structure  # one program
    assert on.chosen["label_smoothing"] == 0.1


@pytest.mark.parametrize("values", [0.1, [0.0, 0.1], {"linear": [0.0, 0.2], "num": 3}])
def test_the_text_of_a_study_has_it(values: object) -> None:
    study = parse_study({**BASE, "label_smoothing": values})
    assert parse_study(content_of(definition_of(study))).label_smoothing == study.label_smoothing


@pytest.mark.parametrize("value", [1.0, -0.1, "a", True, [], [0.1, 0.1], float("nan")])
def test_what_is_not_in_0_to_1_is_refused(value: object) -> None:
    with pytest.raises(StudyError, match=r"^label_smoothing"):
        parse_study({**BASE, "label_smoothing": value})


def test_a_regression_refuses_it() -> None:
    study = Study(**{**BASE, "data": "diabetes", "label_smoothing": 0.1})  # type: ignore[arg-type]
    with pytest.raises(StudyError, match=r"^label_smoothing = 0.1: diabetes is a regression"):
        runs_of(study, load(study.data))
