"""Weights along training: kept, replaced, cut off, and gone with their runs."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ravine.errors import StoreError
from ravine.store import RunResult, Store

MakeResult = Callable[..., RunResult]


def weights(num_steps: int, num_runs: int, first: float = 0.0) -> dict[str, np.ndarray]:
    """Rows that all differ, step by step and run by run within."""
    values = first + np.arange(num_steps * num_runs, dtype=np.float32)
    return {"w": np.repeat(values, 6).reshape(-1, 2, 3), "count": values.astype(np.int64)}


def kept_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "runs" / "blocks").glob("kept-*"))


def test_a_path_is_what_was_kept_in_the_order_of_steps(store: Store, run_ids: list[str]) -> None:
    store.kept.add(run_ids[:2], [20, 30], weights(2, 2, first=100.0))
    store.kept.add(run_ids[:3], [0, 10], weights(2, 3))
    assert store.kept.steps(run_ids) == {
        run_ids[0]: [0, 10, 20, 30],
        run_ids[1]: [0, 10, 20, 30],
        run_ids[2]: [0, 10],
        run_ids[3]: [],
    }
    steps, path = store.kept.path(run_ids[1])
    assert steps.tolist() == [0, 10, 20, 30]
    assert path["count"].tolist() == [1, 4, 101, 103]
    np.testing.assert_array_equal(path["w"][2], np.full((2, 3), 101.0, np.float32))
    none, nothing = store.kept.path(run_ids[3])
    assert (none.shape, nothing) == ((0,), {})
    assert store.check() == []


def test_what_is_kept_again_replaces_and_files_without_use_vanish(
    store: Store, run_ids: list[str], tmp_path: Path
) -> None:
    store.kept.add(run_ids[:2], [0, 10], weights(2, 2))
    store.kept.add(run_ids[:2], [10, 20], weights(2, 2, first=50.0))
    assert store.kept.path(run_ids[0])[1]["count"].tolist() == [0, 50, 52]
    assert len(kept_files(tmp_path)) == 2
    store.kept.truncate(run_ids, 10)
    assert store.kept.path(run_ids[1])[1]["count"].tolist() == [1]
    assert len(kept_files(tmp_path)) == 1
    store.kept.truncate(run_ids, 0)
    assert kept_files(tmp_path) == []
    assert store.check() == []


def test_a_run_that_diverged_has_no_weights_from_there_on(
    store: Store, run_ids: list[str], result: MakeResult
) -> None:
    store.open_cohort("c", run_ids, {})
    store.kept.add(run_ids, [0, 10, 20], weights(3, 4))
    ends = [result(run) for run in run_ids[1:]]
    lost = result(run_ids[0], diverged_at=10, step=10, metrics={})
    store.finish_cohort("c", [lost, *ends], {"w": np.zeros((4, 2))}, {})
    assert store.kept.steps(run_ids[:2]) == {run_ids[0]: [0], run_ids[1]: [0, 10, 20]}


def test_a_dropped_cohort_and_a_deleted_study_take_their_weights_with_them(
    store: Store, run_ids: list[str], tmp_path: Path
) -> None:
    store.open_cohort("c", run_ids, {})
    store.kept.add(run_ids, [0, 10], weights(2, 4))
    store.drop_cohort("c")
    assert kept_files(tmp_path) == []
    store.kept.add(run_ids, [0], weights(1, 4))
    assert len(kept_files(tmp_path)) == 1
    store.delete_study("digits")
    assert kept_files(tmp_path) == []
    assert store.check() == []


def test_damage_is_seen(store: Store, run_ids: list[str], tmp_path: Path) -> None:
    store.kept.add(run_ids, [0], weights(1, 4))
    (path,) = (tmp_path / "runs" / "blocks").glob("kept-*")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="is damaged"):
        store.kept.path(run_ids[0])
    assert len(store.check()) == 1


def test_a_row_beyond_its_file_is_told(store: Store, run_ids: list[str], tmp_path: Path) -> None:
    store.kept.add(run_ids, [0], weights(1, 4))
    with contextlib.closing(sqlite3.connect(tmp_path / "runs" / "ravine.db")) as database, database:
        database.execute("UPDATE kept SET row = 9 WHERE run_id = ?", [run_ids[2]])
    (line,) = store.check()
    assert line.startswith(f"run {run_ids[2]}: row 9 of ")
