"""Averages of the weights along a cohort: they are what they should be, and change nothing of the runs."""

from __future__ import annotations

from dataclasses import replace
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
    same,
    study,
    train,
    trained_by,
    training_of,
)
from scipy.optimize import brentq
from torch import nn

from ravine.engine.records import Averaged, Banked, Finished, Kept
from ravine.schedules import cycle_ends, parse_schedule
from ravine.study import Run, Study
from ravine.study.keep import Keep
from thinning import thinned

AVERAGES = {
    "ema": [0.5, 0.9], "polyak": {"from": 0.5}, "swa": {"from": 0.2, "every": 1}, "bank": {"steps": 4},
}  # fmt: skip
NAMES = ("ema 0.5", "ema 0.9", "polyak", "swa")
STEPS, EPOCH = 20, 5  # of `study`
RULES: dict[str, list[dict[str, object]]] = {
    "plain": [{"kind": "sgd", "lr": 0.1, "l1": 0.01}, {"kind": "adam", "lr": 0.01}],
    "another point": [{"kind": "nesterov", "lr": 0.1}, {"kind": "schedule_free_adamw", "lr": 0.02}],
    "matrices": [{"kind": "muon", "lr": 0.01}, {"kind": "momentum", "lr": 0.1, "max_norm": 1.0}],
    "search": [{"kind": "lbfgs", "lr": 1.0}],
    "whole": [{"kind": "bfgs", "lr": 1.0}],
    "sam": [{"kind": "nesterov", "lr": 0.1, "sam_radius": 0.05}],
}
ALONE = (SERIAL, PLAIN)


