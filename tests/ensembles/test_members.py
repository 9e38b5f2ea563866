"""Who may be a member, and what a pool is known by."""

from __future__ import annotations

import numpy as np
import pytest

from ravine.ensembles.members import usable, winner_of
from ravine.ensembles.pool import Pool
from ravine.errors import InputError, StoreError
from ravine.outcomes.member import Member
from ravine.store import Labels, RunRecord

LABELS = Labels(
    name="toy",
    task="classification",
    classes=("a", "b", "c"),
    sizes=(4, 2, 2),
    validation=np.array([0, 1]),
    test=np.array([0, 1]),
)


def member(number: int, step: int | None = None) -> Member:
    return Member(run=f"{number:016x}", step=step, rule="sgd", config="c", hypers={"lr": 0.1}, seed=number)


def record(number: int, config: str, score: float | None, lr: float = 0.1, loss: float = 1.0) -> RunRecord:
    return RunRecord(
        id=f"{number:016x}",
        config=config,
        rule="sgd",
        hypers={"lr": lr},
        seed=number,
        recipe={},
        status="diverged" if score is None else "done",
        step=5,
        num_steps=5,
        diverged_at=3 if score is None else None,
        seconds=0.1,
        backend="native",
        metrics={} if score is None else {"validation_accuracy": score, "validation_loss": loss},
    )


def test_what_is_no_number_or_the_same_twice_is_left_out_by_name() -> None:
    rng = np.random.default_rng(0)
    members = [member(3), member(1), member(2), member(1, step=7)]
    outputs = {each.name: rng.normal(size=(2, 3)) for each in members}
    outputs[member(2).name][1, 1] = np.nan
    outputs[member(1).name] = outputs[member(1, step=7).name].copy()
    found, left = usable(members, outputs, LABELS)
    assert [each.name for each in found] == [f"{1:016x}@7", f"{3:016x}"]
    assert sorted(left) == [
        "00000000 is left out: it predicts the same as 00000000@7, to the last bit",
        "00000000 is left out: not all of its validation predictions are finite numbers",
    ]


def test_nothing_but_nan_is_one_line() -> None:
    with pytest.raises(InputError, match="not one has finite predictions"):
        usable([member(1)], {member(1).name: np.full((2, 3), np.nan)}, LABELS)


def test_as_many_classes_as_the_data_set_has() -> None:
    with pytest.raises(StoreError, match="it predicts 2 classes, its data have 3"):
        usable([member(1)], {member(1).name: np.zeros((2, 2))}, LABELS)


def test_the_winner_is_the_config_with_the_best_mean_that_lost_no_seed() -> None:
    runs = [
        record(0, "a", 0.9),
        record(1, "a", 0.8, loss=0.5),
        record(2, "b", 0.99),
        record(3, "b", None),
        record(4, "c", 0.8, lr=0.01, loss=0.7),
        record(5, "c", 0.9, lr=0.01),
        record(6, "d", 0.1),
    ]
    assert [run.id[-1] for run in winner_of(runs, "validation_accuracy", "s")] == [
        "5",
        "4",
    ]  # a ties; c's lr is smaller
    tied = [record(0, "a", 0.8, loss=0.6), record(1, "a", 0.8, loss=0.5)]
    assert [run.id[-1] for run in winner_of(tied, "validation_accuracy", "s")] == ["1", "0"]
    with pytest.raises(InputError, match="no run has finished with a finite score"):
        winner_of([record(0, "a", None)], "validation_accuracy", "s")


def test_a_pool_is_known_by_members_weights_and_how() -> None:
    members = [member(1), member(2), member(1, step=5)]
    first = Pool.of(members, [2.0, 1.0, 1.0], "mean")
    assert first.weights == {f"{1:016x}@5": 0.25, f"{1:016x}": 0.5, f"{2:016x}": 0.25}
    assert list(first.weights) == [f"{1:016x}@5", f"{1:016x}", f"{2:016x}"]
    assert first.id == Pool.of(members[::-1], [0.25, 0.25, 0.5], "mean").id
    others = [
        Pool.of(members, [1.0, 1.0, 1.0], "mean"),
        Pool.of(members, [2.0, 1.0, 1.0], "logits"),
        Pool.of(members[:2], [2.0, 1.0], "mean"),
    ]
    assert len({first.id, *(each.id for each in others)}) == 4
    assert Pool.of(members, [0.0, 1.0, 0.0], "mean").weights == {f"{2:016x}": 1.0}
