"""Cohorts: started, checkpointed, dropped, finished; what they leave to read."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ravine.errors import StoreError
from ravine.store import Labels, NewRun, RunResult, Store

MakeResult = Callable[..., RunResult]


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "runs" / "blocks").iterdir())


def test_a_cohort_keeps_its_runs_order_and_plan(store: Store, run_ids: list[str]) -> None:
    backwards = run_ids[::-1]
    store.open_cohort("c", backwards, {"backend": "fused", "sizes": [2, 2]})
    store.open_cohort("c", backwards, {"backend": "fused", "sizes": [2, 2]})
    (cohort,) = store.cohorts(unfinished_for=run_ids[1:2])
    assert cohort.run_ids == tuple(backwards)
    assert cohort.plan == {"backend": "fused", "sizes": [2, 2]}
    assert (cohort.id, cohort.step, cohort.checkpoint) == ("c", 0, False)
    assert store.load_checkpoint("c") is None
    assert {run.status for run in store.runs("digits")} == {"running"}
    assert store.cohorts(unfinished_for=["f" * 16]) == []


def test_cohorts_come_in_the_order_of_the_runs(store: Store, run_ids: list[str]) -> None:
    store.open_cohort("a", run_ids[2:], {})
    store.open_cohort("b", run_ids[:2], {})
    assert [cohort.id for cohort in store.cohorts(unfinished_for=run_ids)] == ["b", "a"]


def test_a_cohort_cannot_change_or_share_a_run(store: Store, run_ids: list[str]) -> None:
    store.open_cohort("c", run_ids[:2], {})
    with pytest.raises(StoreError, match="cohort 'c' was started with other runs"):
        store.open_cohort("c", run_ids[1::-1], {})
    with pytest.raises(StoreError, match="or another plan"):
        store.open_cohort("c", run_ids[:2], {"backend": "serial"})
    with pytest.raises(StoreError, match=f"run {run_ids[1]} is running, not planned"):
        store.open_cohort("d", run_ids[1:], {})
    with pytest.raises(StoreError, match="is unknown, not planned"):
        store.open_cohort("d", ["0" * 16], {})
    assert [store.run(run).status for run in run_ids] == ["running"] * 2 + ["planned"] * 2


def test_a_checkpoint_replaces_the_former_one(store: Store, run_ids: list[str], tmp_path: Path) -> None:
    store.open_cohort("c", run_ids, {})
    for step in (10, 20, 20):
        tensors = {"w": np.full((4, 3), step, np.float64), "scalar": np.array(step)}
        status = {**dict.fromkeys(run_ids), run_ids[1]: 7 if step == 20 else None}
        store.save_checkpoint("c", step, tensors, status)
        assert len(files(tmp_path)) == 1
        found = store.load_checkpoint("c")
        assert found is not None
        assert found[0] == step
        np.testing.assert_array_equal(found[1]["w"], tensors["w"])
        assert (found[1]["scalar"].shape, int(found[1]["scalar"])) == ((), step)
    assert [(r.status, r.step, r.diverged_at) for r in store.runs("digits")[:2]] == [
        ("running", 20, None),
        ("running", 7, 7),
    ]
    assert store.cohorts(unfinished_for=run_ids)[0].checkpoint
    with pytest.raises(StoreError, match="a checkpoint of step 19 after one of step 20"):
        store.save_checkpoint("c", 19, {"w": np.zeros(1)}, {})
    assert len(files(tmp_path)) == 1
    assert store.check() == []


def test_a_dropped_cohort_leaves_planned_runs_and_nothing_else(
    store: Store, run_ids: list[str], tmp_path: Path
) -> None:
    store.open_cohort("c", run_ids, {})
    store.append_curves(run_ids, np.array([5]), {"train_loss": np.ones((1, 4))})
    store.save_checkpoint("c", 5, {"w": np.zeros(4)}, {run_ids[0]: 3})
    store.drop_cohort("c")
    assert files(tmp_path) == []
    assert all((r.status, r.step, r.diverged_at) == ("planned", 0, None) for r in store.runs("digits"))
    assert all(len(steps) == 0 for steps, _ in store.curves(run_ids, "train_loss").values())
    for call in (
        lambda: store.drop_cohort("c"),
        lambda: store.load_checkpoint("c"),
        lambda: store.save_checkpoint("c", 1, {"w": np.zeros(1)}, {}),
        lambda: store.finish_cohort("c", [], {}, {}),
    ):
        with pytest.raises(StoreError, match="cohort 'c' is not open"):
            call()
    assert files(tmp_path) == []
    store.open_cohort("d", run_ids[:2], {})
    store.append_curves(run_ids[:2], np.array([5]), {"train_loss": np.zeros((1, 2))})
    assert store.curves(run_ids, "train_loss")[run_ids[0]][1].tolist() == [0]


def test_predictions_of_runs_with_other_numbers_of_examples_are_cut(
    store: Store, run_ids: list[str], result: MakeResult, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    predictions = {"validation": rng.normal(size=(4, 5, 2)), "test": rng.normal(size=(4, 3))}
    lengths = {"validation": [5, 4, 5, 4], "test": [3, 3, 2, 3]}
    store.open_cohort("c", run_ids, {})
    ended = [result(run) for run in run_ids]
    store.finish_cohort("c", ended, {"w": np.arange(4.0)}, predictions, lengths=lengths)
    for row, (run, found) in enumerate(store.tensors_many("predictions", run_ids).items()):
        assert run == run_ids[row]
        for name, tensor in found.items():
            np.testing.assert_array_equal(tensor, predictions[name][row, : lengths[name][row]], strict=True)
    assert store.tensors("weights", run_ids[2])["w"] == 2.0
    assert [name.split("-")[0] for name in files(tmp_path)] == ["predictions"] * 3 + ["weights"]
    assert store.check() == []


def test_finished_runs_have_results_weights_and_predictions(
    store: Store, run_ids: list[str], result: MakeResult, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    store.open_cohort("c", run_ids, {})
    store.save_checkpoint("c", 50, {"w": np.zeros(4)}, {})
    weights = {"0.weight": rng.normal(size=(4, 3, 2)).astype(np.float32), "count": np.arange(4)}
    predictions = {"validation": rng.normal(size=(4, 5, 10)), "test": rng.normal(size=(4, 6))}
    metrics = {"validation_loss": math.nan, "train_loss": math.inf, "train_accuracy": np.float32(0.5)}
    # Results in another order than the cohort's: rows follow the results.
    order = [run_ids[2], run_ids[0], run_ids[3], run_ids[1]]
    ended = [result(run) for run in order[:3]] + [
        result(order[3], diverged_at=30, step=30, metrics=metrics, seconds=0.25, backend="serial")
    ]
    store.finish_cohort("c", ended, weights, predictions)
    assert [run.status for run in store.runs("digits")] == ["done", "diverged", "done", "done"]
    done, diverged = store.run(run_ids[0]), store.run(run_ids[1])
    assert (done.step, done.diverged_at, done.seconds, done.backend) == (100, None, 0.5, "fused")
    assert done.metrics == {"validation_accuracy": 0.75}
    assert (diverged.step, diverged.diverged_at, diverged.metrics) == (30, 30, {"train_accuracy": 0.5})
    assert store.runs("digits")[1] == diverged
    many = store.tensors_many("predictions", run_ids)
    assert list(many) == run_ids
    for row, run in enumerate(order):
        for kind, stacked in (("weights", weights), ("predictions", predictions)):
            found = store.tensors(kind, run)
            assert found.keys() == stacked.keys()
            for name, tensor in found.items():
                np.testing.assert_array_equal(tensor, stacked[name][row], strict=True)
        np.testing.assert_array_equal(many[run]["test"], predictions["test"][row])
    assert [name.split("-")[0] for name in files(tmp_path)] == ["predictions", "weights"]
    assert store.cohorts(unfinished_for=run_ids) == []
    assert store.check() == []
    with pytest.raises(StoreError, match="is done, not planned"):
        store.open_cohort("again", run_ids, {})


def test_a_failure_half_way_leaves_nothing_half_done(
    store: Store, run_ids: list[str], result: MakeResult, tmp_path: Path
) -> None:
    store.open_cohort("c", run_ids, {})
    broken = [result(run, metrics={"train_loss": "text"}) for run in run_ids]
    with pytest.raises(TypeError):
        store.finish_cohort("c", broken, {"w": np.zeros(4)}, {"test": np.zeros((4, 2))})
    assert files(tmp_path) == []
    assert {run.status for run in store.runs("digits")} == {"running"}
    with pytest.raises(StoreError, match=f"run {run_ids[0]} has no weights: it is running"):
        store.tensors("weights", run_ids[0])
    store.finish_cohort("c", [result(run) for run in run_ids], {"w": np.zeros(4)}, {})
    assert store.check() == []


def test_an_interrupt_just_after_the_commit_loses_nothing(
    store: Store, run_ids: list[str], result: MakeResult
) -> None:
    store.open_cohort("c", run_ids, {})
    with pytest.raises(KeyboardInterrupt):
        interrupt_after_commit(store, run_ids, result)
    assert store.tensors("weights", run_ids[3])["w"] == 3
    assert store.check() == []


def interrupt_after_commit(store: Store, run_ids: list[str], result: MakeResult) -> None:
    from sqlalchemy import event

    def interrupt(_connection: object) -> None:
        # The pool takes the connection back: the transaction is through, the call is not.
        event.remove(store._core.engine, "checkin", hook)
        raise KeyboardInterrupt

    def hook(connection: object, _record: object) -> None:
        interrupt(connection)

    event.listen(store._core.engine, "checkin", hook)
    store.finish_cohort("c", [result(run) for run in run_ids], {"w": np.arange(4)}, {})


def test_results_must_be_of_the_cohort(store: Store, run_ids: list[str], result: MakeResult) -> None:
    store.open_cohort("c", run_ids, {})
    with pytest.raises(AssertionError, match="of the cohort's runs"):
        store.finish_cohort("c", [result(run_ids[0])], {"w": np.zeros(1)}, {})
    with pytest.raises(AssertionError, match=r"weights w: \(3,\) for 4 runs"):
        store.finish_cohort("c", [result(run) for run in run_ids], {"w": np.zeros(3)}, {})


def test_asking_for_what_is_not_there(store: Store, run_ids: list[str]) -> None:
    with pytest.raises(StoreError, match="tensors 'weight': did you mean 'weights'"):
        store.tensors("weight", run_ids[0])
    with pytest.raises(StoreError, match=f"run {run_ids[0]} has no predictions: it is planned"):
        store.tensors("predictions", run_ids[0])
    with pytest.raises(StoreError, match="has no weights: it is unknown to the store"):
        store.tensors("weights", "0" * 16)
    assert store.tensors_many("weights", []) == {}


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_labels_come_back_as_they_went_in(store: Store, task: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    validation = np.arange(5) if task == "classification" else rng.normal(size=5).astype(np.float32)
    labels = Labels(
        name="digits",
        task=task,
        classes=("a", "b\n", "<c>") if task == "classification" else (),
        sizes=(20, 5, 7),
        validation=validation,
        test=validation[:3],
    )
    store.labels.put("data", labels)
    store.labels.put("data", labels)
    assert len(files(tmp_path)) == 1
    found = store.labels.of("data")
    for field in ("name", "task", "classes", "sizes"):
        assert getattr(found, field) == getattr(labels, field)
    np.testing.assert_array_equal(found.validation, labels.validation, strict=True)
    np.testing.assert_array_equal(found.test, labels.test, strict=True)
    with pytest.raises(StoreError, match="no labels of data 'other'"):
        store.labels.of("other")
    store.delete_study("digits")
    assert files(tmp_path) == []


def test_check_names_rows_that_point_nowhere(
    store: Store, run_ids: list[str], result: MakeResult, tmp_path: Path, new_run: Callable[..., NewRun]
) -> None:
    store.open_cohort("c", run_ids, {})
    store.finish_cohort("c", [result(run) for run in run_ids], {"w": np.zeros(4)}, {})
    with closing(sqlite3.connect(tmp_path / "runs" / "ravine.db")) as database, database:
        database.execute("UPDATE rows SET row = 9 WHERE run_id = ?", [run_ids[1]])
        database.execute("DELETE FROM rows WHERE run_id = ?", [run_ids[2]])
        values = "('checkpoint-x.safetensors', 'checkpoint', '', 0)"
        database.execute(f"INSERT INTO blocks (file, kind, sha256, size) VALUES {values}")
    problems = "\n".join(store.check())
    assert f"run {run_ids[1]}: row 9 of" in problems
    assert f"run {run_ids[2]} has finished, but has no weights" in problems
    assert "block 'checkpoint-x.safetensors': the store's entry is damaged" in problems
    assert "checkpoint-x.safetensors: nothing refers to this block" in problems


def test_a_cohort_of_which_every_run_diverged_is_sound(
    store: Store, run_ids: list[str], result: MakeResult
) -> None:
    store.open_cohort("c", run_ids, {})
    store.finish_cohort("c", [result(run, diverged_at=3, metrics={}) for run in run_ids], {}, {})
    assert {run.status for run in store.runs("digits")} == {"diverged"}
    assert store.check() == []
