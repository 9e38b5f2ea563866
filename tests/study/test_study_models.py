"""Studies of several models: what they are called, what runs they make, and that one model is as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ravine.data import load
from ravine.errors import StudyError
from ravine.study import Run, Study, runs_of
from ravine.study.definition import definition_of, objects_of
from ravine.study.expand import base_of
from ravine.study.parts import models_in
from ravine.study.stored import parse_definition

RULES = [{"kind": "sgd", "lr": [0.01, 0.1]}, {"kind": "adam", "lr": 0.01}]


def study(model: Any, **keys: Any) -> Study:
    return Study(
        **{"name": "s", "data": "iris", "model": model, "steps": 9, "seeds": 2, "rules": RULES, **keys}
    )


def made(model: Any, **keys: Any) -> list[Run]:
    found = study(model, **keys)
    return runs_of(found, load(found.data))


def small() -> nn.Module:
    return nn.Linear(4, 3)


def other() -> nn.Module:
    return nn.Linear(4, 3)


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (["mlp", "convnet"], ["mlp", "convnet"]),
        (
            {"kind": "mlp", "hidden": [[64], [128, 128], []]},
            ["mlp hidden 64", "mlp hidden 128-128", "mlp hidden none"],
        ),
        ({"kind": "convnet", "channels": [[8], [8, 16]]}, ["convnet channels 8", "convnet channels 8-16"]),
        ({"kind": "resnet", "depth": [8, 20]}, ["resnet depth 8", "resnet depth 20"]),
        (
            [{"kind": "mlp", "dropout": [0.0, 0.2]}, {"kind": "mlp", "hidden": [8], "dropout": 0.5}],
            ["mlp hidden 128-128", "mlp hidden 8"],  # rates are factors of a level, and no part of its name
        ),
        (
            [
                {"kind": "mlp"},
                {"kind": "mlp", "dropout": 0.5},
                {"kind": "mlp", "norm": "batch", "dropout": 0.5},
            ],
            ["mlp norm none", "mlp norm none, dropout 0.5", "mlp norm batch"],
        ),
        (
            {"kind": "mlp", "norm": ["none", "batch"], "hidden": [[4], [8]]},
            [
                "mlp hidden 4, norm none",
                "mlp hidden 8, norm none",
                "mlp hidden 4, norm batch",
                "mlp hidden 8, norm batch",
            ],
        ),
        (
            {"kind": "module", "target": "net:Net", "args": [{"width": 4}, {"width": 8, "deep": True}]},
            ["Net width 4", "Net width 8, deep True"],
        ),
        (["mlp", {"kind": "mlp", "hidden": [4], "label": "narrow"}], ["mlp", "narrow"]),
        ([{"kind": "mlp"}, {"kind": "mlp", "dropout": 0.2}], ["mlp", "mlp dropout 0.2"]),
        ([small, other], ["small", "other"]),
        (["mlp"], ["mlp"]),
    ],
)
def test_labels(model: Any, labels: list[str]) -> None:
    found = models_in(model)
    assert sorted(each.label for each in found) == sorted(labels)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ([], r"model = \[\]: must have at least one model in it"),
        (["mlp", "mlp"], "model.1: the same model as model.0"),
        (["mlp", "mpl"], "model.1.kind = 'mpl': no such model"),
        ([{"kind": "mlp", "hiden": [4]}, "convnet"], "model.0.hiden: unknown key; did you mean 'hidden'"),
        ({"kind": "resnet", "depth": []}, r"model.depth = \[\]: must have at least one value in it"),
        ({"kind": "mlp", "hidden": [[4], 8]}, "model.hidden = 8: must be a list"),
        (
            [{"kind": "mlp", "label": "a"}, {"kind": "convnet", "label": "a"}],
            "model.1.label = 'a': model.0 has this label too",
        ),
        (
            [{"kind": "mlp", "label": "a", "hidden": [[4], [8]]}],
            "model.0.label = 'a': one label for several models",
        ),
        ([{"kind": "mlp", "label": ""}], "model.0.label = ''"),
        (
            [{"kind": "mlp", "hidden": [[i] for i in range(1, 102)]}],
            "model: must have at most 100 models in it",
        ),
    ],
)
def test_each_mistake_is_one_line(model: Any, line: str) -> None:
    with pytest.raises(StudyError, match=f"^{line}") as fault:
        study(model)
    assert "\n" not in str(fault.value)


def test_runs_of_several_models_are_those_of_each_alone() -> None:
    models = [{"kind": "mlp", "hidden": [4]}, {"kind": "mlp", "hidden": [8], "dropout": [0.0, 0.5]}]
    alone = [made(model) for model in models]
    together = made(models)
    assert {run.id for run in together} == {run.id for runs in alone for run in runs}
    assert len(together) == study(models).num_runs == sum(map(len, alone))
    assert [run.label for run in together] == ["sgd"] * 12 + ["adam"] * 6  # rule by rule, as ever
    assert {run.chosen["model"] for run in together} == {"mlp hidden 4", "mlp hidden 8"}
    assert all("model" not in run.chosen for runs in alone for run in runs)


def test_a_list_of_one_model_has_the_runs_and_the_base_of_that_model() -> None:
    data = load(study("mlp").data)
    assert {run.id for run in made(["mlp"])} == {run.id for run in made("mlp")}
    # So models may be added under one name, behind the first.
    assert base_of(study("mlp"), data) == base_of(study(["mlp", {"kind": "mlp", "hidden": [4]}]), data)
    assert base_of(study("mlp"), data) != base_of(study([{"kind": "mlp", "hidden": [4]}, "mlp"]), data)


def test_random_search_draws_as_many_for_each_model_and_the_same_as_for_one() -> None:
    rules = [{"kind": "sgd", "lr": {"log": [1e-3, 1.0]}}]
    search = {"kind": "random", "trials": 5}
    models = [{"kind": "mlp", "hidden": [4]}, {"kind": "mlp", "hidden": [8]}]
    together = made(models, rules=rules, search=search)
    assert len(together) == 2 * 5 * 2
    alone = [run.id for model in models for run in made(model, rules=rules, search=search)]
    assert {run.id for run in together} == set(alone)


@pytest.mark.parametrize(
    "model",
    [
        ["mlp", {"kind": "convnet", "channels": [[8], [8, 16]], "dropout": [0.0, 0.2]}],
        [{"kind": "mlp", "label": "mine"}, {"kind": "mlp", "hidden": [4]}],
        {"kind": "module", "target": "net:Net", "args": [{"width": 4}, {"width": 8}]},
    ],
)
def test_the_text_of_a_study_reads_as_the_study(model: Any) -> None:
    first = study(model)
    text = definition_of(first)
    again = parse_definition(text)
    assert again.model == first.model
    assert definition_of(again) == text


def test_rates_beside_the_models_are_those_of_each() -> None:
    found = study(["mlp", {"kind": "mlp", "hidden": [4]}], dropout=[0.0, 0.2])
    assert found.num_runs == 2 * study("mlp", dropout=[0.0, 0.2]).num_runs
    assert replace(found, seeds=5).num_runs == found.num_runs * 5 // 2
    assert "dropout = [0.0, 0.2]" in definition_of(found)
    with pytest.raises(StudyError, match=r"dropout: given twice, in model.0 and beside it"):
        study([{"kind": "mlp", "dropout": 0.1}, "convnet"], dropout=0.2)


def test_objects_are_described() -> None:
    found = objects_of(definition_of(study(["mlp", small])))
    assert list(found) == ["model.1"]


def test_a_model_is_compared() -> None:
    assert study(["mlp", small], compare="model").compare == "model"
    with pytest.raises(StudyError, match="does not vary"):
        study("mlp", compare="model")


def test_equal_parts_are_named() -> None:
    with pytest.raises(StudyError, match=r"model: 'mlp dropout 0' and 'mlp' contain the same run"):
        made(
            [
                {"kind": "mlp", "dropout": 0.0, "label": "mlp dropout 0"},
                {"kind": "mlp", "dropout": [0.0, 0.2]},
            ]
        )
