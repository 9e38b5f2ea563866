"""Variants: techniques one at a time, each a study of its own, told apart by a label."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ravine.data import load
from ravine.errors import ModelError, StudyError
from ravine.launch.subject import Subject
from ravine.study import Run, Study, runs_of
from ravine.study.definition import definition_of
from ravine.study.stored import parse_definition
from ravine.study.variants import parse_variants

MODEL = {"kind": "convnet", "channels": [4], "hidden": 8}
KEYS: dict[str, Any] = {
    "name": "s",
    "data": "digits",
    "model": MODEL,
    "steps": 9,
    "seeds": 2,
    "rules": [{"kind": "sgd", "lr": [0.1, 0.3]}, {"kind": "adam", "lr": 0.01}],
}
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("plain", {}, {}),
    ("dropout 0.2", {"model": {"dropout": 0.2}}, {"model": {**MODEL, "dropout": 0.2}}),
    ("norm batch", {"model": {"norm": "batch"}}, {"model": {**MODEL, "norm": "batch"}}),
    ("mlp", {"model": "mlp"}, {"model": "mlp"}),
    ("flip 0.5, crop 1", {"augment": {"flip": 0.5, "crop": 1}}, {"augment": {"flip": 0.5, "crop": 1}}),
    ("label_smoothing 0.1", {"label_smoothing": 0.1}, {"label_smoothing": 0.1}),
    ("batch_size 32", {"batch_size": 32}, {"batch_size": 32}),
    ("cosine", {"schedule": "cosine"}, {"schedule": "cosine"}),
    (
        "weight_decay 0.01",
        {"rules": {"weight_decay": 0.01}},
        {
            "rules": [
                {"kind": "sgd", "lr": [0.1, 0.3], "weight_decay": 0.01},
                {"kind": "adam", "lr": 0.01, "weight_decay": 0.01},
            ]
        },
    ),
]


def study(variants: Any, **keys: Any) -> Study:
    return Study(**{**KEYS, "variants": variants, **keys})


def made(found: Study) -> list[Run]:
    return runs_of(found, load(found.data))


def test_each_variant_has_the_runs_of_the_study_that_it_describes() -> None:
    found = study([change for _, change, _ in CHANGES])
    runs = made(found)
    assert [each.label for each in found.variants] == [label for label, _, _ in CHANGES]
    for label, _, keys in CHANGES:
        own = {run.id for run in runs if run.chosen["variant"] == label}
        assert own == {run.id for run in made(Study(**{**KEYS, **keys}))}
    assert len(runs) == found.num_runs == len(CHANGES) * 3 * 2
    assert found.compare == "variant"


def test_a_variant_adds_to_what_the_study_says() -> None:
    found = study(
        [{}, {"augment": {"crop": 1}}], model={**MODEL, "dropout": [0.0, 0.2]}, augment={"flip": 0.5}
    )
    runs = [run for run in made(found) if run.chosen["variant"] == "crop 1"]
    assert {run.recipe.hypers["augment.flip"] for run in runs} == {0.5}
    assert {run.recipe.hypers["augment.crop"] for run in runs} == {1.0}
    assert {run.recipe.hypers["model.dropout"] for run in runs} == {0.0, 0.2}  # each is tuned over the rest


def test_variants_of_several_models() -> None:
    found = study([{}, {"model": {"dropout": 0.2}}], model=[MODEL, "mlp"])
    runs = made(found)
    assert {(run.chosen["variant"], run.chosen["model"]) for run in runs} == {
        (variant, model) for variant in ("plain", "dropout 0.2") for model in ("convnet", "mlp")
    }
    dropped = {run.recipe.hypers["model.dropout"] for run in runs if run.chosen["variant"] == "dropout 0.2"}
    assert dropped == {0.2}


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10))


def test_a_model_made_in_python_has_rates_but_no_keys() -> None:
    found = study([{}, {"model": {"rates": {"dropout": 0.2}}}], model=small)
    assert {
        run.recipe.hypers["model.dropout"] for run in made(found) if run.chosen["variant"] != "plain"
    } == {0.2}
    with pytest.raises(
        StudyError, match=r"variants.1: model = .*: a model made in Python has rates, but no keys"
    ):
        study([{}, {"model": {"norm": "batch"}}], model=small)


@pytest.mark.parametrize("keys", [{}, {"augment": {"flip": 0.5}}, {"model": [MODEL, "mlp"]}])
def test_the_text_of_a_study_reads_as_the_study(keys: dict[str, Any]) -> None:
    first = study(
        [{}, {"label": "dropped", "model": {"dropout": [0.1, 0.2]}}, {"augment": {"crop": 1}}], **keys
    )
    again = parse_definition(definition_of(first))
    assert [run.id for run in made(again)] == [run.id for run in made(first)]
    assert again.compare == "variant"
    assert replace(again, seeds=3).num_runs == first.num_runs * 3 // 2


@pytest.mark.parametrize(
    ("variants", "line"),
    [
        ({}, "variants = {}: must be a list of tables"),
        ([{}], "variants: must have 2 to 100 tables in it, not 1"),
        ([{}, 3], "variants.1 = 3: must be a table"),
        ([{}, {"dropuot": 1}], "variants.1.dropuot: unknown key"),
        ([{}, {}], "variants.1.label = 'plain': variants.0 has this label too"),
        ([{}, {"label": ""}], "variants.1.label = ''"),
        ([{}, {"model": {"dropout": 2.0}}], "variants.1: rates.dropout = 2.0: must be"),
        ([{}, {"model": {"norm": "bach"}}], "variants.1: model.norm = 'bach'"),
        ([{}, {"model": "net:Net"}], "variants.1: model = 'net:Net': a variant cannot name a module"),
        ([{}, {"model": {"kind": "module", "target": "net:Net"}}], "variants.1: model = "),
        ([{}, {"augment": 3}], "variants.1.augment = 3: must be a table of what changes"),
        ([{}, {"augment": {"flap": 0.5}}], "variants.1: augment.flap: unknown key"),
        ([{}, {"rules": {"wd": 0.1}}], "variants.1: rules.wd: unknown key"),
        ([{}, {"label_smoothing": 1.5}], "variants.1: label_smoothing = 1.5: must be"),
        ([{}, {"model": small}], "variants.1.model = "),
    ],
)
def test_each_mistake_is_one_line(variants: Any, line: str) -> None:
    with pytest.raises(StudyError) as fault:
        study(variants)
    assert str(fault.value).startswith(line)
    assert "\n" not in str(fault.value)


def test_a_variant_that_changes_nothing_is_refused() -> None:
    with pytest.raises(StudyError, match="variant: 'plain' and 'same' contain the same run"):
        made(study([{}, {"label": "same", "model": {"dropout": 0.0}}]))


def test_no_code_runs_that_only_a_store_names() -> None:
    from ravine.study.trust import distrusted

    found = study([{}, {"model": {"args": {"width": 4}}}], model={"kind": "module", "target": "net:Net"})
    assert all(part.model.trust is None for part in distrusted(found).parts)  # type: ignore[union-attr]


def test_labels() -> None:
    some = [
        {},
        {"stop": {"patience": 5}},
        {"model": {"hidden": [4, 8]}},
        {"rules": {"lr": {"log": [0.1, 1], "num": 3}}},
    ]
    assert [each.label for each in parse_variants(some)] == [
        "plain",
        "patience 5",
        "hidden 4-8",
        "lr a range",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"rates": 3}}, "variants.1: model.rates = 3: must be a table"),
        (
            {"model": {"rates": {"dropout": 0.1}, "dropout": 0.2}},
            "variants.1: model.dropout: cannot be given beside",
        ),
        (
            {"rules": {"rho": 0.5}},
            "variants.1: rules.rho: not with rule 'adam'; a variant gives hypers that every",
        ),
        (functools.reduce(lambda inner, _: {"model": inner}, range(3000), {}), "variants.1.model"),
    ],
)
def test_changes_that_are_none_are_refused_in_a_line(change: dict[str, Any], words: str) -> None:
    rules = ["adam", {"kind": "momentum", "lr": 0.1}]
    with pytest.raises(StudyError) as raised:
        Study(name="s", data="iris", model="mlp", steps=5, rules=rules, variants=[{}, change])
    assert str(raised.value).startswith(words)


def test_a_variant_replaces_a_rate_that_a_study_of_several_models_gives_beside_them() -> None:
    study = Study(
        name="s", data="iris", model=["mlp", {"kind": "mlp", "hidden": [8]}], dropout=0.1, steps=5, rules=["adam"],
        seeds=1, variants=[{}, {"model": {"dropout": 0.2}}],
    )  # fmt: skip
    assert [part.study.rates["dropout"] for part in study.parts] == [0.1, 0.1, 0.2, 0.2]


def test_a_label_for_millions_of_models_is_refused_at_once() -> None:
    table = {
        "kind": "mlp",
        "label": "x",
        "hidden": [[4]] * 5000,
        "norm": ["none"] * 5000,
        "activation": ["relu"] * 50,
    }
    with pytest.raises(StudyError, match="one label for several models"):
        Study(name="s", data="iris", model=[table], steps=5, rules=["adam"])


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"variants": [{}, {"augment": {"crop": 9}}]}, "variants.1: augment.crop"),
        ({"variants": [{}, {"batch_size": 100_000}]}, "variants.1: batch_size = 100000"),
        ({"variants": [{}, {"augment": {"flip": 0.5}}], "batch_size": 100_000}, "batch_size = 100000"),
    ],
)
def test_what_is_found_wrong_with_data_names_its_variant(keys: dict[str, Any], line: str) -> None:
    with pytest.raises(StudyError) as fault:
        made(Study(**{**KEYS, **keys}))
    assert str(fault.value).startswith(line)


def test_a_model_that_does_not_fit_the_data_names_its_variant() -> None:
    found = study([{}, {"model": "convnet"}], data="iris", model="mlp")
    subject = Subject.of(found, device="cpu")
    runs = [run for run in subject.runs() if run.chosen["variant"] != "plain"]
    with pytest.raises(ModelError) as fault:
        subject.network(runs)
    assert str(fault.value).startswith("variants.1: ")
