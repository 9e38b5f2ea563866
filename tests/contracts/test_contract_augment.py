"""Augmentation in training: what a run draws is its own, whoever trains beside it and however many steps at once."""

from __future__ import annotations

from functools import cache
from itertools import product
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
    network_of,
    same,
    study,
    train,
    training_of,
)
from plain_loop import batches, train_plainly, weights_of
from test_contract_cohorts import cut, shuffled
from torch import Tensor
from torch.nn import functional as F

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.spec import Augment
from ravine.data import Dataset
from ravine.engine.augmenting import TracedBatches
from ravine.engine.native.batches import NativeBatches
from ravine.engine.programs import TOGETHER
from ravine.engine.state import Data
from ravine.study import Run, Study
from ravine.study.augment import pixel_scale


def fast_first(*cases: tuple[Any, ...]) -> list[Any]:
    """The first case runs in every suite."""
    return [cases[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in cases[1:])]


RULES = ({"kind": "adam", "lr": [0.003, 0.01]}, {"kind": "momentum", "lr": 0.05})
AUGMENT = {
    "flip": 0.3,
    "crop": 1,
    "rotate": [0, 15],
    "brightness": [0.0, 0.4],
    "contrast": 0.2,
    "cutout": [0.0, 0.3],
    "fill": "reflect",
}
MIXED = {"flip": [0.0, 0.5], "mixup": [0.0, 0.3], "cutmix": 0.5, "mix_p": 0.8}
TABLE = {"noise": [0.0, 0.3], "cell_dropout": 0.1, "mixup": 0.2}


def pictures(mixed: bool = False, **changes: Any) -> Study:
    fields = {
        "data": dataset("digits"),
        "model": {"kind": "mlp", "hidden": [13]},
        "rules": RULES,
        "augment": MIXED if mixed else AUGMENT,
        "steps": 12,
        "batch_size": 115,  # nine steps are an epoch
        "evaluations": 3,
        **changes,
    }
    return study(**fields)


@cache
def together(mixed: bool, backend: str) -> Trained:
    return train(pictures(mixed), backend=backend)


@pytest.mark.parametrize(
    ("mixed", "backend"), fast_first((False, NATIVE), (False, FUSED), (True, NATIVE), (True, FUSED))
)
def test_a_run_depends_neither_on_neighbours_nor_on_their_order(mixed: bool, backend: str) -> None:
    runs = all_runs(pictures(mixed))
    again = train(pictures(mixed), shuffled(runs, 1), backend)
    for run in runs:
        same(again, together(mixed, backend), run)
    for some in (runs[3:5], runs[-1:] if backend == NATIVE else runs[-2:]):
        apart = train(pictures(mixed), some, backend)
        for run in some:
            same(apart, together(mixed, backend), run)


@pytest.mark.parametrize(
    ("mixed", "backend"), fast_first((False, NATIVE), *product([True], [NATIVE, FUSED, SERIAL, PLAIN]))
)
def test_going_on_from_a_snapshot_changes_no_bit(mixed: bool, backend: str) -> None:
    made = pictures(mixed)
    runs = all_runs(made)[: None if backend in TOGETHER else 1]
    whole = together(mixed, backend) if backend in TOGETHER else train(made, runs, backend)
    for resumed in cut(made, runs, backend, (4, 11)):
        for run in runs:
            same(resumed, whole, run)


