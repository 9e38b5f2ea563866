"""Every kind of stochastic layer: a run is the same run anywhere, and a new rate is no new program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    NATIVE,
    SERIAL,
    all_runs,
    compiling,
    distance,
    random_dataset,
    same,
    study,
    train,
    training_of,
)
from test_contract_cohorts import cut
from torch import nn

from ravine import nn as layers
from ravine.data import Dataset
from ravine.nn.spec import RATES
from ravine.predictors.modules import built_in, module_of
from ravine.study import Study

PICTURES, TABLE = (1, 6, 6), (4,)
RULES = [{"kind": "momentum", "lr": 0.05}]
Make = Callable[[], nn.Module]


class All(nn.Sequential):
    """A layer of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.DropConnectConv2d(1, 3, 3, 0.3, padding=1, activation="relu")
        self.first = layers.FractionalMaxPool2d(1.5)
        self.second = layers.StochasticPool2d(2)
        self.flat = nn.Flatten()
        branch = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Tanh())
        self.depth = layers.StochasticDepth(0.5, branch)
        self.alpha = layers.AlphaDropout(0.2)
        self.linear = layers.DropConnectLinear(12, 6, 0.3, activation="tanh")
        self.dropout = layers.Dropout(0.2, scale="classic")
        self.output = nn.Linear(6, 3)


def with_layer(make: Make) -> Make:
    pooling = (layers.FractionalMaxPool2d, layers.StochasticPool2d)

    def factory() -> nn.Module:
        layer = make()
        if isinstance(layer, pooling):
            return nn.Sequential(
                nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), layer, nn.Flatten(), nn.Linear(32, 3)
            )
        if isinstance(layer, layers.DropConnectConv2d):
            return nn.Sequential(layer, nn.Flatten(), nn.Linear(32, 3))
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.SELU(), layer, nn.Linear(8, 3))

    return factory


def connect(draw: str, activation: str) -> Make:
    return lambda: layers.DropConnectLinear(8, 8, 0.3, draw=draw, activation=activation)  # type: ignore[arg-type]


OWN: dict[str, Make] = {
    "alpha": lambda: layers.AlphaDropout(0.2, features=True),
    "linear-example": connect("example", "relu"),
    "linear-gaussian": connect("gaussian", "gelu"),
    "conv-example": lambda: layers.DropConnectConv2d(1, 2, 3, draw="example", activation="silu"),
    "depth-example": lambda: layers.StochasticDepth(0.4, nn.BatchNorm1d(8), scale="inverted", draw="example"),
    "fractional-random": lambda: layers.FractionalMaxPool2d(1.5, regions="random", test="exact"),
    "fractional-example": lambda: layers.FractionalMaxPool2d(1.5, draw="example", overlapping=False, test=2),
    "stochastic-pool": lambda: layers.StochasticPool2d(3, 1),
}
BUILT_IN = {
    "mlp": ({"kind": "mlp", "hidden": [8, 8], "dropconnect": [0.0, 0.3], "dropout": 0.2, "norm": "batch"}, TABLE),
    "mlp-relu": ({"kind": "mlp", "hidden": [8], "dropconnect": [0.0, 0.3]}, TABLE),
    "convnet": ({"kind": "convnet", "channels": [3], "hidden": 6, "pool": "stochastic", "dropconnect": 0.3}, PICTURES),
    "conv-0": ({"kind": "convnet", "channels": [3], "hidden": 0, "pool": "fractional", "dropconnect": 0.3}, PICTURES),
    "resnet": ({"kind": "resnet", "depth": 8, "width": 4, "depth_drop": [0.0, 0.5], "dropconnect": 0.1}, PICTURES),
}  # fmt: skip


def made(model: object, shape: tuple[int, ...], **rates: object) -> Study:
    return study(
        model=model, data=random_dataset(shape), rules=RULES, rates=rates or None, steps=6, seeds=2, batch_size=8,
        evaluations=2,
    )  # fmt: skip


def check_native(one: Study) -> None:
    """A run is the same run alone, among others, and in another order."""
    runs = all_runs(one)
    together = train(one, runs, NATIVE)
    same(train(one, runs[-1:], NATIVE), together, runs[-1])
    shuffled = train(one, runs[::-1], NATIVE)
    for run in runs:
        same(shuffled, together, run)


