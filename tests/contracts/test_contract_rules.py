"""Every rule, in every way of running it, against a plain float64 loop over one nn.Module."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from engine_runs import FUSED, PLAIN, SERIAL, Trained, all_runs, study, train
from plain_loop import train_plainly, weights_of
from torch import nn

from ravine.engine.programs import TOGETHER
from ravine.rules import RULES
from ravine.study import Run, Study
from thinning import thinned

LRS = {
    "sgd": 0.1,
    "adam": 0.01,
    "adamw": 0.01,
    "rmsprop": 0.01,
    "adagrad": 0.05,
    "lion": 0.003,
    "muon": 0.003,
}
# 30 steps in float32 round about 30 times at 6e-8 of weights of order 1; dividing by a root of few squares, as
# Adam does at first, makes up to some hundred times more of a gradient that is nearly 0.
TOLERANCE = 1e-4


@cache
def rules_study(schedule: str = "cosine", dropout: float = 0.0) -> Study:
    rules = [{"kind": kind, "lr": LRS.get(kind, 0.05)} for kind in RULES]
    return study(rules=rules, steps=30, schedule={"kind": schedule, "warmup": 3}, dropout=dropout, seeds=1)


@cache
def trained(name: str) -> Trained:
    made = rules_study()
    if name == "fused":
        return train(made, backend=FUSED)
    alone = [train(made, [run], SERIAL if name == "serial" else PLAIN) for run in all_runs(made)]
    return alone  # type: ignore[return-value]


def found(name: str, run: Run) -> dict[str, np.ndarray]:
    result = trained(name)
    if name == "fused":
        return result.weights(run)
    return next(one for one in result if run.id in one.finished.runs).weights(run)  # type: ignore[attr-defined]


@cache
def by_hand(kind: str) -> dict[str, dict[str, np.ndarray]]:
    """Weights of a rule's runs, by id."""
    runs = [run for run in all_runs(rules_study()) if run.recipe.rule == kind]
    return {run.id: weights_of(train_plainly(rules_study(), run)[0]) for run in runs}


@pytest.mark.parametrize("how", ["fused", "serial", "plain"])
@pytest.mark.parametrize("kind", RULES)
def test_a_rule_trains_as_the_plain_loop(kind: str, how: str) -> None:
    for run in (run for run in all_runs(rules_study()) if run.recipe.rule == kind):
        expected, weights = by_hand(kind)[run.id], found(how, run)
        assert weights.keys() == expected.keys()
        for name in weights:
            np.testing.assert_allclose(
                weights[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name
            )


@pytest.mark.parametrize("kind", RULES)
def test_traced_and_untraced_have_the_same_bits(kind: str) -> None:
    for run in (run for run in all_runs(rules_study()) if run.recipe.rule == kind):
        traced, plain = found("serial", run), found("plain", run)
        for name in traced:
            np.testing.assert_array_equal(traced[name], plain[name])


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.05)),
        ("momentum", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
        ("nesterov", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
        ("adagrad", lambda p: torch.optim.Adagrad(p, lr=0.05)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, lr=0.05)),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.05)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.05)),
    ],
)
def test_the_torch_preset_trains_as_torch_optim(kind: str, optimizer: object) -> None:
    made = study(rules=[{"kind": kind, "preset": "torch", "lr": 0.05, "exclude": ""}], steps=30, seeds=1)
    (run,) = all_runs(made)
    module = as_torch(made, run, optimizer)
    weights = train(made).weights(run)
    for name, expected in weights_of(module).items():
        np.testing.assert_allclose(weights[name], expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def as_torch(made: Study, run: Run, optimizer: object) -> nn.Module:
    """The loop that everyone writes, in float64."""
    from engine_runs import network_of
    from plain_loop import batches

    from ravine import rng

    with rng.keyed_init(run.seed):
        module = network_of(made, [run]).make().double()
    optim = optimizer(module.parameters())  # type: ignore[operator]
    x, y = torch.from_numpy(made.data.train.x).double(), torch.from_numpy(made.data.train.y)
    for rows in batches(run.seed, len(x), run.recipe.batch_size, run.recipe.steps):
        optim.zero_grad()
        nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
        optim.step()
    return module


REGULARIZED = [
    {"kind": "momentum", "label": "l2", "lr": 0.05, "weight_decay": [0.0, 0.1]},
    {"kind": "adam", "label": "l1", "lr": 0.01, "l1": 0.01},
    {"kind": "nesterov", "label": "decoupled", "lr": 0.05, "decoupled_weight_decay": [0.0, 0.3]},
    {"kind": "nesterov_lookahead", "label": "ahead-l2", "lr": 0.05, "weight_decay": 0.1},
    {"kind": "sgd", "label": "max-norm", "lr": 0.1, "max_norm": [0.0, 0.4]},
    {"kind": "rmsprop", "label": "all", "lr": 0.01, "weight_decay": 0.1, "l1": 0.01, "max_norm": 0.5},
    {"kind": "sgd", "label": "biases-too", "lr": 0.1, "weight_decay": 0.3, "exclude": ""},
]


@pytest.mark.parametrize(("block", "backend"), thinned(product(REGULARIZED, [FUSED, SERIAL]), strength=1))
def test_regularizers_train_as_the_plain_loop(block: dict[str, object], backend: str) -> None:
    made = study(rules=[block], steps=30, seeds=1, dropout=[0.0, 0.3])
    runs = all_runs(made)
    fused = train(made) if backend in TOGETHER else None
    for run in runs:
        expected = weights_of(train_plainly(made, run)[0])
        weights = (fused or train(made, [run], backend)).weights(run)
        for name in weights:
            np.testing.assert_allclose(
                weights[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name
            )


@pytest.mark.slow
def test_the_compiled_step_trains_as_the_plain_loop() -> None:
    compiled = train(rules_study(), backend="compiled")
    for run in all_runs(rules_study()):
        expected = weights_of(train_plainly(rules_study(), run)[0])
        for name, weights in compiled.weights(run).items():
            np.testing.assert_allclose(weights, expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
