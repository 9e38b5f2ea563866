"""Noise in gradients: its size, its keys, and that all ways of training add the same."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from engine_runs import (
    CPU,
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    dataset,
    distance,
    network_of,
    same,
    study,
    train,
    training_of,
)

from ravine import rng
from ravine.engine.noise import inside, noise_of
from ravine.engine.plan import plan
from ravine.engine.programs import TOGETHER
from ravine.study import Study
from ravine.tensors import Layout

NOISY = (
    {"kind": "sgd", "lr": 0.1, "noise": [0.0, 0.05, 0.5]},
    {"kind": "adam", "lr": 0.01, "noise": 0.1, "weight_decay": 0.01},
    {"kind": "nesterov_lookahead", "lr": 0.05, "noise": 0.1},
    {"kind": "rmsprop", "lr": 0.01, "noise": 0.1, "max_norm": 0.7},
    {"kind": "momentum", "lr": 0.05},
)


def noisy(**changes: object) -> Study:
    fields = {"data": dataset("wine"), "rules": NOISY, "steps": 12, "batch_size": 13}
    return study(**{**fields, "model": {"kind": "mlp", "hidden": [7]}, **changes})


@cache
def together(backend: str) -> Trained:
    return train(noisy(), backend=backend)


def test_its_standard_deviation_is_as_told_and_gaps_have_none() -> None:
    layout = Layout.of({"weight": (300, 41), "bias": (5,)})
    strengths, places = torch.tensor([[0.0], [0.5], [2.0]]), inside(layout, CPU)
    seeds = torch.tensor([3, 3, 4])
    found = noise_of(strengths, places, seeds, torch.tensor(7))
    weights, biases = layout.views(found)["weight"], layout.views(found)["bias"]
    assert bool((found[0] == 0.0).all())
    for row, strength in ((1, 0.5), (2, 2.0)):
        num = weights[row].numel()
        assert weights[row].std().item() == pytest.approx(strength, rel=3 / math.sqrt(2 * num))
        assert abs(weights[row].mean().item()) < 4 * strength / math.sqrt(num)
    total = sum(view.abs().sum() for view in (weights, biases))
    torch.testing.assert_close(found.abs().sum(), total)
    correlation = torch.corrcoef(torch.stack([weights[1].flatten(), weights[2].flatten()]))[0, 1]
    assert abs(correlation.item()) < 4 / math.sqrt(weights[1].numel())
    assert not torch.equal(found, noise_of(strengths, places, seeds, torch.tensor(8)))
    torch.testing.assert_close(
        found[1], 0.5 * rng.normal(rng.key(3, "gradient noise", 7), (layout.size,)) * places
    )


def test_one_step_of_sgd_is_off_by_lr_times_the_noise() -> None:
    made = study(rules=[{"kind": "sgd", "lr": 0.1, "noise": [0.0, 0.3]}], steps=1, seeds=1)
    quiet, loud = all_runs(made)
    assert "noise" not in quiet.recipe.hypers
    assert loud.recipe.hypers["noise"] == 0.3
    trained = train(made)
    layout = network_of(made, [quiet]).layout
    normal = layout.view_one(0.3 * rng.normal(rng.key(0, "gradient noise", 0), (layout.size,)))
    for name, expected in normal.items():
        moved = trained.weights(quiet)[name] - trained.weights(loud)[name]
        np.testing.assert_allclose(moved, 0.1 * expected.numpy(), rtol=1e-3, atol=1e-6)


def test_a_run_without_noise_is_the_same_run_as_before_there_was_any() -> None:
    with_word = study(rules=[{"kind": "sgd", "lr": 0.1, "noise": 0.0}])
    without = study(rules=[{"kind": "sgd", "lr": 0.1}])
    assert [run.id for run in all_runs(with_word)] == [run.id for run in all_runs(without)]


@pytest.mark.parametrize("backend", [NATIVE, SERIAL, PLAIN], ids=str)
def test_every_way_of_training_adds_the_same(backend: str) -> None:
    made = noisy()
    fused = together(FUSED)
    whole = together(backend) if backend in TOGETHER else None
    for run in all_runs(made) if whole else all_runs(made)[5::2]:  # one of each rule
        other = whole or train(made, [run], backend)
        assert distance(fused, other, run) < 1e-4, run.label


@pytest.mark.parametrize("backend", [FUSED, NATIVE], ids=str)
def test_a_run_does_not_depend_on_the_noise_of_its_neighbours(backend: str) -> None:
    made = noisy()
    whole = together(backend)
    runs = all_runs(made)
    assert {run.seed for run in runs[1::2]} == {1}
    for some in (runs[1:2], runs[3::2]):
        apart = train(made, some, backend)
        for run in some:
            same(apart, whole, run)


FAST = (("lbfgs", NATIVE, 13),)
SEARCHES = [
    (kind, backend, batch_size)
    for kind, backend in (("lbfgs", FUSED), ("newton", FUSED), ("lbfgs", NATIVE))
    for batch_size in (13, "full")
]


@pytest.mark.parametrize(
    ("kind", "backend", "batch_size"),
    [pytest.param(*case, marks=() if case in FAST else pytest.mark.slow) for case in SEARCHES],
)
def test_a_search_keeps_its_noise(kind: str, backend: str, batch_size: int | str) -> None:
    """Loss and gradient belong together while it lasts: the search ends as it does without noise."""
    own = {"damping": 0.1, "saddle_free": 1} if kind == "newton" else {}
    made = noisy(
        rules=[{"kind": kind, "noise": [0.01, 0.03], **own}],
        batch_size=batch_size,
        steps=24,
        model={"kind": "mlp", "hidden": [4], "activation": "tanh"},
    )
    runs = all_runs(made)
    whole = train(made, runs, backend)
    same(train(made, runs[:1], backend), whole, runs[0])
    training = training_of(made, runs, backend)
    held = []
    for _ in range(24):
        training.advance()
        slots = training.setting.state.slots[0]
        held.append(slots["batch_number"][:, 0].tolist())
        assert slots["count"].max() < 20
    for row in zip(*held, strict=True):
        assert len(set(row)) > 5  # a search takes two evaluations or a few more, then there is other noise


def test_the_planner_knows_of_it() -> None:
    made = noisy()
    runs = all_runs(made)
    assert plan(runs, network_of(made, runs), made.data, CPU).backend == NATIVE  # type: ignore[arg-type]
