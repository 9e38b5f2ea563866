"""The named arms of a ladder: what each trains, and of which network."""

from __future__ import annotations

from typing import Any

import pytest

from ravine import Study
from ravine.errors import StudyError
from ravine.study.definition import definition_of
from ravine.study.load import content_of, parse_study

LITE0 = "builtin:efficientnet-lite0"
HEAD = {"train": "head", "epochs": 5, "lr": 3e-3}
REST = {"train": "all", "epochs": 10, "lr_factor": 0.1}


def _study(arms: object, **changes: Any) -> Study:
    given: dict[str, Any] = {
        "name": "few",
        "data": {"kind": "images", "path": "pets", "size": 64},
        "model": {"kind": "backbone", "weights": LITE0},
        "seeds": 1,
        "phases": [HEAD, REST],
        "rules": [{"kind": "adamw", "lr": [1e-3, 1e-2], "layer_decay": [1.0, 0.75]}],
        "ladder": {"per_class": [2, 5], "draws": 3, "arms": arms, "trials": 2},
    }
    return Study(**{**given, **changes})


def test_what_each_arm_trains() -> None:
    study = _study(["head", "all", "scratch", "random", "pixels"])
    parts = {part.chosen["arm"]: part.study for part in study.parts}
    words = {arm: [phase.words for phase in one.phases] for arm, one in parts.items()}
    assert words == {
        "head": ["5 epochs of head"],
        "all": ["5 epochs of head", "10 epochs of all"],
        "scratch": ["15 epochs of all"],
        "random": ["5 epochs of head"],
        "pixels": [],
    }
    # The one phase of an arm is at the rules' learning rates; a head that is trained first at its own.
    assert {arm: one.phases[0].lr for arm, one in parts.items() if one.phases} == {
        "head": None,
        "all": 3e-3,
        "scratch": None,
        "random": None,
    }
    models = {arm: one.models[0].plain() for arm, one in parts.items()}  # type: ignore[union-attr]
    assert [models[arm].get("weights") for arm in models] == [LITE0, LITE0, None, "random:0", None]
    assert (models["scratch"]["target"], models["scratch"]["norm"]) == (LITE0, "adapt")
    assert (models["random"]["target"], models["random"]["norm"]) == (LITE0, "frozen")
    assert (models["pixels"]["kind"], list(models["pixels"]["hidden"])) == ("mlp", [])
    assert parts["pixels"].epochs == 5
    assert {arm: "layer_decay" in one.rules[0].hypers for arm, one in parts.items()} == {
        "head": False,
        "all": True,
        "scratch": False,
        "random": False,
        "pixels": False,
    }
    assert study.compare == "arm"
    # Per draw and arm one run at n = 2, two at n = 5.
    assert study.num_runs == 5 * 3 * (1 + 2)
    assert parse_study(content_of(definition_of(study))) == study


def test_without_a_phase_of_the_head_it_is_trained_as_long_as_the_rest() -> None:
    study = _study(["head", "all"], phases=[{"train": "all", "steps": 30}])
    assert [[phase.words for phase in part.study.phases] for part in study.parts] == [
        ["30 steps of head"],
        ["30 steps of all"],
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"arms": "head"}, "ladder.arms = 'head': must be a list of head, all, scratch, random, pixels"),
        ({"arms": ["haed"]}, "ladder.arms.0 = 'haed': did you mean 'head'"),
        ({"arms": ["all", "all"]}, "ladder.arms.1 = 'all': is there already"),
        (
            {"arms": ["head"], "model": "mlp", "phases": (), "epochs": 2, "rules": ["adam"]},
            "ladder.arms: need one model",
        ),
        (
            {"arms": ["head", "all"], "phases": [HEAD]},
            'ladder.arms: "all" needs a phase that trains more than the head',
        ),
        ({"arms": ["head"], "variants": [{}, {"batch_size": 8}]}, "ladder.arms, variants: only one of them"),
    ],
)
def test_one_line_says_what_is_wrong(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(StudyError) as caught:
        _study(**changes)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
