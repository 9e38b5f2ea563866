"""A study of one config for longer: only its length changes."""

from __future__ import annotations

import doctest

import pytest

import ravine
from ravine.data import load
from ravine.schedules import parse_schedule, table
from ravine.study import longer as module
from ravine.study import runs_of
from ravine.study.longer import longer, stretched


def test_the_examples_run() -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


@pytest.mark.parametrize(
    "schedule",
    [
        {"kind": "step", "every": 7},
        {"kind": "cosine", "warmup": 5},
        {"kind": "cosine", "warmup": 0.1},
        {"kind": "inverse", "half": 4},
        {"kind": "one_cycle", "peak": 9},
        {"kind": "cosine_restarts", "cycles": 3},
        "constant",
    ],
)
def test_a_stretched_schedule_is_the_same_over_the_share_of_the_run(schedule: object) -> None:
    spec = parse_schedule(schedule)
    short, long = table(spec, 30), table(stretched(spec, 4), 120)
    # Each step of the short run lies among the four of the long one that take its place.
    for step in range(30):
        part = long[4 * step : 4 * step + 4]
        assert part.min() - 0.11 <= short[step] <= part.max() + 0.11


def test_one_config_of_a_grid_is_the_same_but_for_its_length() -> None:
    study = ravine.Study(
        name="grid",
        data="iris",
        model={"kind": "mlp", "hidden": [4], "dropout": [0.0, 0.25]},
        epochs=2,
        batch_size=[16, "full"],
        seeds=[3, 5],
        schedule=["constant", {"kind": "cosine", "warmup": 1}],
        search={"kind": "random", "trials": 6},
        rules=[
            {"kind": "adam", "lr": {"log": [0.001, 0.1]}, "weight_decay": 0.01},
            {"kind": "sgd", "lr": 0.1},
        ],
        keep={"every": 2},
    )
    data = load(study.data)
    for run in runs_of(study, data):
        made = longer(study, run.label, run.recipe.content(), [5, 3], 3, "long", run.chosen)
        again = runs_of(made, data)
        assert [each.seed for each in again] == [5, 3]
        own, theirs = run.recipe.content(), again[0].recipe.content()
        assert {key for key in own if own[key] != theirs[key]} <= {"steps", "evaluate_every", "schedule"}
        assert theirs["steps"] == 3 * own["steps"]
    with pytest.raises(ravine.StudyError, match="it has no rule 'lion' any more"):
        longer(study, "lion", run.recipe.content(), [0], 3, "long", {})
