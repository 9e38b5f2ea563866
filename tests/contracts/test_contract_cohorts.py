"""A run is the same run alone, with any neighbours, in any order, and after any interruption: bit by bit.

All on the CPU. The sizes are odd on purpose: kernels round differently at other places in a cache line.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle
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
    dataset,
    distance,
    random_dataset,
    same,
    study,
    train,
    trained_by,
    training_of,
)
from torch import nn

from ravine.engine.batches import Order
from ravine.engine.programs import TOGETHER
from ravine.engine.records import Evaluation
from ravine.rng import key, permutation
from ravine.study import Run, Study
from thinning import thinned

EVERYTHING = (
    {"kind": "adam", "lr": [1e-3, 1e-2], "weight_decay": [0.0, 0.1]},
    {"kind": "adamw", "lr": 1e-2},
    {"kind": "momentum", "lr": [0.1, 1e18]},  # the second diverges
    {"kind": "nesterov", "lr": 0.1, "l1": [0.0, 0.01]},
    {"kind": "nesterov_lookahead", "lr": 0.1, "decoupled_weight_decay": [0.0, 0.1]},
    {"kind": "rmsprop", "lr": 0.01, "max_norm": [0.0, 0.7]},
    {"kind": "adagrad", "lr": 0.1, "clip_norm": 0.3},
    {"kind": "lion", "lr": 0.01, "weight_decay": [0.0, 0.1]},
    {"kind": "muon", "lr": 0.003, "weight_decay": [0.0, 0.1]},
    {"kind": "nadam", "lr": 0.01, "max_norm": [0.0, 0.7]},
    {"kind": "schedule_free_adamw", "lr": 0.01, "weight_decay": [0.0, 0.1]},
    {"kind": "sgd", "lr": 0.1, "clip_value": 0.01},
)
MODELS = {
    "odd": {"kind": "mlp", "hidden": [13, 7]},
    "batch-norm": {"kind": "mlp", "hidden": [17], "norm": "batch", "activation": "gelu"},
    "layer-norm": {"kind": "mlp", "hidden": [9], "norm": "layer", "activation": "silu"},
    "linear": {"kind": "mlp", "hidden": []},
}


@cache
def everything(model: str, data: str = "wine", batch_size: int | str = 13) -> Study:
    return study(
        data=dataset(data),
        model=MODELS[model],
        rules=EVERYTHING,
        steps=12,
        batch_size=batch_size,
        schedule=["constant", {"kind": "cosine", "warmup": 2}],
        dropout=0.0 if model == "linear" else [0.0, 0.3],
        label_smoothing=0.1 if model == "layer-norm" else 0.0,
        stop={"patience": 1 if model == "linear" else 0},
        evaluations=3,
    )


def together(model: str, data: str = "wine", batch_size: int | str = 13, *, backend: str = FUSED) -> Trained:
    return _together(model, data, batch_size, backend)


@cache
def _together(model: str, data: str, batch_size: int | str, backend: str) -> Trained:
    return train(everything(model, data, batch_size), backend=backend)


def shuffled(runs: list[Run], seed: int) -> list[Run]:
    random.Random(seed).shuffle(runs)
    return runs


def of_each_rule(made: Study, seed: int) -> list[Run]:
    """A run of each rule."""
    found: dict[str, Run] = {}
    for run in shuffled(all_runs(made), seed):
        found.setdefault(run.recipe.rule, run)
    return list(found.values())


def groups(runs: Sequence[Run], sizes: Sequence[int]) -> Iterator[list[Run]]:
    """Runs in groups of the sizes given, over and over."""
    left, size = list(runs), cycle(sizes)
    while left:
        num = next(size)
        yield left[:num]
        left = left[num:]


SIZES = [(1, 4, 7), *(pytest.param(sizes, marks=pytest.mark.slow) for sizes in ((1,), (2,), (5,)))]
"""Of the groups that runs are trained in to compare them with all runs together."""


def some_models(*names: str) -> list[Any]:
    """All models, of which these run in every suite."""
    return [pytest.param(model, marks=() if model in names else pytest.mark.slow) for model in MODELS]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("model", some_models("batch-norm"))
def test_a_run_does_not_depend_on_its_neighbours(model: str, sizes: tuple[int, ...]) -> None:
    made = everything(model)
    for some in groups(of_each_rule(made, len(model)), sizes):
        apart = train(made, some)
        for run in some:
            same(apart, together(model), run)


@pytest.mark.parametrize(
    ("data", "batch_size"), thinned([("diabetes", 11), ("wine", "full"), ("diabetes", "full")], strength=1)
)
def test_nor_in_regression_and_full_batches(data: str, batch_size: int | str) -> None:
    made = everything("odd", data, batch_size)
    runs = of_each_rule(made, 3)[:6]
    whole = train(made, runs)
    for some in (runs[:1], runs[1:4]):
        apart = train(made, some)
        for run in some:
            same(apart, whole, run)


def test_the_order_in_which_runs_are_given_does_not_matter() -> None:
    made = everything("batch-norm")
    again = train(made, shuffled(all_runs(made), seed=1))
    assert again.cohort.id == together("batch-norm").cohort.id
    for run in all_runs(made):
        same(again, together("batch-norm"), run)


def test_some_of_them_diverged() -> None:
    assert together("batch-norm").finished.diverged, "the contract says nothing without a diverged neighbour"


def test_a_convolution_has_its_bits_in_every_cohort_of_at_least_two() -> None:
    made = study(
        data=random_dataset((2, 7, 7)),
        model={"kind": "convnet", "channels": [5, 3], "hidden": 7, "norm": "batch"},
        rules=EVERYTHING[:3],
        steps=6,
        batch_size=11,
        dropout=[0.0, 0.3],
    )
    runs, whole = all_runs(made), train(made)
    for some in (runs[3:5], runs[1:8]):
        apart = train(made, some)
        for run in some:
            same(apart, whole, run)
    # Alone it goes to another kernel: float32, 6 steps.
    assert distance(train(made, runs[:1]), whole, runs[0]) < 1e-5


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_number_of_threads_does_not_matter_to_a_cohort_that_has_as_many_runs(seed: int) -> None:
    made, threads = everything("batch-norm"), torch.get_num_threads()
    runs = shuffled(all_runs(made), seed)[:8]
    try:
        torch.set_num_threads(1)
        one = train(made, runs)
        torch.set_num_threads(2)
        two = train(made, runs)
    finally:
        torch.set_num_threads(threads)
    for run in runs:
        same(one, two, run)


def cut(
    made: Study, runs: list[Run], backend: str, steps: Sequence[int], *, repay_steps: int | None = None
) -> Iterator[Trained]:
    """Interrupt a training at some steps; for each of them, go on in another `Training`."""
    first = training_of(made, runs, backend, repay_steps=repay_steps)
    records, seen = first.records(tick_seconds=0.0), []  # a record after every step
    taken = []
    for step in steps:
        while first.step < step:
            record = next(records)
            seen += [record] if isinstance(record, Evaluation) else []
        snapshot = first.snapshot()
        taken.append(
            (first.step, snapshot, {name: array.copy() for name, array in snapshot.items()}, len(seen))
        )
    if first.step < first.cohort.recipe.steps:
        first.advance()
    for reached, snapshot, before, num_seen in taken:
        second = trained_by(training_of(made, runs, backend, (reached, snapshot), repay_steps=repay_steps))
        for name, array in snapshot.items():  # neither of the two has changed the snapshot
            np.testing.assert_array_equal(array, before[name])
        yield replace(second, evaluations=(*seen[:num_seen], *second.evaluations))


# Machine code does several steps at once, but none beyond an evaluation, which is at step 4, 8 and 12.
@pytest.mark.parametrize("steps", [(4, 11), pytest.param((1, 5, 7, 12), marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", [NATIVE, FUSED, SERIAL, PLAIN], ids=str)
@pytest.mark.parametrize("model", ["batch-norm", pytest.param("odd", marks=pytest.mark.slow)])
def test_going_on_from_a_snapshot_changes_no_bit(model: str, backend: str, steps: tuple[int, ...]) -> None:
    made = everything(model)
    runs = of_each_rule(made, 5)[: None if backend in TOGETHER else 1]
    whole = together(model, backend=backend) if backend in TOGETHER else train(made, runs, backend)
    for resumed in cut(made, runs, backend, steps):
        assert [e.step for e in resumed.evaluations] == [4, 8, 12]
        for run in runs:
            same(resumed, whole, run)


@pytest.mark.slow
def test_going_on_after_shrinking_changes_no_bit() -> None:
    made = everything("batch-norm")
    runs = [run for run in all_runs(made) if run.recipe.rule in ("momentum", "adam")]
    whole = train(made, runs, repay_steps=0)
    assert whole.finished.diverged
    assert len(whole.finished.runs) < len(runs)
    for resumed in cut(made, runs, FUSED, (3, 5, 9), repay_steps=0):
        for run in runs:
            same(resumed, whole, run)
    unshrunk = train(made, runs, repay_steps=10**9)
    for run in runs:
        same(unshrunk, whole, run)


class Noisy(nn.Module):
    """Draws in its own forward pass: trained serially and untraced, and still a function of its seed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x + 0.1 * torch.randn_like(x) if self.training else x)


