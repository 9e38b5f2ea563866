"""Batches, learning rates and cohorts: what a run meets at which step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import CPU, all_runs, study, train, training_of

from ravine import schedules
from ravine.engine import scheduled
from ravine.engine.batches import Order
from ravine.engine.cohort import Cohort, split
from ravine.engine.scheduled import Scheduled


@pytest.mark.parametrize(("num", "size"), [(10, 3), (12, 4), (7, 7), (5, 1)])
def test_every_epoch_is_a_permutation_without_its_tail(num: int, size: int) -> None:
    order = Order((3, 8), num, size, CPU)
    per_epoch = num // size
    epochs = []
    for epoch in range(3):
        rows = [order.rows(epoch * per_epoch + batch)[0].clone() for batch in range(per_epoch)]
        assert all(batch.shape == (2, size) and batch.dtype == torch.int64 for batch in rows)
        seen = torch.cat(rows, 1)
        for of_seed in seen:
            assert len(set(of_seed.tolist())) == per_epoch * size
            assert set(of_seed.tolist()) <= set(range(num))
        epochs.append(seen)
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0][0], epochs[0][1])


def test_a_batch_depends_on_its_seed_and_step_alone() -> None:
    several, alone, late = Order((3, 8, 1), 20, 6, CPU), Order((8,), 20, 6, CPU), Order((8,), 20, 6, CPU)
    for step in range(9):
        assert torch.equal(several.rows(step)[:, 1:2], alone.rows(step))
    assert torch.equal(late.rows(8), alone.rows(8))  # as after a resume, amid an epoch
    assert torch.equal(late.rows(2), alone.rows(2))  # and back


def test_the_tail_that_is_left_out_is_another_one_each_epoch() -> None:
    order = Order((0,), 10, 9, CPU)
    left_out = {(set(range(10)) - set(order.rows(epoch)[0, 0].tolist())).pop() for epoch in range(40)}
    assert len(left_out) > 5


@pytest.mark.parametrize("stretch", [1, 7, 64, 1 << 20])
def test_the_learning_rate_is_the_tables_at_every_step(stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduled, "_STRETCH", stretch)
    kinds = ["constant", {"kind": "cosine", "warmup": 5}, {"kind": "step", "every": 10, "factor": 0.5}]
    runs = all_runs(study(schedule=kinds, steps=37))
    cohort = Cohort.of(runs)
    rates = Scheduled(cohort, 1, CPU)
    for step in [*range(37), 3, 36, 0]:
        found = rates.at(step)[0, 0]
        assert found.dtype == torch.float32
        assert found.is_contiguous()
        for run, lr in zip(cohort.runs, found.tolist(), strict=True):
            spec = schedules.parse_schedule(dict(run.recipe.schedule), "schedule")
            expected = run.recipe.hypers["lr"] * schedules.table(spec, 37)[step]
            assert lr == np.float32(expected)


def test_more_than_a_stretch_of_numbers() -> None:
    """600 runs of 2000 steps are more than 2^20 numbers."""
    runs = all_runs(study(schedule={"kind": "linear"}, steps=2000, seeds=150))
    cohort = Cohort.of(runs)
    rates = Scheduled(cohort, 1, CPU)
    base = np.array([run.recipe.hypers["lr"] for run in cohort.runs])
    for step in (0, 1746, 1747, 1748, 1999):
        np.testing.assert_array_equal(
            rates.at(step)[0, 0].numpy(), (base * (1 - step / 2000)).astype(np.float32)
        )


def test_a_step_uses_the_rate_of_its_own_number() -> None:
    """Plain SGD on a linear model: the first step of a warm-up over 4 steps moves a fifth as far."""
    made = study(
        model={"kind": "mlp", "hidden": []}, rules=[{"kind": "sgd", "lr": 0.1}], steps=5, seeds=1,
        schedule=["constant", {"kind": "constant", "warmup": 4}],
    )  # fmt: skip
    training = training_of(made, all_runs(made))
    before = training.snapshot()["params"]
    training.advance()
    moved = training.snapshot()["params"] - before
    warm = [i for i, run in enumerate(training.cohort.runs) if run.recipe.schedule["warmup"]]
    cold = [i for i, run in enumerate(training.cohort.runs) if not run.recipe.schedule["warmup"]]
    np.testing.assert_allclose(moved[warm], moved[cold] / 5, rtol=1e-4, atol=1e-7)


def test_a_cohort_has_a_segment_for_each_rule() -> None:
    runs = all_runs(study(rules=[{"kind": "adam", "lr": [0.1, 0.01]}, {"kind": "sgd", "lr": 0.1}], seeds=3))
    cohort = Cohort.of(runs[::-1])
    assert sorted(run.id for run in cohort.runs) == sorted(run.id for run in runs)
    assert [(s.rule.name, s.start, s.stop) for s in cohort.segments] == [("adam", 0, 6), ("sgd", 6, 9)]
    assert cohort.id == Cohort.of(runs).id
    assert cohort.seeds == (0, 1, 2)


def test_only_the_regularizers_that_a_segment_uses_are_in_its_rule() -> None:
    rules = [{"kind": "adam", "lr": 0.1, "weight_decay": [0.0, 0.1]}, {"kind": "sgd", "lr": 0.1}]
    cohort = Cohort.of(all_runs(study(rules=rules)))
    assert ["weight_decay" in segment.rule.hypers for segment in cohort.segments] == [True, False]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_split_keeps_to_the_size_and_loses_no_run(size: int) -> None:
    runs = all_runs(study(seeds=3, batch_size=[8, 16]))
    groups = split(runs, size)
    assert sorted(run.id for group in groups for run in group) == sorted(run.id for run in runs)
    for group in groups:
        assert len({run.recipe.structure for run in group}) == 1
        assert 1 <= len(group) <= size
    sizes = sorted(len(group) for group in groups)
    assert sizes[-1] - sizes[0] <= 1


def test_a_batch_of_the_whole_training_set_is_an_epoch() -> None:
    made = study(batch_size=90, steps=3, seeds=1)
    assert len(made.data.train) == 90
    assert train(made).finished.runs
    order = Order((0,), 90, 90, CPU)
    assert sorted(order.rows(1)[0, 0].tolist()) == list(range(90))
