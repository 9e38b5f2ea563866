"""Writes what a cohort's training yields to the store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.engine.cohort import Cohort
from ravine.engine.records import Arrays, Banked, Evaluation, Finished, Kept
from ravine.engine.training import TICK_SECONDS, Training
from ravine.errors import StoreError
from ravine.launch.ends import copy_curves
from ravine.store import RESTORED, AveragedTensors, RunResult, Store, kind_of

_BYTES_PER_SECOND = 1 << 27  # of a checkpoint, as long as none has been written


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a launch reports and writes.

    Args:
        tick_seconds: seconds between two reports of progress.
        checkpoint_seconds: least number of seconds between two checkpoints.
        checkpoint_share: share of the time that writing checkpoints may take.
        kept_bytes: bytes of weights along the way that wait in memory to be written together.
    """

    tick_seconds: float = TICK_SECONDS
    checkpoint_seconds: float = 5.0
    checkpoint_share: float = 0.05
    kept_bytes: int = 32 << 20


USUAL = Timing()


class Writer:
    """The store's side of one cohort.

    Args:
        store: where everything is written.
        cohort: the cohort in training.
        plan: how it is trained, as plain data, so that a later launch goes on in the same way.
        timing: how often checkpoints are written.
    """

    def __init__(self, store: Store, cohort: Cohort, plan: Mapping[str, Any], timing: Timing) -> None:
        self._store, self._cohort, self._timing = store, cohort, timing
        self._ids = [run.id for run in cohort.runs]
        self._pending: list[Evaluation] = []
        self._kept: list[Kept | Banked] = []
        self._kept_bytes = 0
        self._added = 0  # step of the last evaluation that was added
        self._finished = False
        self._next: float | None = None  # when the next checkpoint is due; None: nothing is known yet
        store.open_cohort(cohort.id, self._ids, plan)

    def begin(self) -> None:
        """Remove what a launch that was stopped before its first checkpoint may have written."""
        self._store.truncate_curves(self._ids, -1)
        copy_curves(self._cohort.runs, self._store)
        self._store.kept.truncate(self._ids, 0)
        self._store.bank.truncate(self._ids, 0)

    def resume(self) -> tuple[int, Arrays]:
        """Step and snapshot of the last checkpoint; curves and weights beyond it are removed."""
        found = self._store.load_checkpoint(self._cohort.id)
        assert found is not None, f"cohort {self._cohort.id} has no checkpoint"
        self._store.truncate_curves(self._ids, self._cohort.first_step + found[0])
        self._store.kept.truncate(self._ids, found[0])  # training keeps those of the checkpoint's step again
        self._store.bank.truncate(self._ids, found[0])
        return found

    def add(self, evaluation: Evaluation) -> None:
        """Collect points of curves; the next checkpoint writes them."""
        self._pending.append(evaluation)
        self._added = evaluation.step

    def keep(self, kept: Kept | Banked) -> None:
        """Collect weights along the way, or averages of them; the next checkpoint writes them, or an earlier moment."""
        self._kept.append(kept)
        self._kept_bytes += sum(array.nbytes for array in kept.weights.values())
        if self._kept_bytes > self._timing.kept_bytes:
            self._write_kept()

    def checkpoint_if_due(self, training: Training) -> None:
        """Write a checkpoint every few seconds, less often where writing one takes long."""
        began = time.perf_counter()
        if self._next is None:
            self._next = began + self._pause(training.setting.state.num_bytes() / _BYTES_PER_SECOND)
        if began < self._next:
            return
        self._checkpoint(training)
        ended = time.perf_counter()
        self._next = ended + self._pause(ended - began)

    def _pause(self, seconds: float) -> float:
        """Between two checkpoints that take so many seconds each."""
        return max(self._timing.checkpoint_seconds, seconds / self._timing.checkpoint_share)

    @contextmanager
    def saving(self, training: Training) -> Iterator[None]:
        """Within it, an interrupt between two steps writes a checkpoint; an interrupt during a step cannot."""
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            # An evaluation that was not added yet would be missing from the curves.
            seen = self._added == training.evaluated
            if not self._finished and training.step > 0 and training.whole and seen:
                with suppress(StoreError):  # if it had just finished, there is nothing to keep
                    self._checkpoint(training)
            raise

    def finish(self, finished: Finished) -> None:
        """Write the end of the cohort, all at once."""
        self._write_curves()
        self._write_kept()
        share = finished.seconds / len(self._ids)
        rows = {run_id: row for row, run_id in enumerate(finished.runs)}
        results = []
        for run in self._cohort.runs:
            row = rows.get(run.id)
            metrics = {} if row is None else {name: float(v[row]) for name, v in finished.metrics.items()}
            if row is not None and run.id in finished.restored:
                metrics[RESTORED] = float(finished.restored[run.id])
            for name, average in finished.averages.items():
                if run.id in average.runs:
                    of_it = average.runs.index(run.id)
                    metrics |= {
                        kind_of(name, metric): float(v[of_it]) for metric, v in average.metrics.items()
                    }
            diverged_at = finished.diverged.get(run.id)
            ended = finished.stopped.get(run.id, run.recipe.steps)
            results.append(
                RunResult(
                    id=run.id,
                    diverged_at=diverged_at,
                    step=ended if diverged_at is None else diverged_at,
                    seconds=share,
                    backend=finished.backend,
                    metrics=metrics,
                )
            )
        places = [rows.get(run_id, -1) for run_id in self._ids]
        model, left_out = self._cohort.recipe.model, self._store.bodies.left_out
        self._store.finish_cohort(
            self._cohort.id,
            results,
            {name: _placed(array, places) for name, array in left_out(model, finished.weights).items()}
            if finished.runs
            else {},
            {name: _placed(array, places) for name, array in finished.predictions.items()}
            if finished.runs
            else {},
            {
                name: AveragedTensors(
                    runs=average.runs,
                    weights=left_out(model, average.weights),
                    predictions=average.predictions,
                )
                for name, average in finished.averages.items()
            },
            {name: _placed(array, places) for name, array in finished.kept.items()} if finished.runs else {},
            {name: _lengths(array, places) for name, array in finished.lengths.items()},
        )
        self._finished = True

    def _checkpoint(self, training: Training) -> None:
        self._write_curves()
        self._write_kept()
        lost = training.diverged()
        status = {run_id: lost.get(run_id) for run_id in self._ids}
        self._store.save_checkpoint(self._cohort.id, training.step, training.snapshot(), status)

    def _write_curves(self) -> None:
        """Write the collected points, evaluations of the same runs together."""
        while self._pending:
            runs = self._pending[0].runs
            same = [e for e in self._pending if e.runs == runs]
            if runs:
                values = {name: np.stack([e.scores[name] for e in same]) for name in same[0].scores}
                steps = np.array([self._cohort.first_step + e.step for e in same])
                self._store.append_curves(runs, steps, values)
            # Only now: after an interrupt just before this line they are written once more, which changes nothing.
            self._pending = [e for e in self._pending if e.runs != runs]

    def _write_kept(self) -> None:
        """Write the collected weights, those of one kind and of the same runs in one file."""
        while self._kept:
            first = self._kept[0]
            same = [kept for kept in self._kept if _alike(kept, first)]
            if first.runs:
                arrays = {
                    name: np.concatenate([kept.weights[name] for kept in same]) for name in first.weights
                }
                part = self._store.kept if isinstance(first, Kept) else self._store.bank
                part.add(first.runs, [kept.step for kept in same], arrays)
            self._kept = [kept for kept in self._kept if not _alike(kept, first)]
        self._kept_bytes = 0


def _alike(one: Kept | Banked, other: Kept | Banked) -> bool:
    return type(one) is type(other) and one.runs == other.runs


def _lengths(of_runs: np.ndarray, places: list[int]) -> list[int]:
    """In the cohort's order; a diverged run, which predicts nothing, has as many examples as another one."""
    return [int(of_runs[max(place, 0)]) for place in places] if len(of_runs) else []


def _placed(array: np.ndarray, places: list[int]) -> np.ndarray:
    """Rows in the cohort's order. The row of a diverged run is NaN, or 0 for integers."""
    if -1 not in places:
        return array[places]
    missing = np.nan if np.issubdtype(array.dtype, np.floating) else 0
    filler = np.full((1, *array.shape[1:]), missing, dtype=array.dtype)
    return np.concatenate([array, filler])[places]
