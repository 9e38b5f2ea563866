"""The key `phases`: what is read, what is refused, and which runs come of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ravine.data import load
from ravine.errors import InputError
from ravine.launch.problems import problems
from ravine.launch.rounds import parents_of, rounds_of
from ravine.rules.base import Rule
from ravine.rules.hyper import learning_rate
from ravine.store import Store
from ravine.study import Study, runs_of
from ravine.study.definition import definition_of
from ravine.study.longer import longer
from ravine.study.stored import parse_definition

PAGE = (Path(__file__).parents[2] / "docs" / "phases.md").read_text(encoding="utf-8")
WHOLE = Rule(
    name="whole",
    hypers={"lr": learning_rate()},
    init=lambda param: {},
    update=lambda grad, state, param, hypers, t: (-hypers["lr"] * grad / grad.square().sum().sqrt(), state),
    scope="run",
)
HEAD, ALL = {"train": "head", "steps": 4, "lr": 0.01}, {"train": "all", "steps": 6, "lr_factor": 0.1}


def made(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "name": "s",
        "data": "iris",
        "model": "mlp",
        "phases": [HEAD, ALL],
        "rules": [{"kind": "adam", "lr": [0.1, 0.3], "layer_decay": [1.0, 0.5]}],
    }
    return Study(**{**fields, **changes})


def test_a_chain_of_recipes() -> None:
    study = made(schedule="cosine", stop={"patience": 3}, phases=[HEAD, {**ALL, "schedule": "linear"}])
    runs = runs_of(study, load(study.data))
    assert len(runs) == 2 * 2 * 3
    assert len(parents_of(runs)) == 3
    first, last = runs[-1].recipe.chain
    assert (first.train, first.steps, first.hypers["lr"], first.schedule["kind"]) == (
        "head",
        4,
        0.01,
        "cosine",
    )
    assert (last.train, last.steps, last.hypers["lr"], last.schedule["kind"]) == ("all", 6, 0.03, "linear")
    assert "layer_decay" not in first.hypers
    assert last.hypers["layer_decay"] == 0.5
    assert (first.hypers.get("stop.patience"), last.hypers["stop.patience"]) == (None, 3.0)
    assert runs[-1].chosen["lr"] == 0.3
    assert (last.first_step, last.id) == (4, runs[-1].recipe.id)


def test_one_phase_that_trains_all_is_no_phase() -> None:
    plain = made(phases=(), steps=6, rules=["adam"])
    one = made(phases=[{"steps": 6}], rules=["adam"])
    data = load(plain.data)
    assert [run.id for run in runs_of(plain, data)] == [run.id for run in runs_of(one, data)]


def test_a_text_of_it_is_read_again() -> None:
    study = made(
        phases=[
            HEAD,
            {**ALL, "schedule": {"kind": "cosine", "warmup": 2}},
            {"train": "from:1", "epochs": 0.5},
        ]
    )
    assert parse_definition(definition_of(study)).phases == study.phases
    assert "\n[[phases]]\n" in definition_of(study)
    assert "4 steps of head, then 6 steps of all, then 0.5 epochs of from:1" in str(study)


def test_a_variant_may_have_other_phases() -> None:
    study = made(variants=[{}, {"phases": [HEAD]}], rules=[{"kind": "adam", "lr": 0.1}])
    runs = runs_of(study, load(study.data))
    assert {run.chosen["variant"] for run in runs} == {"plain", "head"}
    assert parents_of(runs) == [], "those that others go on from are the other variant's own"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 3}, "epochs, phases: only one of them; phases have lengths of their own"),
        ({"phases": "x"}, "phases = 'x': must be a list of tables; in TOML each begins with [[phases]]"),
        ({"phases": ["head"]}, "phases.0 = 'head': must be a table such as"),
        ({"phases": [{"train": "hed", "steps": 1}]}, "phases.0.train = 'hed': did you mean 'head'?"),
        ({"phases": [{"train": 3, "steps": 1}]}, "phases.0.train = 3: "),
        (
            {"phases": [{"train": "from:x", "steps": 1}]},
            "phases.0.train = 'from:x': must be the number of a block",
        ),
        (
            {"phases": [{"train": "match:(", "steps": 1}]},
            "phases.0.train = 'match:(': must be a regular expression",
        ),
        (
            {"phases": [{"train": "match:", "steps": 1}]},
            "phases.0.train = 'match:': must be a regular expression",
        ),
        ({"phases": [{"steps": 1, "lr": [1, 2]}]}, "phases.0.lr = [1, 2]: must be a finite number above 0"),
        ({"phases": [{"steps": 1, "lr": 1, "lr_factor": 2}]}, "phases.0.lr_factor: not beside lr"),
        (
            {"phases": [{"steps": 1, "lr_factor": 0}]},
            "phases.0.lr_factor = 0: must be a finite number above 0",
        ),
        ({"phases": [{"steps": 0}]}, "phases.0.steps = 0: must be a whole number from 1"),
        ({"phases": [{"steps": 1, "epoch": 2}]}, "phases.0.epoch: unknown key; did you mean 'epochs'?"),
        (
            {"phases": [{}]},
            "phases.0.epochs: a phase needs exactly one of epochs and steps, neither is given",
        ),
        ({"tune": "staged", "schedule": ["constant", "cosine"]}, "tune = 'staged': not with phases"),
        (
            {"rules": [{"kind": WHOLE, "lr": 0.1}]},
            """rules.0: rule 'whole': its scope is "run", all numbers of a run at once, and phases may train some""",
        ),
        ({"rules": ["lbfgs"]}, "rules.0.kind = 'lbfgs': a rule that searches for its steps cannot go on"),
        ({"rules": [{"kind": "lbfgs", "anchor": 0.1}]}, "rules.0.anchor: not with lbfgs"),
        ({"rules": [{"kind": "adam", "layer_decay": 0.0}]}, "rules.0.layer_decay = 0.0: must be"),
        ({"rules": [{"kind": "adam", "layer_decay": 1.5}]}, "rules.0.layer_decay = 1.5: must be"),
        ({"rules": [{"kind": "adam", "anchor": -1.0}]}, "rules.0.anchor = -1.0: must be"),
        (
            {"model": {"kind": "backbone", "target": "x:Y"}, "phases": ()},
            "phases: missing, a backbone (model) needs",
        ),
        (
            {"model": {"kind": "backbone", "target": "x:Y"}, "phases": (), "epochs": 2},
            "epochs: not with a backbone (model): write [[phases]]",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        made(**changes)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_a_warmup_longer_than_a_phase_is_refused() -> None:
    study = made(schedule={"kind": "cosine", "warmup": 5})
    with pytest.raises(InputError, match=r"schedule.warmup = 5: must be fewer steps than the 4 of phase 0"):
        runs_of(study, load(study.data))


def test_every_problem_of_phases_is_found() -> None:
    content = {
        "name": "s",
        "data": "iris",
        "model": "mlp",
        "epochs": 3,
        "rules": ["adam"],
        "phases": [{"train": "hed", "steps": 1}],
    }
    assert [str(fault).partition(":")[0] for fault in problems(content)] == ["phases.0.train = 'hed'"]
    content = {**content, "epochs": None, "phases": [{"train": "from:9", "steps": 1}]}
    content.pop("epochs")
    [fault] = problems(content)
    assert str(fault).startswith(
        "phases: train = 'from:9': the model has 2 blocks before its head, from:0 to from:1"
    )


def test_the_page(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    study = parse_definition(text)
    with Store(tmp_path) as store:
        [first] = rounds_of(runs_of(study, load(study.data)), store)
    assert first.line in PAGE


def test_a_config_for_longer_has_longer_phases() -> None:
    study = made(phases=[HEAD, {**ALL, "schedule": {"kind": "cosine", "warmup": 2}}], schedule="linear")
    run = runs_of(study, load(study.data))[-1]
    found = longer(study, run.label, run.recipe.content(), [5], 3, "longer", run.chosen)
    [made_longer] = runs_of(found, load(study.data))
    assert [each.steps for each in made_longer.recipe.chain] == [12, 18]
    assert [each.hypers["lr"] for each in made_longer.recipe.chain] == [0.01, 0.03]
    assert [each.schedule for each in made_longer.recipe.chain] == [
        {"kind": "linear", "warmup": 0, "final": 0.0},
        {"kind": "cosine", "warmup": 6, "final": 0.0},
    ]
    assert made_longer.recipe.hypers["layer_decay"] == 0.5
