"""All problems of a study at once are the problems that it has one at a time."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ravine.errors import StudyError
from ravine.study import parse_study
from ravine.study.problems import problems_of

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
    lines, study, parts = problems_of(with_faults(FAULTS))
    assert sorted(lines) == sorted(alone(fault) for fault in FAULTS)
    assert study is not None
    assert parts == {path[0] for path, _ in FAULTS}


def test_a_sound_study_has_none() -> None:
    assert problems_of(SOUND) == ([], parse_study(SOUND), set())


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
    lines, _, _ = problems_of(content)
    assert len(lines) == len(begin), lines
    for line, words in zip(lines, begin, strict=True):
        assert line.startswith(words)
