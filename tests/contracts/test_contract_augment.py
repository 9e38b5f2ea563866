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
    same,
    study,
    train,
    training_of,
)
from plain_loop import batches, train_plainly, weights_of
from test_contract_cohorts import cut, shuffled
from torch import Tensor

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.spec import Augment
from ravine.data import Dataset
from ravine.engine.programs import TOGETHER
from ravine.study import Run, Study
from ravine.study.augment import pixel_scale
from thinning import thinned

RULES = ({"kind": "adam", "lr": [0.003, 0.01]}, {"kind": "momentum", "lr": 0.05})
OPTIONS = {"fill": "reflect", "order": "random"}
AUGMENT = {"flip": 0.3, "crop": 1, "rotate": [0, 15], "brightness": 0.4, "cutout": 0.3, **OPTIONS}
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


@pytest.mark.parametrize(("mixed", "backend"), thinned(product([False, True], [NATIVE, FUSED]), strength=1))
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
    "backend", [NATIVE, *(pytest.param(b, marks=pytest.mark.slow) for b in (FUSED, SERIAL, PLAIN))]
)
def test_going_on_from_a_snapshot_changes_no_bit(backend: str) -> None:
    made = pictures(mixed=True)
    runs = all_runs(made)[: None if backend in TOGETHER else 1]
    whole = together(True, backend) if backend in TOGETHER else train(made, runs, backend)
    for resumed in cut(made, runs, backend, (4, 11)):
        for run in runs:
            same(resumed, whole, run)


@pytest.mark.parametrize(
    ("mixed", "backend"), thinned(product([False, True], [NATIVE, FUSED, SERIAL, PLAIN]), strength=1)
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


@pytest.mark.parametrize(
    ("model", "backend"),
    [
        ({"kind": "convnet", "channels": [3], "hidden": 5, "norm": "batch"}, NATIVE),
        pytest.param(
            {"kind": "convnet", "channels": [3], "hidden": 5, "norm": "batch"}, SERIAL, marks=pytest.mark.slow
        ),
        pytest.param({"kind": "mlp", "hidden": [13, 7], "dropout": 0.2}, FUSED, marks=pytest.mark.slow),
        pytest.param({"kind": "mlp", "hidden": [13, 7], "dropout": 0.2}, NATIVE, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_run_at_strengths_of_0_is_the_run_without_augmentation(model: dict[str, Any], backend: str) -> None:
    off = dict.fromkeys(("flip", "crop", "rotate", "brightness", "cutout", "mixup", "cutmix"), 0.0)
    on = {
        **off,
        "flip": 0.5,
        "crop": 1.0,
        "rotate": 9.0,
        "brightness": 0.2,
        "cutout": 0.3,
        "mixup": 0.2,
        "cutmix": 1.0,
    }
    changes = {"model": model, "rules": RULES[:1], "steps": 6, "seeds": 2}
    plain = study(data=dataset("digits"), **changes)
    runs = all_runs(plain)
    augmented = study(data=dataset("digits"), augment=on, **changes)
    if backend not in TOGETHER:
        return
    beside = all_runs(augmented)
    assert {run.recipe.structure for run in (*runs, *beside)} == {runs[0].recipe.structure}
    mixed, alone = train(augmented, [*runs, *beside], backend), train(plain, runs, backend)
    for run in runs:
        same(mixed, alone, run)


def test_a_draw_does_not_depend_on_the_size_of_a_batch() -> None:
    found = {}
    for size in (50, 115):
        made = pictures(batch_size=size, seeds=(4,), rules=RULES[1:])
        training = training_of(made, all_runs(made), NATIVE)
        augmenting = training.setting.augmenting
        assert augmenting is not None
        num = len(dataset("digits").train)
        per_epoch = num // size
        rows = list(batches(4, num, size, 2 * per_epoch))[per_epoch:]  # of the second epoch
        augmenting.for_steps(torch.stack(rows)[:, None][:8], per_epoch)
        pairs = zip(torch.cat(rows[:8]).tolist(), augmenting.room.x[:8, 1].flatten(0, 1), strict=True)
        found[size] = dict(pairs)
    common = found[50].keys() & found[115].keys()
    assert len(common) > 100
    assert all(torch.equal(found[50][row], found[115][row]) for row in common)


def test_a_new_strength_compiles_nothing() -> None:
    together(True, NATIVE)
    other = pictures(
        mixed=True, augment={"flip": [0.1, 0.9], "mixup": [0.6, 0.7], "cutmix": 0.1, "mix_p": 0.3}
    )
    with compiling() as texts:
        train(other, backend=NATIVE)
    assert not texts


@pytest.mark.parametrize(
    ("batch_size", "backend"),
    thinned(product([115, "full"], [NATIVE, FUSED, SERIAL]), strength=1),
)
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