@pytest.mark.parametrize(
    ("mixed", "backend"),
    fast_first((False, NATIVE), *product([True], [NATIVE, FUSED, SERIAL, PLAIN]), (False, SERIAL)),
)
def test_it_trains_as_the_plain_loop(mixed: bool, backend: str) -> None:
    made = pictures(mixed)
    run = [run for run in all_runs(made) if run.seed == 1][-1]
    trained = together(mixed, backend) if backend in TOGETHER else train(made, [run], backend)
    expected = weights_of(
        train_plainly(made, run, augmented=lambda rows, step: seen(made, run, rows, step))[0]
    )
    for name, array in trained.weights(run).items():  # float32, 12 steps
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def seen(made: Study, run: Run, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """What the documentation says of a batch, by the functions of `ravine.augment`."""
    data = made.data
    assert isinstance(data, Dataset)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    strengths = {
        name.removeprefix("augment."): torch.tensor(value)
        for name, value in run.recipe.hypers.items()
        if name.startswith("augment.")
    }
    scale = pixel_scale(data)
    assert scale is not None
    fixed = fixed_of(x, strengths, mean=scale[0], deviation=scale[1])
    epoch = step // (len(x) // run.recipe.batch_size)
    options = Augment.of(run.recipe.augment or {})
    return augmented_batch(x, y, rows, rows, epoch, run.seed, strengths, fixed, options, 10)


MLP, CONVNET = (
    {"kind": "mlp", "hidden": [13, 7], "dropout": 0.2},
    {"kind": "convnet", "channels": [3], "hidden": 5, "norm": "batch"},
)
BOTH = {"flip": 0.5, "mixup": 0.2}
EVERYTHING = {**BOTH, "crop": 1.0, "rotate": 9.0, "brightness": 0.2, "cutout": 0.3, "cutmix": 1.0}


@pytest.mark.parametrize(
    ("model", "on", "backend"),
    fast_first(
        (MLP, BOTH, NATIVE), (MLP, EVERYTHING, NATIVE), (MLP, BOTH, FUSED), (CONVNET, EVERYTHING, NATIVE)
    ),
    ids=str,
)
def test_a_run_at_strengths_of_0_is_the_run_without_augmentation(
    model: dict[str, Any], on: dict[str, float], backend: str
) -> None:
    """Beside others that have classes mixed, it has soft targets of whole numbers."""
    changes = {"data": dataset("digits"), "model": model, "rules": RULES[:1], "steps": 6, "seeds": 2}
    plain, augmented = study(**changes), study(augment=on, **changes)
    runs = all_runs(plain)
    beside = all_runs(augmented)
    assert {run.recipe.structure for run in (*runs, *beside)} == {runs[0].recipe.structure}
    mixed, alone = train(augmented, [*runs, *beside], backend), train(plain, runs, backend)
    for run in runs:
        same(mixed, alone, run)


def test_a_draw_does_not_depend_on_the_size_of_a_batch() -> None:
    found = {}
    for size in (50, 115):
        made = pictures(batch_size=size, seeds=(4,), rules=RULES[1:], augment={"flip": 0.5, "crop": [0, 2]})
        training = training_of(made, all_runs(made), NATIVE)
        augmenting = training.setting.augmenting
        assert augmenting is not None
        num = len(dataset("digits").train)
        per_epoch = num // size
        rows = list(batches(4, num, size, 2 * per_epoch))[per_epoch:]  # of the second epoch
        augmenting.for_steps(torch.stack(rows)[:, None][:8], per_epoch)
        strongest = int(torch.stack(list(augmenting.groups.strengths.values())).sum(0).argmax())
        seen_B = augmenting.room.x[:8, strongest].flatten(0, 1)
        pairs = zip(torch.cat(rows[:8]).tolist(), seen_B, strict=True)
        found[size] = dict(pairs)
    common = found[50].keys() & found[115].keys()
    assert len(common) > 100
    assert all(torch.equal(found[50][row], found[115][row]) for row in common)


def test_a_new_strength_compiles_nothing() -> None:
    together(False, NATIVE)
    other = pictures(augment={**AUGMENT, "flip": 0.2, "rotate": [7, 80], "contrast": 1.0})
    with compiling() as texts:
        train(other, backend=NATIVE)
    assert not texts


@pytest.mark.slow
@pytest.mark.parametrize("backend", [NATIVE, FUSED, SERIAL])
@pytest.mark.parametrize("batch_size", [115, "full"])
def test_rules_that_search_keep_their_augmented_batch(batch_size: int | str, backend: str) -> None:
    made = pictures(
        mixed=True, rules=({"kind": "lbfgs", "lr": 1.0},), batch_size=batch_size, steps=10, seeds=2
    )
    runs = all_runs(made)
    if backend not in TOGETHER:
        reference = train(made, runs)
        assert distance(train(made, runs[-1:], backend), reference, runs[-1]) < 1e-3
        return
    whole = train(made, backend=backend)
    some = runs[-3:-1]
    apart = train(made, some, backend)
    for run in some:
        same(apart, whole, run)
    (resumed,) = cut(made, runs, backend, [6])
    for run in runs:
        same(resumed, whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [NATIVE, FUSED, SERIAL, PLAIN])
def test_it_goes_with_a_second_gradient_and_with_tables(backend: str) -> None:
    made = study(
        data=dataset("diabetes"),
        augment=TABLE,
        rules=(
            {"kind": "sgd", "lr": 0.05, "sam_radius": 0.05},
            {"kind": "schedule_free_adamw", "lr": 0.01, "sam_radius": 0.1},
        ),
        steps=9,
        batch_size=37,
    )
    runs = all_runs(made)
    some = runs[-2:] if backend in TOGETHER else runs[-1:]
    native, found = train(made, runs, NATIVE), train(made, some, backend)
    for run in some:
        assert distance(found, native, run) < 1e-5
    if backend in TOGETHER:
        whole = train(made, runs, backend)
        for run in some:
            same(found, whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TracedBatches, NativeBatches])
