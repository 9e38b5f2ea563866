"""Every loss on every backend: it trains as a plain loop in float64 does, with the bits of a run alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    compiling,
    dataset,
    distance,
    same,
    study,
    train,
    trained_by,
    training_of,
)
from plain_loop import train_plainly, weights_of
from torch import Tensor
from torch.nn import functional as F

from ravine.data import Dataset, Examples
from ravine.engine.records import Tick
from ravine.study import Run, Study

WAYS = [NATIVE, *(pytest.param(way, marks=pytest.mark.slow) for way in (FUSED, SERIAL, PLAIN))]
Formula = Callable[[Run, Tensor, Tensor], Tensor]


def cubed(outputs: Tensor, answers: Tensor, *, power: Tensor | float = 3.0) -> Tensor:
    return ((outputs - answers).abs() + 0.1) ** power


def own_number(run: Run, name: str, data: Dataset | None = None) -> float:
    return run.recipe.hypers.get(f"loss.{name}", 0.0) / (data.target_scale if data is not None else 1.0)


def focal(run: Run, z: Tensor, y: Tensor) -> Tensor:
    log_p = torch.log_softmax(z, -1).gather(1, y[:, None])[:, 0]
    return -((1 - log_p.exp()) ** own_number(run, "gamma")) * log_p


def pinball(run: Run, f: Tensor, y: Tensor) -> Tensor:
    q, d = own_number(run, "q"), y - f[:, 0]
    return torch.maximum(q * d, (q - 1) * d)


WEIGHTS = [0.5, 2.0, 1.0]
# What a study says, the name of its data, and the loss of each example with its weight.
LOSSES: dict[str, tuple[Any, str, Formula]] = {
    "class weights": (
        {"kind": "cross_entropy", "class_weights": WEIGHTS},
        "iris",
        lambda _, z, y: F.cross_entropy(z, y, reduction="none"),
    ),
    "focal": ({"kind": "focal", "gamma": [0.0, 0.5, 2.0]}, "iris", focal),
    "mae": ("mae", "diabetes", lambda _, f, y: (f[:, 0] - y).abs()),
    "huber": (
        {"kind": "huber", "delta": [20.0, 100.0]},
        "diabetes",
        lambda run, f, y: F.huber_loss(
            f[:, 0], y, reduction="none", delta=own_number(run, "delta", dataset("diabetes"))
        ),
    ),
    "quantile": ({"kind": "quantile", "q": [0.1, 0.9]}, "diabetes", pinball),
    "own": (
        {"kind": cubed, "power": [1.5, 3.0]},
        "diabetes",
        lambda run, f, y: cubed(f[:, 0], y, power=own_number(run, "power")),
    ),
}


def weighted(data: Dataset) -> Dataset:
    """With weights of examples, some of them 0."""
    w = np.abs(np.random.default_rng(7).normal(size=len(data.train))).astype(np.float32)
    w[::5] = 0.0
    return replace(data, train=Examples(x=data.train.x, y=data.train.y, weights=w))


def made(name: str, *, weights: bool = False, **changes: Any) -> Study:
    loss, of, _ = LOSSES[name]
    data = weighted(dataset(of)) if weights else dataset(of)
    fields = {"rules": [{"kind": "momentum", "lr": [0.02, 0.05]}], "seeds": 2, "steps": 12, "data": data}
    return study(**{"loss": loss, "model": {"kind": "mlp", "hidden": [9]}, **fields, **changes})


def trained(study_: Study, runs: list[Run], backend: str) -> dict[str, Trained]:
    groups = [runs] if backend in (NATIVE, FUSED) else [[run] for run in runs]
    found: dict[str, Trained] = {}
    for group in groups:
        result = train(study_, group, backend)
        found |= {run.id: result for run in group}
    return found


def plainly(study_: Study, run: Run, formula: Formula) -> tuple[dict[str, np.ndarray], list[float]]:
    """The loop in float64, whose loss is the weighted mean of the formula."""
    data = study_.data
    assert isinstance(data, Dataset), "tests load their data first"
    given = data.train.weights
    weights = torch.ones(len(data.train)) if given is None else torch.from_numpy(given)

    def loss(rows: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
        y = y.to(outputs.dtype) if y.is_floating_point() else y
        w = weights[rows].to(outputs.dtype)
        if "class_weights" in (run.recipe.loss or {}):
            w = w * torch.tensor(WEIGHTS, dtype=outputs.dtype)[y]
        return (w * formula(run, outputs, y)).sum() / w.sum()

    module, losses = train_plainly(study_, run, loss=loss)
    return weights_of(module), losses


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("backend", WAYS)
@pytest.mark.parametrize("name", LOSSES)
def test_training_is_that_of_a_plain_loop(name: str, backend: str, weights: bool) -> None:
    study_ = made(name, weights=weights, seeds=1)
    runs = all_runs(study_)
    found = trained(study_, runs, backend)
    for run in runs[:: 1 if backend == NATIVE else 3]:
        wanted, losses = plainly(study_, run, LOSSES[name][2])
        ours = found[run.id].weights(run)
        for key, array in wanted.items():
            np.testing.assert_allclose(ours[key], array, rtol=1e-4, atol=3e-6, err_msg=f"{run.label} {key}")
        data = study_.data
        assert isinstance(data, Dataset), "tests load their data first"
        power = {"mae": 1, "quantile": 1, "huber": 2}.get(name, 0)
        curve = found[run.id].curve(run, "train_loss")
        assert curve[0][1] == pytest.approx(
            np.mean(losses[: curve[0][0]]) * data.target_scale**power, rel=1e-4
        )


@pytest.mark.parametrize("name", LOSSES)
def test_in_float64_it_is_that_of_the_loop_to_its_rounding(name: str) -> None:
    study_ = made(name, weights=True, seeds=1, precision="float64")
    run = all_runs(study_)[0]
    wanted, _ = plainly(study_, run, LOSSES[name][2])
    for key, array in train(study_, [run]).weights(run).items():
        np.testing.assert_allclose(array, wanted[key], rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("backend", [NATIVE, pytest.param(FUSED, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LOSSES)
def test_bits_are_those_of_a_run_alone(name: str, backend: str) -> None:
    """Beside runs of other numbers, and with weights of examples."""
    study_ = made(name, weights=True)
    runs = all_runs(study_)
    together = train(study_, runs, backend)
    for run in (runs[0], runs[-1]):
        pair = (
            [run, runs[1]] if backend == FUSED else [run]
        )  # one fused run shares its work out in other ways
        same(train(study_, pair, backend), together, run)


@pytest.mark.parametrize("backend", [NATIVE, pytest.param(SERIAL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["class weights", "huber", "own"])
def test_bits_are_those_of_a_run_that_was_never_interrupted(name: str, backend: str) -> None:
    study_ = made(name, weights=True, seeds=1)
    runs = all_runs(study_)[:1] if backend == SERIAL else all_runs(study_)
    whole = train(study_, runs, backend)
    training = training_of(study_, runs, backend)
    ticks = (each for each in training.records(tick_seconds=0.0) if isinstance(each, Tick) and each.step >= 5)
    tick = next(ticks)
    start = tick.step, tick.snapshot()
    again = trained_by(training_of(study_, runs, backend, start))
    for run in runs:
        for key, array in whole.weights(run).items():
            np.testing.assert_array_equal(again.weights(run)[key], array)


@pytest.mark.parametrize("backend", WAYS)
def test_weights_of_1_are_no_weights(backend: str) -> None:
    """But for the rounding of a mean that is written as a sum."""
    data = dataset()
    ones = replace(
        data, train=Examples(x=data.train.x, y=data.train.y, weights=np.ones(len(data.train), np.float32))
    )
    plain, given = (
        study(data=each, steps=8, seeds=1, rules=[{"kind": "sgd", "lr": 0.1}]) for each in (data, ones)
    )
    run = all_runs(plain)[0]
    assert distance(train(plain, [run], backend), train(given, [run], backend), run) < 1e-6


def test_weights_of_augmented_examples_follow_them() -> None:
    """Every batch is made anew; with a strength too small to see, training is that of the weights alone."""
    data = weighted(dataset())
    plain = study(data=data, steps=8, seeds=2, rules=[{"kind": "sgd", "lr": 0.1}])
    noisy = study(data=data, steps=8, seeds=2, rules=[{"kind": "sgd", "lr": 0.1}], augment={"noise": 1e-9})
    for backend in (NATIVE, FUSED):
        ours, theirs = train(noisy, backend=backend), train(plain, backend=backend)
        for run, other in zip(all_runs(noisy), all_runs(plain), strict=True):
            for key, array in theirs.weights(other).items():
                np.testing.assert_allclose(ours.weights(run)[key], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["lbfgs", pytest.param("newton", marks=pytest.mark.slow)])
def test_rules_that_search_take_weights(kind: str) -> None:
    """The loss at the start is that of the plain formula; training makes it smaller."""
    study_ = made(
        "class weights", weights=True, rules=[kind], steps=6, batch_size="full", seeds=1, evaluations=6
    )
    run = all_runs(study_)[0]
    losses = plainly_first(study_, run)
    for backend in (NATIVE, SERIAL) if kind == "lbfgs" else (SERIAL,):
        curve = [loss for _, loss in train(study_, [run], backend).curve(run, "train_loss")]
        assert curve[0] == pytest.approx(losses, rel=1e-4)
        assert curve[-1] < 0.96 * curve[0]


def plainly_first(study_: Study, run: Run) -> float:
    sgd = replace(run, recipe=replace(run.recipe, rule="sgd", steps=1, evaluate_every=1))
    return plainly(study_, sgd, LOSSES["class weights"][2])[1][0]


def test_a_new_number_is_no_new_program() -> None:
    first, second = (
        made("focal", loss={"kind": "focal", "gamma": gamma}, seeds=1, steps=2) for gamma in (2.0, 0.7)
    )
    train(first, all_runs(first)[:1], NATIVE)
    with compiling() as texts:
        train(second, all_runs(second)[:1], NATIVE)
    assert not texts


def test_validation_is_scored_by_the_task_and_by_the_loss() -> None:
    """The first is alike for all losses; early stopping goes by the second."""
    study_ = made("quantile", stop={"patience": 1}, steps=60, evaluations=30)
    result = train(study_, backend=NATIVE)
    data = study_.data
    assert isinstance(data, Dataset), "tests load their data first"
    y = data.in_own_units(data.validation.y).astype(float)
    for run in all_runs(study_):
        predicted = result.predictions(run, "validation").astype(float)
        q, d = own_number(run, "q"), y - predicted
        curve = dict(result.curve(run, "validation_own_loss"))
        assert np.maximum(q * d, (q - 1) * d).mean() == pytest.approx(min(curve.values()), rel=1e-5)
        assert result.metrics(run)["validation_loss"] == pytest.approx((d**2).mean(), rel=1e-5)
    assert result.finished.stopped