def weights_of(kind: str) -> np.ndarray:
    """By which each of the steps counts."""
    i = np.arange(1, STEPS + 1)
    if kind.startswith("ema"):
        decay = float(kind.split()[1])
        found = decay ** (STEPS - i)
    elif kind == "polyak":
        found = 1.0 * (i > STEPS // 2)
    else:
        found = 1.0 * ((i % EPOCH == 0) & (i > STEPS // 5))
    return found / found.sum()


Paths = tuple[dict[str, dict[str, np.ndarray]], Finished, list[Banked]]


def bank_weights(name: str, t: int) -> np.ndarray:
    """By which each of the first t steps counts in an average of the bank after t steps."""
    i, width = np.arange(t + 1), name.removeprefix("bank ")

    def too_wide(more: float) -> float:
        return more / ((more + 1) ** 2 * (more + 2)) - float(width) ** 2

    more = 1.0 if width == "mean" else brentq(too_wide, 1.0, 100.0)
    return np.diff((i / t) ** more)


def paths(made: Study, runs: list[Run], backend: str) -> Paths:
    """The deployed weights of each run after each step, (T, ...) by name, what was learned, and what was banked."""
    *records, finished = training_of(made, runs, backend).records(Keep(every=1))
    assert isinstance(finished, Finished)
    kept = [record for record in records if isinstance(record, Kept)][1:]
    found = {}
    for place, run in enumerate(finished.runs):
        of_run = {
            name: np.stack(
                [each.weights[name][each.runs.index(run)] for each in kept] + [finished.weights[name][place]]
            ).astype(np.float64)
            for name in kept[0].weights
        }
        found[run] = of_run
    return found, finished, [record for record in records if isinstance(record, Banked)]


@pytest.mark.parametrize(
    ("rules", "backend"), thinned(product(RULES, (NATIVE, FUSED, SERIAL, PLAIN)), strength=1)
)
def test_each_average_is_the_weighted_sum_of_the_deployed_weights(rules: str, backend: str) -> None:
    made = study(rules=RULES[rules], averages=AVERAGES, model={"kind": "mlp", "hidden": [5]}, seeds=1)
    runs = all_runs(made)
    for some in [[run] for run in runs] if backend in ALONE else [runs]:
        walked, finished, banked = paths(made, some, backend)
        assert tuple(finished.averages) == NAMES
        for name, average in finished.averages.items():
            assert average.runs == finished.runs
            for place, run in enumerate(average.runs):
                for tensor, path_T in walked[run].items():
                    right = np.tensordot(weights_of(name), path_T, 1)
                    scale = np.abs(path_T).max()
                    np.testing.assert_allclose(
                        average.weights[tensor][place], right, rtol=0, atol=2e-6 * scale, err_msg=name
                    )
        assert [record.step for record in banked] == [5, 10, 15, 20]
        for record in banked:
            assert record.runs == finished.runs
            for name, vectors in record.weights.items():
                average, _, tensor = name.partition("/")
                for place, run in enumerate(record.runs):
                    path_T = walked[run][tensor]
                    right = np.tensordot(bank_weights(average, record.step), path_T[: record.step], 1)
                    scale = np.abs(path_T).max()
                    np.testing.assert_allclose(vectors[place], right, rtol=0, atol=2e-6 * scale, err_msg=name)


@pytest.mark.parametrize(
    ("rules", "backend", "batchnorm"),
    thinned(product(RULES, (NATIVE, FUSED, SERIAL), ["again", "average", "last"]), strength=1),
)
def test_averages_leave_the_bits_of_the_runs_alone(rules: str, backend: str, batchnorm: str) -> None:
    model = {"kind": "mlp", "hidden": [6], "norm": "batch", "dropout": 0.2}
    made = study(rules=RULES[rules], model=model, seeds=1)
    runs = all_runs(made)
    more = replace(made, averages={**AVERAGES, "batchnorm": batchnorm})
    assert [run.id for run in all_runs(more)] == [run.id for run in runs]
    for some in [[run] for run in runs] if backend == SERIAL else [runs]:
        without, beside = train(made, some, backend), train(more, some, backend)
        for run in some:
            same(without, beside, run)


def averaged(trained: Trained, run: Run, name: str) -> dict[str, np.ndarray]:
    average = trained.finished.averages[name]
    place = average.runs.index(run.id)
    tensors = {**average.weights, **average.metrics, **average.predictions}
    return {key: np.asarray(array[place]) for key, array in tensors.items()}


def same_averages(left: Trained, right: Trained, run: Run) -> None:
    for name in left.finished.averages:
        ours, theirs = averaged(left, run, name), averaged(right, run, name)
        assert ours.keys() == theirs.keys()
        for key, array in ours.items():
            np.testing.assert_array_equal(array, theirs[key], err_msg=f"{name} {key}")


@pytest.mark.parametrize(
    ("backend", "batchnorm"), thinned(product([NATIVE, FUSED], ["again", "average"]), strength=1)
)
def test_alone_in_a_cohort_and_resumed_are_the_same(backend: str, batchnorm: str) -> None:
    model = {"kind": "mlp", "hidden": [6], "norm": "batch"}
    rules = [{"kind": "nesterov", "lr": [0.01, 0.1]}, {"kind": "adam", "lr": [0.01, 1e30]}]
    made = study(rules=rules, model=model, averages={**AVERAGES, "batchnorm": batchnorm})
    runs = all_runs(made)
    together = train(made, runs, backend, repay_steps=10**9)
    finished = [run for run in runs if run.id not in together.finished.diverged]
    assert 0 < len(finished) < len(runs)
    smaller = train(made, runs, backend, repay_steps=0)  # without the diverged ones, once they are known
    alone = train(made, finished[1:3], backend)
    first = training_of(made, runs, backend)
    for _ in range(13):
        first.advance()
    start = first.step, first.snapshot()
    resumed = trained_by(training_of(made, runs, backend, start))
    for run in finished:
        same_averages(together, smaller, run)
        for metric in ("validation_loss", "polyak/validation_loss"):
            assert together.curve(run, metric)[-1] == resumed.curve(run, metric)[-1]
        same_averages(together, resumed, run)
    for run in finished[1:3]:
        same(together, alone, run)
        same_averages(together, alone, run)
    for run in runs:
        if run not in finished:
            assert all(run.id not in average.runs for average in together.finished.averages.values())


def test_machine_code_and_pytorch_agree() -> None:
    model, rules = {"kind": "mlp", "hidden": [6], "norm": "batch"}, [{"kind": "nesterov", "lr": 0.1}]
    made = study(averages=AVERAGES, model=model, rules=rules, seeds=1)
    runs = all_runs(made)
    native, fused = train(made, runs, NATIVE), train(made, runs, FUSED)
    for run in runs:
        for name in NAMES:
            ours, theirs = averaged(native, run, name), averaged(fused, run, name)
            for key, array in ours.items():
                np.testing.assert_allclose(array, theirs[key], rtol=0, atol=2e-5, err_msg=f"{name} {key}")


def test_curves_begin_where_an_average_does_and_end_at_its_final_score() -> None:
    made = study(averages=AVERAGES, seeds=1)
    run = all_runs(made)[0]
    trained = train(made, backend=NATIVE)
    first = {"ema 0.5": 1, "ema 0.9": 1, "polyak": 11, "swa": 5}
    for name, step in first.items():
        for quantity in ("loss", "accuracy"):
            points = trained.curve(run, f"{name}/validation_{quantity}")
            assert [at for at, value in points if np.isfinite(value)] == [
                at for at in (5, 10, 15, 20) if at >= step
            ]
            metric = averaged(trained, run, name)[f"validation_{quantity}"]
            assert points[-1][1] == pytest.approx(float(metric), rel=1e-6)


def test_the_mean_over_one_step_is_the_weights() -> None:
    made = study(averages={"polyak": {"from": 0.97}, "swa": {"from": 0.9, "every": 4}}, seeds=1)
    trained = train(made, backend=NATIVE)
    for run in all_runs(made):
        for name in ("polyak", "swa"):
            for tensor, array in trained.weights(run).items():
                np.testing.assert_array_equal(averaged(trained, run, name)[tensor], array)


def test_cycles_of_each_schedule_and_none_where_there_are_none() -> None:
    schedules = ["constant", {"kind": "cosine_restarts", "cycles": 3, "warmup": 2}]
    made = study(schedule=schedules, averages={"swa": {"from": 0.0, "every": "cycle"}}, seeds=1)
    runs = all_runs(made)
    walked, finished, _ = paths(made, runs, NATIVE)
    average: Averaged = finished.averages["swa"]
    cyclic = [run for run in runs if run.recipe.schedule["kind"] == "cosine_restarts"]
    assert set(average.runs) == {run.id for run in cyclic}
    ends = cycle_ends(parse_schedule(schedules[1]), STEPS)
    assert ends == [8, 14, 20]
    for place, run in enumerate(average.runs):
        for tensor, path_T in walked[run].items():
            right = path_T[[end - 1 for end in ends]].mean(0)
            np.testing.assert_allclose(average.weights[tensor][place], right, rtol=0, atol=1e-6)


class Tied(nn.Module):
    """Two layers with one weight, and a third that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.last = nn.Linear(4, 3)
        self.first.bias.requires_grad_(False)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu()))


@pytest.mark.parametrize("backend", [NATIVE, FUSED])
def test_tied_weights_are_averaged_once_and_frozen_ones_stay(backend: str) -> None:
    made = study(model=Tied, averages={"ema": 0.5}, seeds=1, rules=[{"kind": "adam", "lr": 0.05}])
    walked, finished, _ = paths(made, all_runs(made), backend)
    [(run, path)] = walked.items()
    average = finished.averages["ema 0.5"]
    assert set(average.weights) == set(finished.weights)
    assert "second.weight" not in average.weights
    right = np.tensordot(weights_of("ema 0.5"), path["first.weight"], 1)
    np.testing.assert_allclose(average.weights["first.weight"][0], right, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(average.weights["first.bias"], finished.weights["first.bias"])
    assert run == average.runs[0]


def test_regression_is_scored_in_the_targets_units() -> None:
    made = study(
        data=dataset("diabetes"), averages={"polyak": {"from": 0.9}}, rules=[{"kind": "adam", "lr": 0.01}]
    )
    trained = train(made, backend=NATIVE)
    for run in all_runs(made):
        own, average = trained.metrics(run), averaged(trained, run, "polyak")
        assert float(average["validation_loss"]) == pytest.approx(own["validation_loss"], rel=0.1)
        assert "validation_accuracy" not in average
        assert average["validation"].shape == trained.predictions(run, "validation").shape
