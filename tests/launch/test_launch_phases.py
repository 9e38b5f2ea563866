"""Studies of several phases in a store: what runs have in common is trained once, and all of it goes on anywhere."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "engine"))

from engine_runs import NATIVE, all_runs
from launches import contents, run_all, until
from phased import phased, trained_on

from ravine.errors import StudyError
from ravine.launch.launch import launch
from ravine.launch.progress import Event, Planned, Trained
from ravine.launch.rounds import parent_of, parents_of
from ravine.launch.writer import Timing
from ravine.store import Store
from ravine.study import Study

HEAD = {"train": "head", "steps": 5, "lr": 0.02}
ALL = {"train": "all", "steps": 6, "lr_factor": 0.1}
OFTEN = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)


def made(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [5, 4], "norm": "batch", "dropout": 0.2},
        "phases": [HEAD, ALL],
        "rules": [{"kind": "adam", "lr": [0.1, 0.05]}, {"kind": "nesterov", "lr": 0.1}],
        "seeds": 2,
    }
    return phased(**{**fields, **changes})


def plans(events: list[Event]) -> list[tuple[str, ...]]:
    return [event.lines for event in events if isinstance(event, Planned)]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Event]]]:
    root = tmp_path_factory.mktemp("phases")
    with Store(root) as store:
        yield root, run_all(made(), store, backend=NATIVE)


def test_what_runs_have_in_common_is_trained_once(done: tuple[Path, list[Event]]) -> None:
    root, events = done
    first, last = (event for event in events if isinstance(event, Planned))
    assert first.line.startswith(
        "phase 1 of 2, head: 4 runs; 6 go on from them, which saves 10 steps; 4 runs at"
    )
    assert last.line.startswith("phase 2 of 2, all: 6 runs; ")
    assert isinstance(events[-1], Trained)
    assert events[-1].num_trained == 6
    with Store(root) as store:
        assert len(store.runs("small")) == 6
        assert len(store.runs("small", all=True)) == 10
        assert store.check() == []


def test_shared_and_trained_alone_have_the_same_bits(done: tuple[Path, list[Event]]) -> None:
    runs = all_runs(made())
    with Store(done[0]) as store:
        for run in (runs[0], runs[-1]):
            stored, alone = store.tensors("weights", run.id), trained_on(made(), [run], NATIVE).weights(run)
            for name, array in alone.items():
                np.testing.assert_array_equal(stored[name], array, err_msg=f"{run.label} {name}")


def test_a_curve_begins_with_that_of_the_phases_before(done: tuple[Path, list[Event]]) -> None:
    run = all_runs(made())[0]
    parent = parent_of(run)
    assert parent is not None
    with Store(done[0]) as store:
        curves = store.curves([run.id, parent.id], "validation_loss")
    assert curves[run.id][0].tolist() == [3, 5, 8, 11]
    np.testing.assert_array_equal(curves[run.id][1][:2], curves[parent.id][1])


def test_once_more_nothing_is_trained(done: tuple[Path, list[Event]]) -> None:
    with Store(done[0]) as store:
        events = run_all(made(), store)
        assert isinstance(events[-1], Trained)
        assert events[-1].num_trained == 0
        assert [event.num_known for event in events if isinstance(event, Planned)] == [6]


@pytest.mark.slow
def test_a_study_that_goes_on_from_another(done: tuple[Path, list[Event]], tmp_path: Path) -> None:
    longer = made(name="longer", phases=[HEAD, ALL, ALL])
    root, _ = done
    before = contents(root, "small")
    with Store(root) as store:
        lines = plans(run_all(longer, store, backend=NATIVE))
    assert contents(root, "small") == before
    assert any(line.startswith("6 runs once more") for line in lines[0])
    with Store(tmp_path) as store:
        run_all(longer, store, backend=NATIVE)
    assert contents(root, "longer") == contents(tmp_path, "longer")
    with Store(root) as store:
        assert store.delete_study("longer") == 6
        assert store.check() == []
        assert not store.ends.having([run.id for run in all_runs(longer)])


@pytest.mark.parametrize("events", [4, 8])
def test_an_interruption_of_any_phase_changes_no_bit(
    done: tuple[Path, list[Event]], tmp_path: Path, events: int
) -> None:
    with Store(tmp_path) as store:
        until(launch(made(), store, definition="text", timing=OFTEN, backend=NATIVE), events)
        known = {record.step for record in store.runs("small", all=True)}
        assert known != {0}, "it was interrupted amid a phase"
    with Store(tmp_path) as store:
        run_all(made(), store, timing=OFTEN)
    assert contents(tmp_path, "small") == contents(done[0], "small")


@pytest.mark.slow
def test_another_process_goes_on_in_the_second_phase(done: tuple[Path, list[Event]], tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        events = launch(made(), store, definition="text", timing=OFTEN, backend=NATIVE)
        for _ in events:
            if store.studies() and any(record.step for record in store.runs("small")):
                break
        events.close()  # type: ignore[attr-defined]
        assert {record.status for record in store.runs("small")} != {"done"}
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]; from test_launch_phases import OFTEN, Path, Store, made, run_all\n"
        "with Store(Path(sys.argv[1])) as store: run_all(made(), store, timing=OFTEN)"
    )
    here = Path(__file__).parent
    done_there = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(here), str(here.parent / "engine")],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done_there.returncode == 0, done_there.stderr[-2000:]
    assert contents(tmp_path, "small") == contents(done[0], "small")


def test_runs_that_stop_leave_no_end_and_those_beside_them_none_of_another(tmp_path: Path) -> None:
    """A run with patience ends with the weights of its last gain, and none goes on from it."""
    fields: dict[str, Any] = {"rules": [{"kind": "adam", "lr": 0.05}], "evaluations": 5}
    first = made(name="first", phases=[HEAD], stop={"patience": [9, 1, 0]}, **fields)
    second = made(phases=[HEAD, ALL], **fields)
    with Store(tmp_path / "both") as store:
        run_all(first, store, backend=NATIVE)
        assert {record.status for record in store.runs("first")} == {"done"}
        run_all(second, store, backend=NATIVE)
        assert store.check() == []
    with Store(tmp_path / "alone") as store:
        run_all(second, store, backend=NATIVE)
    assert contents(tmp_path / "both", "small") == contents(tmp_path / "alone", "small")


def test_runs_do_not_go_on_from_one_that_diverged(tmp_path: Path) -> None:
    study = made(phases=[{"train": "all", "steps": 5, "lr": 1e20}, ALL], rules=[{"kind": "sgd", "lr": 0.1}])
    with Store(tmp_path) as store:
        run_all(study, store)
        records = store.runs("small")
        assert [(each.status, each.diverged_at) for each in records] == [("diverged", 0)] * 2
        assert store.check() == []
        assert isinstance(last := run_all(study, store)[-1], Trained)
        assert last.num_trained == 0


@pytest.mark.slow
def test_what_the_last_phase_alone_keeps(tmp_path: Path) -> None:
    study = made(
        rules=[{"kind": "adam", "lr": 0.05}],
        seeds=1,
        keep={"every": 2},
        averages={"ema": [0.9]},
        stop={"patience": 5},
    )
    [run] = all_runs(study)
    [parent] = parents_of([run])
    assert parent.recipe.hypers.get("stop.patience", 0.0) == 0.0
    with Store(tmp_path) as store:
        run_all(study, store)
        assert store.kept.steps([run.id, parent.id]) == {run.id: [0, 2, 4], parent.id: []}
        assert store.averages.names([run.id, parent.id]) == {run.id: ("ema 0.9",), parent.id: ()}


def test_nothing_is_written_of_a_study_whose_last_phase_is_impossible(tmp_path: Path) -> None:
    study = made(phases=[HEAD, {"train": "match:nothing", "steps": 2}])
    with Store(tmp_path) as store:
        with pytest.raises(StudyError, match=r"phases: train = 'match:nothing' matches none"):
            run_all(study, store)
        assert store.studies() == []


def test_a_store_of_format_7_goes_on(tmp_path: Path) -> None:
    plain = made(phases=(), steps=3, rules=[{"kind": "sgd", "lr": 0.1}])
    with Store(tmp_path) as store:
        run_all(plain, store)
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database, database:
        database.execute("UPDATE meta SET value = '7' WHERE key = 'version'")
    with Store(tmp_path) as store:
        assert isinstance(last := run_all(plain, store)[-1], Trained)
        assert last.num_trained == 0
        assert store.check() == []