def test_random_numbers_of_a_users_module_are_a_function_of_seed_and_step() -> None:
    made = study(model=Noisy, steps=8, seeds=2)
    runs = all_runs(made)
    whole = train(made, runs[:1], PLAIN)
    torch.randn(5)  # no state of a generator takes part
    same(train(made, runs[:1], PLAIN), whole, runs[0])
    (resumed,) = cut(made, runs[:1], PLAIN, [3])
    same(resumed, whole, runs[0])
    other = train(made, [run for run in runs if run.seed == 1][:1], PLAIN)
    assert other.finished.runs != whole.finished.runs


@pytest.mark.parametrize("full", [False, True])
def test_runs_of_one_seed_see_the_same_batches_and_start_at_the_same_weights(full: bool) -> None:
    made = study(batch_size="full" if full else 16, steps=5, evaluations=5, rules=RULES_OF_ONE_SEED)
    trained = train(made)
    by_seed: dict[int, list[float]] = {}
    for run in all_runs(made):
        by_seed.setdefault(run.seed, []).append(trained.curve(run, "train_loss")[0][1])
    assert all(len(set(first)) == 1 for first in by_seed.values())
    assert len({first[0] for first in by_seed.values()}) == len(by_seed)


RULES_OF_ONE_SEED = ({"kind": "sgd", "lr": [0.1, 0.2]}, {"kind": "adam", "lr": 0.01})


def test_no_batch_has_what_is_left_over_of_an_epoch() -> None:
    order = Order((0, 1), 65, 64, torch.device("cpu"))
    epochs = [order.rows(step) for step in range(20)]
    assert {tuple(rows.shape) for rows in epochs} == {(1, 2, 64)}, "one batch of 64 an epoch, and none of one"
    left = {65 * 32 - int(rows[0, 0].sum()) for rows in epochs}
    assert len(left) > 10, "another example is left out each time"


def test_the_keyed_permutation_is_the_documented_one() -> None:
    """What the plain loop of these tests takes for granted."""
    order = permutation(key(torch.tensor([3]), "order", 0), 10).squeeze(0)
    assert sorted(order.tolist()) == list(range(10))
    assert torch.equal(order, permutation(key(3, "order", 0), 10))
