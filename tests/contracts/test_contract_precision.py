"""Runs in float64: as a plain loop in float64 trains them, and bit by bit the same alone, beside others, resumed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    dataset,
    network_of,
    random_dataset,
    same,
    study,
    train,
    training_of,
)
from plain_loop import train_plainly, weights_of
from test_contract_cohorts import cut
from torch import nn

from ravine.study import Study

LRS = {"sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.05, "lion": 0.003}
KINDS = (*LRS, "adam", "adamw", "rmsprop", "nadam", "schedule_free_adamw")
# 30 steps round about 30 times at 1e-16 of weights of order 1; dividing by a root of few squares makes up to some
# hundred times more of it.
TOLERANCE = 1e-12
NETS = {
    "conv": (random_dataset((1, 6, 6)), {"kind": "convnet", "channels": [3], "hidden": 5}),
    "norms": (dataset("wine"), {"kind": "mlp", "hidden": [13], "norm": "batch"}),
    "regression": (dataset("diabetes"), {"kind": "mlp", "hidden": [9], "norm": "layer"}),
}


@cache
def rules_study(precision: str = "float64", dropout: float = 0.3) -> Study:
    return study(
        rules=[{"kind": kind, "lr": LRS.get(kind, 0.01)} for kind in KINDS],
        steps=30,
        schedule={"kind": "cosine", "warmup": 3},
        model={"kind": "mlp", "hidden": [13, 7]},
        dropout=dropout,
        precision=precision,
        seeds=1,
    )


@cache
def fused(precision: str = "float64") -> Trained:
    return train(rules_study(precision), backend=FUSED)


def close(weights: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        assert weights[name].dtype == array.dtype
        np.testing.assert_allclose(weights[name], array, TOLERANCE, TOLERANCE, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_trains_as_the_plain_loop(kind: str) -> None:
    """With dropout: the masks are those of the loop, which draws them by the same keys."""
    (run,) = [run for run in all_runs(rules_study()) if run.recipe.rule == kind]
    close(fused().weights(run), weights_of(train_plainly(rules_study(), run)[0]))


@pytest.mark.parametrize("backend", [FUSED, SERIAL, PLAIN])
@pytest.mark.parametrize("net", NETS)
def test_a_network_trains_as_the_plain_loop(net: str, backend: str) -> None:
    data, model = NETS[net]
    made = study(
        data=data, model=model, rules=[{"kind": "momentum", "lr": 0.01}], precision="float64", seeds=1
    )
    (run,) = all_runs(made)
    trained = train(made, backend=backend)
    module, _ = train_plainly(made, run)
    close(trained.weights(run), weights_of(module))
    with torch.no_grad():
        output = module(torch.from_numpy(data.test.x).double()).numpy()
    expected = output if data.task == "classification" else data.in_own_units(output[:, 0])
    assert trained.predictions(run).dtype == np.float64
    np.testing.assert_allclose(trained.predictions(run), expected, TOLERANCE, 1e-10)


def test_it_begins_where_float32_does_and_stays_near() -> None:
    """The same initial weights, batches and masks: after so few steps only rounding tells them apart."""
    short = fused("float32")
    for run, other in zip(all_runs(rules_study()), all_runs(rules_study("float32")), strict=True):
        first, second = (network_of(rules_study(), [each]).initial(0) for each in (run, other))
        for name, tensor in first.items():
            assert tensor.dtype == (
                torch.float64 if tensor.is_floating_point() and "rate" not in name else tensor.dtype
            )
            torch.testing.assert_close(tensor, second[name].to(tensor.dtype), rtol=0, atol=0)
        weights, others = fused().weights(run), short.weights(other)
        for name in weights:
            np.testing.assert_allclose(weights[name], others[name], 1e-3, 1e-3, err_msg=f"{run.label} {name}")


EVERYTHING = (
    {"kind": "adam", "lr": [1e-3, 1e-2], "weight_decay": [0.0, 0.1]},
    {"kind": "momentum", "lr": [0.1, 1e30]},  # the second diverges
    {"kind": "rmsprop", "lr": 0.01, "max_norm": [0.0, 0.7]},
    {"kind": "adagrad", "lr": 0.1, "clip_norm": 0.3},
    {"kind": "muon", "lr": 0.003, "weight_decay": [0.0, 0.1]},
)


def everything(rules: tuple[dict[str, object], ...] = EVERYTHING) -> Study:
    return study(
        data=dataset("wine"),
        model={"kind": "mlp", "hidden": [17], "norm": "batch", "activation": "gelu"},
        rules=rules,
        steps=12,
        batch_size=13,
        schedule={"kind": "cosine", "warmup": 2},
        dropout=[0.0, 0.3],
        label_smoothing=0.1,
        stop={"patience": 1},
        averages={"ema": [0.9], "batchnorm": "again"},
        evaluations=3,
        precision="float64",
    )


@pytest.mark.parametrize("backend", [FUSED, SERIAL])
def test_alone_beside_others_and_resumed_a_run_has_the_same_bits(backend: str) -> None:
    made = everything()
    runs = all_runs(made)[::7] if backend == FUSED else all_runs(made)[3:4]
    whole = train(made, runs, backend)
    for run in runs[:2]:
        same(train(made, [run], backend), whole, run)
    for resumed in cut(made, runs, backend, (3, 7)):
        for run in runs:
            same(resumed, whole, run)
    assert all(array.dtype in (np.float64, np.int64) for array in whole.finished.weights.values())


def test_a_search_has_the_same_bits_alone_beside_others_and_resumed() -> None:
    made = everything(({"kind": "lbfgs", "lr": [0.5, 1.0]},))
    made = replace(made, stop=None)
    runs = all_runs(made)[::5]
    whole = train(made, runs)
    same(train(made, runs[:1]), whole, runs[0])
    for resumed in cut(made, runs, FUSED, (5,)):
        for run in runs:
            same(resumed, whole, run)


AROUND = {"sam_radius": 0.05, "noise": 1e-3, "clip_norm": 0.5, "anchor": 1e-3, "layer_decay": 0.5}
EVERY_TENSOR: dict[str, dict[str, object]] = {
    "around a rule": {"rules": [{"kind": "sgd", "lr": 0.1, **AROUND}]},
    "augmented": {
        "data": random_dataset((2, 8, 8)),
        "model": {"kind": "convnet", "channels": [3], "hidden": 4, "norm": "batch", "pool": "stochastic"},
        "augment": {"flip": 0.5, "mixup": 0.2},
        "averages": {"polyak": {"from": 0.5}, "batchnorm": "average"},
    },
    "a search": {"rules": [{"kind": "lbfgs", "noise": 1e-3}], "stop": {"patience": 2}},
}


@pytest.mark.parametrize("name", EVERY_TENSOR)
def test_what_training_changes_is_float64_and_rounding_is_all_that_differs(name: str) -> None:
    """Of a checkpoint, which has every slot; and against float32, whose draws are the same."""
    given = {"steps": 5, "seeds": 1, "rules": [{"kind": "momentum", "lr": 0.01}], **EVERY_TENSOR[name]}
    weights = []
    for precision in ("float64", "float32"):
        made = study(**given, precision=precision)
        training = training_of(made, all_runs(made))
        training.advance()
        if precision == "float64":
            kinds = {key: array.dtype.name for key, array in training.snapshot().items()}
            assert "float32" not in kinds.values(), kinds
        weights.append(train(made).weights(all_runs(made)[0]))
    for key, array in weights[0].items():
        np.testing.assert_allclose(weights[1][key], array, rtol=0, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("kind", ["newton", "lbfgs"])
def test_a_search_goes_on_where_float32_ends(kind: str) -> None:
    """To the minimum of a strictly convex loss: its gradient is 0 up to the rounding of each precision."""

    def slope(precision: str) -> float:
        penalized = {"kind": kind, "lr": 1.0, "weight_decay": 0.01, "exclude": ""}
        made = study(
            model={"kind": "mlp", "hidden": []},
            rules=[penalized],
            steps=60,
            batch_size="full",
            precision=precision,
            seeds=1,
        )
        (run,) = all_runs(made)
        weights = {
            name: torch.from_numpy(array).double().requires_grad_()
            for name, array in train(made).weights(run).items()
        }
        x, y = torch.from_numpy(made.data.train.x).double(), torch.from_numpy(made.data.train.y)
        loss = nn.functional.cross_entropy(x @ weights["output.weight"].T + weights["output.bias"], y)
        loss = loss + 0.005 * sum(w.square().sum() for w in weights.values())
        return float(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(weights.values()))]).norm()
        )

    assert slope("float64") < 1e-12
    assert slope("float32") > 1e-9
