"""Recipes of phases: what is hashed, and which runs share a program."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ravine.study.recipe import Recipe

_KNOWN = Recipe(
    data="d",
    model={"kind": "mlp"},
    rule="sgd",
    hypers={"lr": 0.1, "weight_decay": 0.0},
    exclude=None,
    schedule={"kind": "constant"},
    steps=10,
    batch_size=5,
    evaluate_every=2,
)


def _after(first: Recipe, **changes: Any) -> Recipe:
    return replace(first, before=first.content(), **changes)


def test_a_recipe_without_phases_has_the_id_that_it_had_before_there_were_any() -> None:
    assert _KNOWN.id == "c594eadb120d8808"  # computed at 033ac45


def test_each_field_of_a_phase_makes_another_run() -> None:
    found = [
        _KNOWN,
        replace(_KNOWN, train="head"),
        replace(_KNOWN, part={"per_class": 2, "draw": 0}),
        _after(_KNOWN),
        _after(replace(_KNOWN, steps=11)),
    ]
    assert len({each.id for each in found}) == len({each.structure for each in found}) == 5


def test_a_parent_comes_back_from_a_store_as_the_same_run() -> None:
    head = replace(_KNOWN, train="head", hypers={"lr": 3e-3, "weight_decay": 0.0})
    last = _after(_after(head, train="from:2"), train="all", steps=7)
    stored = Recipe.of(json.loads(json.dumps(last.content())))
    assert stored.id == last.id
    assert [each.id for each in stored.chain] == [each.id for each in last.chain]
    assert [each.train for each in stored.chain] == ["head", "from:2", "all"]
    assert stored.chain[0].id == head.id
    assert (stored.first_step, head.first_step) == (20, 0)


def test_what_a_parent_was_trained_with_does_not_part_programs() -> None:
    other = replace(_KNOWN, hypers={"lr": 1.0, "weight_decay": 0.0})
    assert _after(_KNOWN).structure == _after(other).structure
    assert _after(_KNOWN).structure != _after(replace(_KNOWN, train="head")).structure
