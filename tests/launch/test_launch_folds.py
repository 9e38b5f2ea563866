"""Folds are launched as one cohort, whatever interrupts it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from launches import contents, run_all, until

sys.path.append(str(Path(__file__).parents[1] / "engine"))

from engine_runs import study

from ravine.data import Dataset, from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.launch.launch import launch
from ravine.launch.progress import Planned
from ravine.launch.writer import Timing
from ravine.store import Store
from ravine.study import Study

RNG = np.random.default_rng(0)
X = RNG.standard_normal((98, 4)) * [1.0, 5.0, 1.0, 0.1]
Y = (X[:, 0] + RNG.standard_normal(98) > 0).astype(np.int64)
PIXELS = RNG.integers(0, 256, (48, 1, 8, 8), dtype=np.uint8)


def folded(data: Dataset, **changes: object) -> Study:
    given: dict[str, object] = {
        "data": data,
        "model": {"kind": "mlp", "hidden": [6], "norm": "batch"},
        "steps": 60,
        "evaluations": 6,
        "rules": [{"kind": "adam", "lr": [0.01, 0.05]}, {"kind": "momentum", "lr": [0.02, 1e20]}],
    }
    return study(**{**given, **changes})


@pytest.fixture
def made() -> Study:
    return folded(from_arrays(X, Y, split={"folds": 4}))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


def planned(events: list[object]) -> Planned:
    return next(event for event in events if isinstance(event, Planned))


def test_all_folds_are_one_cohort_whose_runs_predict_their_own_examples(made: Study, store: Store) -> None:
    events = run_all(made, store)
    assert any(line.startswith("32 runs at once, native") for line in planned(events).lines)
    assert isinstance(made.data, Dataset), "it was given"
    assert made.data.folds is not None
    records = store.runs(made.name)
    assert sum(record.status == "diverged" for record in records) == 8
    lengths = set()
    for record in records:
        if record.status != "done":
            continue
        own = made.data.folds.of(FoldOf.of(record.recipe["part"]))
        found = store.tensors("predictions", record.id)
        for split in ("validation", "test"):
            examples = getattr(own, split)
            assert len(found[split]) == len(examples)
            assert np.isfinite(found[split]).all()
            lengths.add((split, len(examples)))
        right = (found["validation"].argmax(axis=1) == own.validation.y).mean()
        assert record.metrics["validation_accuracy"] == pytest.approx(right)
    assert len(lengths) == 4, "folds have different numbers of examples"
    assert store.check() == []


def test_stopped_at_any_moment_it_ends_with_the_same_bits(made: Study, store: Store, tmp_path: Path) -> None:
    run_all(made, store)
    often = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)
    with Store(tmp_path / "other") as other:
        for num in (2, 3, 4):
            until(launch(made, other, definition="text", timing=often), num)
        events = run_all(made, other, timing=often)
        assert planned(events).num_resumed == 32
    assert contents(tmp_path / "other", made.name) == contents(tmp_path / "store", made.name)


def test_runs_of_a_later_repeat_are_trained_as_if_alone(made: Study, store: Store, tmp_path: Path) -> None:
    """The runs of one repeat that a store has do not change the bits of those of the next."""
    more = replace(made, data=from_arrays(X, Y, split={"folds": 4, "repeats": 2}))
    run_all(made, store)
    run_all(more, store)
    with Store(tmp_path / "at-once") as other:
        run_all(more, other)
    assert contents(tmp_path / "at-once", made.name) == contents(tmp_path / "store", made.name)


def test_augmented_runs_of_each_fold_have_a_cohort_of_their_own(store: Store) -> None:
    data = from_arrays(PIXELS, np.arange(48) % 3, split={"folds": 3})
    made = folded(
        data, model={"kind": "convnet", "channels": [4]}, steps=4, batch_size=8, evaluations=1,
        rules=[{"kind": "adam", "lr": 0.01}], augment={"translate": [0.0, 0.2]},
    )  # fmt: skip
    lines = planned(run_all(made, store)).lines
    assert any(line.startswith("6 runs at once, native") for line in lines)  # without augmentation
    assert any(line.startswith("3 times: 2 runs at once, native") for line in lines)
    assert all(record.status == "done" for record in store.runs(made.name))
