"""Sharpness-aware minimization in studies: against the plain loop, and as independent of neighbours as all runs are."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from engine_runs import (
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    dataset,
    distance,
    same,
    study,
    train,
)
from plain_loop import train_plainly, weights_of
from test_contract_cohorts import SIZES, cut, groups, of_each_rule

from ravine.engine.programs import TOGETHER
from ravine.study import Study
from thinning import thinned

RULES = (
    {"kind": "sgd", "lr": 0.1, "sam_radius": [0.05, 0.5]},
    {"kind": "momentum", "lr": 0.05, "sam_radius": 0.1, "weight_decay": [0.0, 0.1]},
    {"kind": "nesterov_lookahead", "lr": 0.05, "sam_radius": 0.2},
    {"kind": "adam", "lr": 0.01, "sam_radius": 0.1, "max_norm": [0.0, 0.7]},
    {"kind": "schedule_free_adamw", "lr": 0.01, "sam_radius": 0.1},
)
MODELS = {
    "odd": {"kind": "mlp", "hidden": [13, 7]},
    "layer-norm": {"kind": "mlp", "hidden": [9], "norm": "layer", "activation": "silu"},
}


@cache
def sam(model: str) -> Study:
    return study(
        data=dataset("wine"),
        model=MODELS[model],
        rules=RULES,
        steps=12,
        batch_size=13,
        dropout=[0.0, 0.3],
        schedule={"kind": "cosine", "warmup": 2},
        evaluations=3,
    )


@cache
def together(model: str, backend: str) -> Trained:
    return train(sam(model), backend=backend)


@pytest.mark.parametrize(
    ("model", "backend"), thinned(product(MODELS, [NATIVE, FUSED, SERIAL, PLAIN]), strength=1)
)
def test_it_trains_as_the_plain_loop(model: str, backend: str) -> None:
    made = sam(model)
    runs = [run for run in all_runs(made) if run.seed == 0]
    whole = together(model, backend) if backend in TOGETHER else None
    for run in runs[::5]:
        expected = weights_of(train_plainly(made, run)[0])
        weights = (whole or train(made, [run], backend)).weights(run)
        for name in weights:  # float32, 12 steps
            np.testing.assert_allclose(weights[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("backend", [NATIVE, FUSED, SERIAL], ids=str)
def test_a_batch_norms_statistics_are_those_of_the_first_pass(backend: str) -> None:
    made = study(
        data=dataset("wine"),
        model={"kind": "mlp", "hidden": [17], "norm": "batch"},
        rules=[{"kind": "sgd", "lr": 0.1, "sam_radius": 0.5}],
        steps=12,
        batch_size=13,
        seeds=1,
    )
    (run,) = all_runs(made)
    module, losses = train_plainly(made, run)
    trained = train(made, backend=backend)
    expected = weights_of(module)
    assert any("running" in name for name in expected)
    for name, weights in trained.weights(run).items():
        np.testing.assert_allclose(weights, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
    # what a curve tells is the loss at the weights, not above them
    assert trained.curve(run, "train_loss")[0][1] == pytest.approx(np.mean(losses[:3]), rel=1e-4)


def test_the_radius_matters_and_0_is_the_rule_alone() -> None:
    made = study(rules=[{"kind": "sgd", "lr": 0.1, "sam_radius": [0.0, 1e-6, 0.5]}], seeds=1)
    plain = study(rules=[{"kind": "sgd", "lr": 0.1}], seeds=1)
    none, tiny, large = sorted(all_runs(made), key=lambda run: run.recipe.hypers.get("sam_radius", 0.0))
    assert none.id == all_runs(plain)[0].id
    assert len({run.recipe.structure for run in (none, tiny, large)}) == 2
    alone = train(plain)
    ascending = train(made, [tiny, large])
    for run, low, high in ((tiny, 0.0, 1e-4), (large, 1e-2, 10.0)):
        weights, without = ascending.weights(run), alone.weights(none)
        assert low < max(float(np.abs(weights[name] - without[name]).max()) for name in without) < high


@pytest.mark.parametrize("backend", [NATIVE, FUSED], ids=str)
@pytest.mark.parametrize("sizes", SIZES)
def test_a_run_does_not_depend_on_its_neighbours(sizes: tuple[int, ...], backend: str) -> None:
    made = sam("odd")
    for some in groups(of_each_rule(made, 1), sizes):
        apart = train(made, some, backend)
        for run in some:
            same(apart, together("odd", backend), run)


@pytest.mark.parametrize("steps", [(5,), pytest.param((1, 5, 12), marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("backend", [NATIVE, FUSED, SERIAL], ids=str)
def test_going_on_from_a_snapshot_changes_no_bit(backend: str, steps: tuple[int, ...]) -> None:
    made = sam("odd")
    runs = of_each_rule(made, 2)[: None if backend in TOGETHER else 1]
    whole = together("odd", backend) if backend in TOGETHER else train(made, runs, backend)
    for resumed in cut(made, runs, backend, steps):
        for run in runs:
            same(resumed, whole, run)


def test_machine_code_is_the_traced_program() -> None:
    made = sam("odd")
    ours, theirs = together("odd", NATIVE), together("odd", FUSED)
    assert max(distance(ours, theirs, run) for run in all_runs(made)) < 1e-5  # float32, 12 steps
