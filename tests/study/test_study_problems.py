"""All problems of a study at once are the problems that it has one at a time."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ravine.errors import StudyError
from ravine.study import parse_study
from ravine.study.load import _KEYS
from ravine.study.problems import READERS, faults_of, summary

SOUND: dict[str, Any] = {
    "name": "s",
    "data": {"kind": "csv", "path": "x.csv", "target": "y"},
    "model": {"kind": "mlp", "hidden": [8]},
    "epochs": 5,
    "rules": [{"kind": "adam", "lr": 0.1}, {"kind": "sgd", "lr": [0.1, 1]}],
}
# Where, and what is put there. In the order in which a study is read.
FAULTS: list[tuple[list[Any], Any]] = [
    (["sedes"], 3),
    (["name"], "a name"),
    (["epochs"], "five"),
    (["batch_size"], [0]),
    (["schedule"], [{"kind": "cosin"}]),
    (["search"], {"kind": "random", "trials": 0}),
    (["evaluations"], 0),
    (["rules", 0, "beta_1"], 0.9),
    (["rules", 0, "lr"], -1),
    (["rules", 0, "eps"], "small"),
    (["rules", 1, "kind"], "sdg"),
    (["model", "hiden"], [3]),
    (["model", "activation"], "rleu"),
    (["data", "validation"], 2.0),
    (["data", "missing"], "dorp"),
]


def with_faults(faults: list[tuple[list[Any], Any]]) -> dict[str, Any]:
    content = copy.deepcopy(SOUND)
    for path, value in faults:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
    return content


def alone(fault: tuple[list[Any], Any]) -> str:
    with pytest.raises(StudyError) as error:
        parse_study(with_faults([fault]))
    return str(error.value)


def test_all_problems_are_those_that_each_fault_makes_alone() -> None:
    faults, study, parts = faults_of(with_faults(FAULTS))
    assert sorted(map(str, faults)) == sorted(alone(fault) for fault in FAULTS)
    assert study is not None
    assert parts == {path[0] for path, _ in FAULTS}


def test_a_sound_study_has_none() -> None:
    assert faults_of(SOUND) == ([], parse_study(SOUND), set())


@pytest.mark.parametrize(
    ("content", "begin"),
    [
        ({}, ["name, data, model, rules: missing", "epochs, steps: exactly one"]),
        ({**SOUND, "steps": 3}, ["epochs, steps: exactly one"]),
        ({**SOUND, "step": 3}, ["step: unknown key", "epochs, steps: exactly one"]),  # so it would be then
        ({**SOUND, "rules": [3, "adm"]}, ["rules.0 = 3", "rules.1.kind = 'adm'"]),
        ({**SOUND, "rules": [{"kind": "adam"}] * 2}, ["rules.1.label = 'adam'"]),
        ({**SOUND, "data": {"kind": "csv"}}, ["data.path: missing"]),
        ({**SOUND, "rules": {}, "data": 3, "model": []}, ["rules: must be", "model = []", "data = 3"]),
        ({**SOUND, "seeds": 100_000, "rules": [{"kind": "adam", "lr": [0.1, 1, 2]}]}, ["rules, seeds: "]),
    ],
)
def test_what_follows_from_a_problem_is_not_told(content: dict[str, Any], begin: list[str]) -> None:
    faults, _, _ = faults_of(content)
    assert len(faults) == len(begin), faults
    for fault, words in zip(faults, begin, strict=True):
        assert str(fault).startswith(words)


def test_every_key_of_a_study_is_read_alone() -> None:
    assert set(READERS) == set(_KEYS)


@pytest.mark.parametrize("key", ["workers", "grad_accumulation", "optimizer", "device"])
def test_a_key_that_is_something_else_has_no_hint_and_draws_one_error(key: str) -> None:
    for content in (
        {**SOUND, key: 3},
        {**SOUND, "rules": [{"kind": "adam", key: 3}]},
        {**SOUND, "model": {"kind": "mlp", key: 3}},
        {**SOUND, "data": {"kind": "iris", key: 3}},
        {**SOUND, "schedule": {"kind": "cosine", key: 3}},
    ):
        (fault,), study, _ = faults_of(content)
        assert f"{key}: unknown key; allowed: " in str(fault)
        assert study is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"patience": 3}, "patience: belongs in the stop table: stop = { patience = 5 }"),
        ({"early_stopping": True}, "early_stopping: belongs in the stop table"),
        ({"clip_norm": 1.0}, "clip_norm: belongs in a rule's table"),
        (
            {"rules": [{"kind": "adam", "max_grad_norm": 1}]},
            "rules.0.max_grad_norm: unknown key; did you mean 'clip_norm'?",
        ),
        ({"stop": 5}, "stop = 5: must be a table such as { patience = 5 }"),
        ({"stop": {"patience": 2.5}}, "stop.patience = 2.5: must be a whole number from 0 to 10000"),
        ({"stop": {"patience": -1}}, "stop.patience = -1: must be a whole number"),
        ({"stop": {"patience": 5, "metric": "f1"}}, "stop.metric = 'f1': allowed: accuracy, loss"),
        (
            {"stop": {"patience": 5, "min_delta": -1}},
            "stop.min_delta = -1: must be a finite number of at least 0",
        ),
        ({"stop": {"patience": 5, "delta": 1}}, "stop.delta: unknown key"),
        ({"stop": {}}, "stop.patience: missing"),
        ({"stop": {"patience": 5}, "averages": {"bank": True}}, "averages.bank: not with stop"),
    ],
)
def test_keys_of_early_stopping_and_clipping(content: dict[str, object], words: str) -> None:
    (fault,), study, _ = faults_of({**SOUND, **content})
    assert str(fault).startswith(words)
    assert study is not None


def test_a_misspelt_keys_value_is_not_called_wrong_under_a_name_that_nobody_wrote() -> None:
    for content in (
        {**SOUND, "sedes": -3},
        {**SOUND, "kep": 3},
        {**SOUND, "rules": [{"kind": "adam", "epss": -1}]},
    ):
        (fault,) = faults_of(content)[0]
        assert "unknown key; did you mean" in str(fault)


def test_keys_are_data_whatever_they_are() -> None:
    """A key with dots, quotes or the words of a message in it is no place of its own."""
    strange = ["rules.0", "a.b.c", "", "x: unknown key; did you mean 'name'?", "name = 3: no", "\n", "é", "0"]
    faults, study, _ = faults_of({**SOUND, **dict.fromkeys(strange, 1)})
    assert len(faults) == len(strange)
    assert study is not None
    rule = {"kind": "adam", **dict.fromkeys(strange, 1)}
    assert len(faults_of({**SOUND, "rules": [rule]})[0]) == len(strange)


def test_many_alike_problems_are_told_ten_at_a_time() -> None:
    rules = [{"kind": "adam", "label": str(i), "lrr": 0.1} for i in range(100)]
    faults, study, _ = faults_of({**SOUND, "rules": rules, "epochs": -1})
    assert len(faults) == 101
    assert study is not None
    lines = summary(faults)
    assert len(lines) == 12
    assert lines[0].startswith("epochs = -1")
    assert lines[-1] == "and 90 more of this kind"


def test_long_keys_and_values_are_shortened() -> None:
    long = "k" * 5000
    for content in (
        {**SOUND, long: 1},
        {**SOUND, "rules": [{"kind": "adam", long: 1}]},
        {**SOUND, "rules": [{"kind": "x" * 100_000}]},
        {**SOUND, "data": long},
        {**SOUND, "data": {"kind": "iris", long: 1}},
        {**SOUND, "data": {"kind": "csv", "path": [long], "target": "y"}},
        {**SOUND, "model": long},
        {**SOUND, "model": {"kind": "module", "target": long}},
        {**SOUND, "schedule": long},
        {**SOUND, "schedule": {"kind": "cosine", long: 1}},
        {**SOUND, "search": {"kind": "random", "trials": 3, long: 1}},
        {**SOUND, "tune": long},
        {**SOUND, "keep": {"every": 3, long: 1}},
        {**SOUND, "name": long},
        {**SOUND, "rules": [{"kind": "adam", "label": long}]},
        {**SOUND, "rules": [{"kind": "adam", "exclude": long}]},
        {**SOUND, "rules": [{"kind": "adam", "lr": {"log": [0.1, 1], long: 3}}]},
        {**SOUND, "rules": [{"kind": "adam", "lr": [long]}]},
        {**SOUND, "rules": [{"kind": "adam", "lr": [[0.1] * 100_000]}]},
    ):
        (fault,) = faults_of(content)[0]
        assert len(str(fault)) < 600
        with pytest.raises(StudyError) as error:
            parse_study(content, "x.toml")
        assert len(str(error.value)) < 600


def test_counts_are_bounded_before_anything_is_built() -> None:
    many = 100_000
    for content, words in (
        ({**SOUND, "rules": [{"kind": "adam", "label": str(i)} for i in range(many)]}, "at most 1,000 rules"),
        (
            {**SOUND, "rules": [{"kind": "adam", "lr": [i + 1.0 for i in range(many)]}]},
            "at most 10,000 values",
        ),
        ({**SOUND, "batch_size": list(range(1, many))}, "at most 10,000 values"),
        (
            {**SOUND, "schedule": [{"kind": "cosine", "warmup": i} for i in range(many)]},
            "at most 10,000 sched",
        ),
        ({**SOUND, "seeds": list(range(many + 1))}, "1 to 100,000 seeds"),
        ({**SOUND, "model": {"kind": "mlp", "hidden": [3] * many}}, "at most 1000 in it"),
        (
            {**SOUND, "data": {"kind": "csv", "path": "x", "target": "y", "drop": ["a"] * many}},
            "at most 10000",
        ),
    ):
        with pytest.raises(StudyError, match=words):
            parse_study(content)
        assert words in str(faults_of(content)[0][0])