def check(one: Study) -> None:
    """A run is the same run anywhere, and continued, and near that of other backends."""
    check_native(one)
    runs = all_runs(one)
    together, last = train(one, runs, NATIVE), runs[-1]
    for resumed in cut(one, runs, NATIVE, (1, 4)):
        for run in runs:
            same(resumed, together, run)
    fused, serial = train(one, runs, FUSED), train(one, [last], SERIAL)
    assert distance(together, fused, last) < 1e-5  # float32, 6 steps; sums in another order
    assert distance(fused, serial, last) < 1e-5
    np.testing.assert_allclose(together.predictions(last), fused.predictions(last), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_layer_of_each_kind_at_rates_of_each_run(whole: bool) -> None:
    given = {"dropout": [0.0, 0.3], "match:^conv": 0.2, "stochastic_pool": 0.5, "depth_drop": 0.4}
    (check if whole else check_native)(made(All, PICTURES, **given))


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_each_option_of_each_layer(name: str) -> None:
    check(made(with_layer(OWN[name]), PICTURES))


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_keys_of_built_in_models(name: str) -> None:
    model, shape = BUILT_IN[name]
    check(made(model, shape))


def test_a_serial_run_whose_closed_gates_leave_work_out_is_the_same_run_continued() -> None:
    one = made({"kind": "resnet", "depth": 8, "width": 8, "depth_drop": 0.9}, PICTURES)
    (run, *_) = all_runs(one)
    together = train(one, [run], SERIAL)
    for resumed in cut(one, [run], SERIAL, (3,)):
        same(resumed, together, run)


def test_a_new_rate_is_not_compiled_anew() -> None:
    kinds = list(RATES)
    for rate in (0.3, 0.123):
        one = made(All, PICTURES, **dict.fromkeys(kinds, rate))
        with compiling() as texts:
            training_of(one, all_runs(one), NATIVE).rehearse()
    assert not texts


@pytest.mark.parametrize(
    "name", ["mlp-relu", *(pytest.param(n, marks=pytest.mark.slow) for n in (*BUILT_IN, *OWN))]
)
def test_stored_weights_predict_as_the_run_did(name: str) -> None:
    """The mean pass of some layers depends on the rate, which is stored with the weights."""
    model, shape = BUILT_IN.get(name) or (with_layer(OWN[name]), PICTURES)
    one = made(model, shape)
    run = all_runs(one)[-1]
    trained = train(one, [run], NATIVE)
    assert isinstance(one.data, Dataset)
    spec = built_in(run.recipe.model) if name in BUILT_IN else one.model
    module = module_of(spec, shape, 3, trained.weights(run))
    outputs = module(torch.from_numpy(one.data.test.x)).numpy()
    np.testing.assert_allclose(outputs, trained.predictions(run), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", [NATIVE, pytest.param(SERIAL, marks=pytest.mark.slow)])
def test_frozen_norms_keep_their_statistics_in_a_study(backend: str) -> None:
    def factory() -> nn.Module:
        return layers.freeze_norms(
            nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
        )

    one = made(factory, TABLE)
    run = all_runs(one)[0]
    weights = train(one, [run], backend).weights(run)
    np.testing.assert_array_equal(weights["1.running_mean"], np.zeros(6, dtype=np.float32))
    np.testing.assert_array_equal(weights["1.running_var"], np.ones(6, dtype=np.float32))
    assert weights["1.num_batches_tracked"] == 0
    assert np.abs(weights["1.bias"]).max() > 0  # shifts go on learning


@pytest.mark.parametrize(
    "name", ["mlp-relu", *(pytest.param(n, marks=pytest.mark.slow) for n in ("mlp", "resnet"))]
)
def test_a_run_at_rate_zero_is_the_run_of_a_network_without_the_layer(name: str) -> None:
    model, shape = BUILT_IN[name]
    one = made(model, shape)
    run = all_runs(one)[0]
    alone, together = train(one, [run], NATIVE), train(one, backend=NATIVE)
    among = together.weights(run)
    for tensor, weights in alone.weights(run).items():
        np.testing.assert_array_equal(weights, among[tensor], err_msg=tensor)
    assert all(name.endswith(".rate") for name in among.keys() - alone.weights(run).keys())
    np.testing.assert_array_equal(alone.predictions(run), together.predictions(run))
