"""Curves, against a slow and obvious model of what they should hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ravine.errors import StoreError
from ravine.store import NewRun, Store


class Slow:
    """Every point in a dict: what the packed form must be equal to."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[int, dict[int, float]]] = {}

    def append(self, runs: list[str], steps: np.ndarray, points: np.ndarray) -> None:
        for column, run in enumerate(runs):
            held = self.calls.setdefault(run, {})
            held.pop(int(steps[0]), None)
            held[int(steps[0])] = dict(zip(steps.tolist(), points[:, column].tolist(), strict=True))

    def truncate(self, runs: list[str], after: int) -> None:
        for run in runs:
            for first, points in self.calls.get(run, {}).items():
                kept = {step: value for step, value in points.items() if step <= after}
                self.calls[run][first] = kept

    def curve(self, run: str) -> tuple[list[int], list[float]]:
        merged: dict[int, float] = {}
        for points in self.calls.get(run, {}).values():
            merged.update(points)
        return sorted(merged), [merged[step] for step in sorted(merged)]


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_calls_gives_what_the_slow_model_gives(
    store: Store, new_run: Callable[..., NewRun], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ids = [new_run(number).id for number in range(6)]
    store.add_runs("digits", [new_run(number) for number in range(6)])
    slow = Slow()
    # Few distinct groups, so that chunks do meet.
    groups = [ids, ids[::-1], ids[:3], ids[2:5], ids[4:5]]
    for _ in range(40):
        runs = groups[rng.integers(len(groups))]
        if rng.random() < 0.25:
            after = int(rng.integers(-1, 12))
            store.truncate_curves(runs, after)
            slow.truncate(runs, after)
            continue
        start = int(rng.integers(0, 10))
        steps = np.unique(start + rng.integers(0, 6, size=4))
        points = rng.normal(size=(len(steps), len(runs))).astype(np.float32)
        store.append_curves(runs, steps, {"loss": points, "other": -points})
        slow.append(runs, steps, points)
    found, negative = store.curves(ids, "loss"), store.curves(ids[::-1], "other")
    assert list(found) == ids
    for run in ids:
        steps, points = found[run]
        assert (steps.dtype, points.dtype) == (np.int64, np.float32)
        assert (steps.tolist(), points.tolist()) == slow.curve(run)
        np.testing.assert_array_equal(negative[run][1], -points)


def test_not_a_number_and_infinity_survive_bit_for_bit(store: Store, run_ids: list[str]) -> None:
    points = np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float32)
    store.append_curves(run_ids, np.array([7]), {"train_loss": points})
    found = np.array([store.curves([run], "train_loss")[run][1][0] for run in run_ids])
    assert found.tobytes() == points.tobytes()


def test_what_is_returned_can_be_written_to_and_changes_nothing(store: Store, run_ids: list[str]) -> None:
    store.append_curves(run_ids, np.array([1, 2]), {"train_loss": np.ones((2, 4))})
    steps, values = store.curves(run_ids, "train_loss")[run_ids[0]]
    steps += 5
    values += 5
    again = store.curves(run_ids, "train_loss")
    assert all(steps.tolist() == [1, 2] and values.tolist() == [1, 1] for steps, values in again.values())


def test_a_run_without_points_has_an_empty_curve(store: Store, run_ids: list[str]) -> None:
    store.append_curves(run_ids[:1], np.array([1]), {"train_loss": np.ones((1, 1))})
    store.append_curves(run_ids, np.zeros(0, np.int64), {"train_loss": np.ones((0, 4))})
    for steps, values in (
        store.curves(run_ids, "train_loss")[run_ids[1]],
        store.curves(run_ids, "no_such_metric")[run_ids[0]],
    ):
        assert (steps.shape, steps.dtype, values.shape, values.dtype) == ((0,), np.int64, (0,), np.float32)
    assert store.curves([], "train_loss") == {}


def test_large_steps_and_any_memory_order(store: Store, run_ids: list[str]) -> None:
    steps = np.array([2**40, 2**40 + 1])
    points = np.asfortranarray(np.arange(8.0).reshape(2, 4))
    store.append_curves(run_ids, steps, {"train_loss": points})
    found = store.curves(run_ids, "train_loss")[run_ids[2]]
    assert (found[0].tolist(), found[1].tolist()) == (steps.tolist(), [2.0, 6.0])


def test_points_of_unknown_runs_are_refused_whole(store: Store, run_ids: list[str]) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.append_curves([*run_ids, "0" * 16], np.array([1]), {"train_loss": np.ones((1, 5))})
    assert len(store.curves(run_ids, "train_loss")[run_ids[0]][0]) == 0


def test_a_wrong_shape_is_caught(store: Store, run_ids: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"curve train_loss: \(4, 2\), should be \(2, 4\)"):
        store.append_curves(run_ids, np.array([1, 2]), {"train_loss": np.ones((4, 2))})