def test_batches_are_those_of_one_run_after_the_other(kind: type[TracedBatches]) -> None:
    """What a GPU does, and what has no machine code of its own."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 3, generator=generator), torch.arange(20) % 4
    rows_JB = torch.stack([torch.randperm(20, generator=generator)[:6] for _ in range(4)])
    epochs_J, seeds_G = torch.tensor([0, 0, 2, 2]), torch.tensor([7, 8])
    strengths = {"noise": torch.tensor([0.5, 0.0]), "mixup": torch.tensor([0.0, 0.4])}

    def one(
        x: Tensor, y: Tensor, rows_B: Tensor, epoch: Tensor, seed: Tensor, given: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return augmented_batch(x, y, rows_B, rows_B, epoch, seed, given, {}, Augment(), 4)

    found = Data(x=torch.zeros(4, 6, 3), y=torch.zeros(4, 6, 4))
    more = () if kind is TracedBatches else (1,)
    named = {} if kind is TracedBatches else {"team": False}
    make = kind(one, Data(x=x, y=y), rows_JB, epochs_J, {"seed": seeds_G, **strengths}, found, *more, **named)
    make(4)
    for j in range(4):
        given = {name: tensor[j % 2] for name, tensor in strengths.items()}
        expected_x, expected_y = one(x, y, rows_JB[j], epochs_J[j], seeds_G[j % 2], given)
        torch.testing.assert_close(found.x[j], expected_x, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found.y[j], expected_y, rtol=1e-6, atol=1e-6)


def test_the_scores_at_the_end_are_of_clean_examples() -> None:
    """The curve is of turned and cut examples, and no measure of how well a network knows them."""
    made = pictures()
    trained, run = together(False, NATIVE), all_runs(made)[-1]
    module = network_of(made, [run]).make().eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in trained.weights(run).items()})
    data = made.data
    assert isinstance(data, Dataset)
    with torch.no_grad():
        outputs, y = module(torch.from_numpy(data.train.x)), torch.from_numpy(data.train.y)
    found = trained.metrics(run)
    assert found["train_loss"] == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-5)
    assert found["train_accuracy"] == pytest.approx((outputs.argmax(1) == y).float().mean().item(), abs=1e-6)
    assert trained.curve(run, "train_loss")[-1][1] > found["train_loss"]


@pytest.mark.slow
def test_the_number_of_threads_does_not_matter() -> None:
    made, threads = pictures(mixed=True), torch.get_num_threads()
    runs = all_runs(made)
    try:
        torch.set_num_threads(1)
        one = train(made, runs, NATIVE)
        torch.set_num_threads(2)
        two = train(made, runs, NATIVE)
    finally:
        torch.set_num_threads(threads)
    for run in runs:
        same(one, two, run)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [NATIVE, FUSED])
def test_a_run_that_diverges_leaves_its_neighbours_as_they_are(backend: str) -> None:
    made = pictures(rules=({"kind": "adam", "lr": 0.01}, {"kind": "momentum", "lr": [0.05, 1e20]}))
    runs = all_runs(made)
    whole = train(made, runs, backend, repay_steps=0)  # a smaller program is made, and its stage
    assert whole.finished.diverged
    going = [run for run in runs if run.id not in whole.finished.diverged]
    apart = train(made, going, backend)
    for run in going:
        same(apart, whole, run)
    (resumed,) = cut(made, runs, backend, [8], repay_steps=0)
    for run in runs:
        same(resumed, whole, run)


@pytest.mark.parametrize("augment", [{"flip": [0.0, 0.5]}, pytest.param(MIXED, marks=pytest.mark.slow)])
def test_batches_of_runs_that_are_over_are_not_made(augment: dict[str, Any]) -> None:
    made = pictures(augment=augment, rules=RULES[1:])
    training = training_of(made, all_runs(made), NATIVE)
    augmenting, num_seeds = training.setting.augmenting, len(training.cohort.seeds)
    assert augmenting is not None
    rows_TSB = torch.arange(3 * num_seeds * 115).reshape(3, num_seeds, 115) % 1000
    augmenting.for_steps(rows_TSB, 7)
    x, y = augmenting.room.x.clone(), augmenting.room.y.clone()
    augmenting.room.x.zero_()
    augmenting.for_steps(rows_TSB, 7, alive=[1, 2])
    groups = augmenting.groups.of_run_R[[1, 2]]
    over = [group for group in range(x.shape[1]) if group not in groups.tolist()]
    assert over
    assert torch.equal(augmenting.room.x[:3, groups], x[:3, groups])
    assert torch.equal(augmenting.room.y[:3, groups], y[:3, groups])
    assert not augmenting.room.x[:, over].any()
