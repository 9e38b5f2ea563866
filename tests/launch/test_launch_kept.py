"""`keep`: the weights along training are those that training has there, whoever trains and whatever interrupts it."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from engine_runs import all_runs, dataset, study
from launches import contents, run_all, until

from ravine.errors import StudyError
from ravine.launch.launch import launch
from ravine.launch.progress import Planned
from ravine.launch.room import room_of
from ravine.launch.subject import Subject
from ravine.launch.writer import Timing
from ravine.store import Store
from ravine.study import Study
from ravine.study.keep import Keep
from thinning import thinned

# 90 training examples in batches of 16: an epoch is 5 steps; 20 steps in all.
BATCHES = 5


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.mark.parametrize("backend", ["native", "fused", "serial"])
def test_kept_weights_are_those_of_shorter_runs(store: Store, tmp_path: Path, backend: str) -> None:
    made = study(keep={"every": 6}, rules=[{"kind": "adam", "lr": 1e-2}])
    run_all(made, store, backend=backend)
    shorter = replace(made, keep=None, steps=12)
    other = Store(tmp_path / "short")
    run_all(shorter, other, backend=backend)
    for run, short in zip(all_runs(made), all_runs(shorter), strict=True):
        steps, path = store.kept.path(run.id)
        assert steps.tolist() == [0, 6, 12, 18]
        for name, array in other.tensors("weights", short.id).items():
            np.testing.assert_array_equal(path[name][2], array)
    first, second = (store.kept.path(run.id)[1] for run in all_runs(made)[:2])
    for name in first:  # another seed begins elsewhere
        assert first[name].ndim == 1 or not np.array_equal(first[name][0], second[name][0])


def test_runs_end_with_the_same_bits_whether_their_weights_are_kept_or_not(tmp_path: Path) -> None:
    for name, keep in (("with", {"every": 3}), ("without", None)):
        with Store(tmp_path / name) as store:
            run_all(study(keep=keep), store)
    first = contents(tmp_path / "with", "small", kept=False)
    assert first == contents(tmp_path / "without", "small", kept=False)


def test_an_epoch_is_as_many_steps_as_it_has_batches(store: Store) -> None:
    assert len(dataset().train) // 16 == BATCHES
    made = study(keep={"every": "epoch"})
    run_all(made, store)
    assert store.kept.steps([all_runs(made)[0].id]) == {all_runs(made)[0].id: [0, 5, 10, 15]}


@pytest.mark.parametrize(("backend", "events"), thinned(product(["native", "fused"], [2, 4, 7]), strength=1))
def test_an_interrupted_launch_keeps_what_it_has_and_ends_as_another(
    tmp_path: Path, backend: str, events: int
) -> None:
    at_once = Timing(kept_bytes=0)
    made = study(keep={"every": 4}, batch_size=[16, 30])
    with Store(tmp_path / "peace") as store:
        run_all(made, store, backend=backend, timing=at_once)
    with Store(tmp_path / "stopped") as store:
        until(launch(made, store, definition="text", backend=backend, timing=at_once), events)
        assert any(store.kept.steps([run.id for run in all_runs(made)]).values())
        assert store.check() == []
        run_all(made, store)
        assert store.check() == []
    assert contents(tmp_path / "stopped", "small") == contents(tmp_path / "peace", "small")


def test_a_diverged_run_keeps_what_it_had_before(store: Store) -> None:
    made = study(rules=[{"kind": "sgd", "lr": [0.01, 1e20]}], keep={"every": 1}, seeds=1)
    run_all(made, store)
    good, bad = store.runs("small")
    assert bad.diverged_at is not None
    steps, path = store.kept.path(bad.id)
    assert steps.tolist() == list(range(bad.diverged_at))
    assert all(np.isfinite(array).all() for array in path.values())
    assert len(store.kept.steps([good.id])[good.id]) == 20


def plan_lines(made: Study, store: Store) -> list[str]:
    events = run_all(made, store)
    return [line for event in events if isinstance(event, Planned) for line in event.lines]


def test_the_plan_tells_the_room_and_what_cannot_be_kept_any_more(store: Store) -> None:
    made = study()
    assert not any("kept" in line for line in plan_lines(made, store))
    more = replace(made, keep={"every": "epoch"}, seeds=[0, 1, 2, 3])
    lines = plan_lines(more, store)
    known = len(all_runs(made))
    new = len(all_runs(more)) - known
    assert any(
        line.startswith(f"the weights of {new} runs are kept 4 times along the way: ") for line in lines
    )
    assert any(
        line.startswith(f"{known} runs that the store has already were trained without") for line in lines
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_room_is_the_size_of_the_files(store: Store, precision: str) -> None:
    made = study(keep={"every": 4}, precision=precision)
    run_all(made, store)
    written = sum(path.stat().st_size for path in (store.folder / "blocks").glob("kept-*"))
    subject = Subject.of(made, data=dataset(), device="cpu")
    room = room_of(Keep(every=4), all_runs(made), subject)
    assert (room.times, room.num_runs) == ((5, 5), len(all_runs(made)))
    assert room.size <= written < room.size + 2000  # the header with the names


CYCLES = [
    "cosine",
    {"kind": "cosine_restarts", "cycles": 3, "warmup": 2},
    {"kind": "cosine_restarts", "cycles": 7, "final": 0.5},
    {"kind": "cosine_restarts", "cycles": 1},
]


@pytest.mark.parametrize(("backend", "events"), thinned(product(["native", "fused"], [2, 4, 7]), strength=1))
def test_states_before_restarts_are_those_of_shorter_runs_whatever_interrupts(
    tmp_path: Path, backend: str, events: int
) -> None:
    at_once = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0, kept_bytes=0)
    made = study(keep={"every": "cycle"}, rules=[{"kind": "adam", "lr": 1e-2}], schedule=CYCLES)
    stopped, every = Store(tmp_path / "stopped"), Store(tmp_path / "every")
    until(launch(made, stopped, definition="text", backend=backend, timing=at_once), events)
    run_all(made, stopped)
    run_all(replace(made, keep={"every": 1}), every, backend=backend)
    found = stopped.kept.steps([run.id for run in all_runs(made)])
    for run in all_runs(made):
        ends = {1: [], 3: [8, 14], 7: [3, 6, 9, 12, 15, 18]}[run.recipe.schedule.get("cycles", 1)]
        assert found[run.id] == ends
        _, path = every.kept.path(run.id)
        for name, array in stopped.kept.path(run.id)[1].items():
            np.testing.assert_array_equal(array, path[name][ends])
    assert stopped.check() == []


def test_the_plan_says_which_runs_have_no_restarts(store: Store) -> None:
    made = study(keep={"every": "cycle"}, rules=[{"kind": "adam", "lr": 1e-2}], schedule=CYCLES, seeds=1)
    lines = plan_lines(made, store)
    assert any(
        line.startswith("the weights of 2 runs are kept 2 to 6 times along the way: ") for line in lines
    )
    without = "keep: 2 runs without restarts have none kept along the way"
    assert without in lines
    assert not any("already" in line for line in plan_lines(made, store))  # nothing is missing


@pytest.mark.parametrize("schedule", ["cosine", {"kind": "cosine_restarts", "cycles": 1}])
def test_a_study_without_restarts_cannot_keep_what_is_before_them(schedule: object) -> None:
    with pytest.raises(
        StudyError, match=r"^keep\.every = 'cycle': only schedule = \"cosine_restarts\" of 2 cycles"
    ):
        study(keep={"every": "cycle"}, schedule=schedule)


def test_weights_that_do_not_fit_are_refused_before_training(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1000))
    with pytest.raises(
        StudyError, match=r'keep\.every = "epoch": .* are free where the store is: keep fewer'
    ):
        run_all(study(keep={"every": "epoch"}), store)
    assert store.studies() == []
