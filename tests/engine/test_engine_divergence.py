"""A run that diverges: a step, a status, and nothing else."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    PLAIN,
    SERIAL,
    all_runs,
    dataset,
    network_of,
    same,
    study,
    train,
    trained_by,
    training_of,
)
from torch.nn import functional as F

from ravine import rng
from ravine.engine.programs import TOGETHER
from ravine.study import Run, Study

BLOWS_UP = {"kind": "sgd", "label": "blows-up", "lr": [3.0, 8.0, 1e15]}


def growing(**changes: object) -> Study:
    """Linear regression: beyond 2 / L the error grows by the same factor each step."""
    return study(
        data=dataset("diabetes"),
        model={"kind": "mlp", "hidden": []},
        **{
            "rules": [BLOWS_UP, {"kind": "sgd", "lr": [0.01, 0.02]}],
            "steps": 60,
            "evaluations": 6,
            **changes,
        },
    )


def first_bad_step(made: Study, run: Run) -> int | None:
    """By the plain loop: the number of the first step whose loss is not finite, or the evaluation's that is not."""
    with rng.keyed_init(run.seed):
        module = network_of(made, [run]).make()
    optimizer = torch.optim.SGD(module.parameters(), lr=run.recipe.hypers["lr"])
    x, y = torch.from_numpy(made.data.train.x), torch.from_numpy(made.data.train.y)
    validation = torch.from_numpy(made.data.validation.x), torch.from_numpy(made.data.validation.y)
    per_epoch, size = len(x) // run.recipe.batch_size, run.recipe.batch_size
    for step in range(run.recipe.steps):
        epoch, batch = divmod(step, per_epoch)
        rows = rng.permutation(rng.key(run.seed, "order", epoch), len(x))[batch * size : (batch + 1) * size]
        optimizer.zero_grad()
        loss = F.mse_loss(module(x[rows]).squeeze(-1), y[rows])
        if not loss.isfinite():
            return step
        loss.backward()
        optimizer.step()
        looked_at = (step + 1) % run.recipe.evaluate_every == 0
        if looked_at and not F.mse_loss(module(validation[0]).squeeze(-1), validation[1]).isfinite():
            return step + 1
    return None


@pytest.mark.parametrize("backend", [FUSED, SERIAL, PLAIN], ids=str)
def test_the_step_at_which_the_loss_ceased_to_be_finite(backend: str) -> None:
    made = growing(seeds=1)
    runs = all_runs(made)
    fused = train(made) if backend in TOGETHER else None
    steps = set()
    for run in runs:
        found = (fused or train(made, [run], backend)).finished.diverged.get(run.id)
        assert found == first_bad_step(made, run), (run.label, run.chosen, run.seed)
        steps.add(found)
    assert len(steps) > 3, "not all at one step"


def test_neighbours_keep_their_bits() -> None:
    made = growing()
    runs = all_runs(made)
    sound = [run for run in runs if run.label == "sgd"]
    with_them, without = train(made), train(made, sound)
    assert set(with_them.finished.runs) == {run.id for run in sound}
    for run in sound:
        same(with_them, without, run)


def test_a_diverged_run_is_told_once_and_has_no_scores_after_it() -> None:
    made = growing()
    trained = train(made)
    told_at = [(run, at) for e in trained.evaluations for run, at in e.diverged.items()]
    assert dict(told_at) == dict(trained.finished.diverged)
    assert len(told_at) == len(trained.finished.diverged)
    for e in trained.evaluations:
        for at in e.diverged.values():
            assert e.step - 10 <= at <= e.step
        assert all(
            np.isfinite(values).all() for name, values in e.scores.items() if name == "validation_loss"
        )
        assert not set(e.runs) & {run for run, at in told_at if at <= e.step}


def test_every_run_diverging_is_an_end_not_an_error() -> None:
    made = growing(rules=[{"kind": "sgd", "lr": [1e15, 1e18]}])
    training = training_of(made, all_runs(made))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained = trained_by(training)
    assert training.step == 10, "nothing is trained on"
    assert trained.finished.runs == ()
    assert len(trained.finished.diverged) == len(all_runs(made))
    assert trained.finished.metrics == {}
    assert trained.finished.predictions == {}
    assert all(len(array) == 0 for array in trained.finished.weights.values())


def test_losses_near_the_end_of_float32_are_told_without_a_warning() -> None:
    """In the target's own units they may be beyond it."""
    made = growing(rules=[{"kind": "sgd", "lr": list(np.geomspace(1.5, 30, 30))}], seeds=1, evaluations=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained = train(made)
    assert trained.finished.diverged


@pytest.mark.parametrize("repay", [0, 10**9])
def test_what_has_diverged_leaves_the_program_where_that_pays(repay: int) -> None:
    made = growing(dropout=0.0)
    runs = all_runs(made)
    training = training_of(made, runs, repay_steps=repay)
    trained = trained_by(training)
    rows = training.snapshot()["params"].shape[0]
    lost = len(trained.finished.diverged)
    assert rows == (len(runs) - lost if repay == 0 else len(runs))
    assert len(trained.finished.runs) == len(runs) - lost
    alone = train(made, [run for run in runs if run.label == "sgd"])
    for run in runs:
        if run.id not in trained.finished.diverged:
            same(trained, alone, run)


def test_a_program_is_not_made_for_a_single_run() -> None:
    """Kernels have other last bits for one run than for several."""
    made = growing(rules=[{"kind": "sgd", "lr": [0.01, 1e15, 1e16, 1e17]}], seeds=1)
    runs = all_runs(made)
    training = training_of(made, runs, repay_steps=0)
    trained = trained_by(training)
    assert len(trained.finished.runs) == 1
    assert training.snapshot()["params"].shape[0] == max(2, torch.get_num_threads())
    same(trained, train(made, runs[:1]), runs[0])


def test_shrinking_goes_by_steps_not_by_the_clock() -> None:
    few, many = growing(steps=30, evaluations=3), growing(steps=600, evaluations=60)
    for made, shrinks in ((few, False), (many, True)):
        training = training_of(made, all_runs(made))
        trained = trained_by(training)
        rows = training.snapshot()["params"].shape[0]
        assert (rows < len(all_runs(made))) == shrinks, len(trained.finished.diverged)
