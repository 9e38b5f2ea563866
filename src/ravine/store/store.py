"""The store: studies, runs, curves, weights and predictions on disk; what a resume and a report live on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np

from ravine.errors import StoreError
from ravine.store import blocks, checking, cohorts, curves, database, lock, studies, upkeep
from ravine.store.averaged import Averages, check_kind, contents_of, cut_to
from ravine.store.banked import Bank
from ravine.store.bodies import Bodies, remove_unused
from ravine.store.core import Core
from ravine.store.ends import KIND as ENDS
from ravine.store.ends import Ends
from ravine.store.evaluated import Evaluated
from ravine.store.kept import Kept
from ravine.store.labels import StoredLabels
from ravine.store.launches import Launches
from ravine.store.measured import Measured
from ravine.store.opening import open_store
from ravine.store.preparations import Preparations
from ravine.store.records import (
    AveragedTensors,
    CohortRecord,
    NewRun,
    RunRecord,
    RunResult,
    StudyRecord,
)
from ravine.store.scored import Scored
from ravine.store.upgrade import digested_at


class Store:
    """All that studies leave behind, in one folder (or a PostgreSQL database with a folder beside it).

    Whatever happens to the process, the store has everything up to the last call that returned, and nothing
    half done: files are complete on disk before the transaction that refers to them.

    Args:
        root: a folder, or a database address ``postgresql+psycopg://...``; its blocks lie in `folder`, or in
            what ``?folder=`` at the address's end says.
        create: make the store if it isn't there yet.
        folder: where blocks and locks lie if `root` is an address; every user of it needs this folder.

    Attributes:
        averages: the averages of the weights of runs.
        bodies: frozen weights that runs have in common.
        bank: averages of runs at some of their steps, out of which others are made.
        ends: what runs go on with that begin where others end.
        evaluated: what runs predict at test by other modes than the mean pass.
        kept: the weights of runs along their training.
        labels: the right answers of data sets.
        launches: when studies were trained, where, and by which command.
        sharpness: how sharp the minima of runs are, where that was measured.
        preparations: what the data sets of studies did to raw values.
        scored: which recipes were scored on test.

    Raises:
        StoreError: not there, not a store, not writable, or of another version.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     store.save_study("s", definition="", base="b", data_fingerprint="d")
        ...     [study.name for study in store.studies()]
        ['s']
    """

    def __init__(
        self, root: Path | str = "runs", *, create: bool = True, folder: Path | str | None = None
    ) -> None:
        opened = open_store(root, create=create, folder=folder)
        # For people to read: an address without its password.
        self.root = database.describe(opened.engine) if "://" in str(root) else str(root)
        self.folder = opened.blocks.parent
        self._core = Core(opened, self.root)
        self.averages = Averages(self._core)
        self.bodies = Bodies(self._core)
        self.bank = Bank(self._core)
        self.ends = Ends(self._core)
        self.evaluated = Evaluated(self._core)
        self.kept = Kept(self._core)
        self.labels = StoredLabels(self._core)
        self.launches = Launches(self._core)
        self.sharpness = Measured(self._core)
        self.preparations = Preparations(self._core)
        self.scored = Scored(self._core)

    def close(self) -> None:
        """Close the database and release the lock. The store can't be used afterwards."""
        self._core.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Studies

    def save_study(
        self, name: str, *, definition: str, base: str, data_fingerprint: str, notes: Sequence[str] = ()
    ) -> None:
        """Add a study, or update its text.

        Args:
            name: of the study.
            definition: its TOML text.
            base: hash of everything that may not change under one name.
            data_fingerprint: of its data set.
            notes: what a reader of its results should know of how data and study were read.

        Raises:
            StoreError: a study of this name has another base or other data, and some of its runs have begun.
        """
        with self._core.write() as connection:
            own = {"definition": definition, "base": base, "data_fingerprint": data_fingerprint}
            studies.save(connection, name, **own, notes=notes)

    def check_study(self, name: str, *, definition: str, base: str, data_fingerprint: str) -> None:
        """See that `save_study` would take a study; nothing is written.

        Raises:
            StoreError: as `save_study`.
        """
        with self._core.read() as connection:
            studies.check(
                connection, name, definition=definition, base=base, data_fingerprint=data_fingerprint
            )

    def has(self, name: str) -> bool:
        """Whether there is a study of this name."""
        with self._core.read() as connection:
            return studies.find(connection, name) is not None

    def study(self, name: str) -> StudyRecord:
        """One study by name; StoreError with the nearest name if there is none."""
        with self._core.read() as connection:
            return studies.read(connection, name)[0]

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        with self._core.read() as connection:
            return studies.read(connection)

    def count_own_runs(self, name: str) -> int:
        """How many runs `delete_study` would delete: those that no other study uses."""
        with self._core.read() as connection:
            return len(upkeep.own_runs(connection, name))

    def shared_runs(self, name: str) -> dict[str, int]:
        """The other studies that use runs of a study, each with how many."""
        with self._core.read() as connection:
            return upkeep.shared_runs(connection, name)

    def delete_study(self, name: str) -> int:
        """Delete a study with all runs that no other study uses.

        Returns:
            The number of runs deleted.

        Raises:
            StoreError: no such study, or it is being run, or another one is that trains some of its runs.
        """
        with self.lock(name):
            with self._core.read() as connection:
                others = upkeep.sharing_cohorts(connection, name)
            for other in others:
                if (holder := self.holder(other)) is not None:
                    raise StoreError(
                        f"study {name!r} shares runs with study {other!r}, which is being run by {holder}: "
                        "wait for it, or stop it"
                    )
            with self._core.write() as connection:
                count, unused = upkeep.delete_study(connection, name)
                remove_unused(self._core, connection)
            self._core.remove(unused)
        return count

    def check_writable(self) -> None:
        """See that something can be stored, before it is computed.

        Raises:
            StoreError: the store can only be read, or somebody else keeps it locked.
        """
        with self._core.write():
            pass

    def lock(self, study: str) -> contextlib.AbstractContextManager[None]:
        """Lock a study for a ``with`` block; the system releases the lock if the process dies.

        Raises:
            StoreError: another process has locked it; the error names the process and the time.
        """
        return lock.study_lock(self._core.locks, study)

    def holder(self, study: str) -> str | None:
        """Who trains a study at present, for a person; None if nobody does."""
        return lock.holder(self._core.locks, study)

    # Runs

    def add_runs(self, study: str, runs: Sequence[NewRun], before: Sequence[NewRun] = ()) -> None:
        """Make these, in this order, the runs of a study. A run that is known keeps its state and results.

        The study's earlier runs that are not among them stay stored, but are no longer listed.

        Args:
            study: its name.
            runs: its runs.
            before: those that they go on from: stored as long as the study is, and not listed.
        """
        with self._core.write() as connection:
            studies.add_runs(connection, study, runs, before)

    def runs(self, study: str, *, all: bool = False) -> list[RunRecord]:
        """The runs of a study in its order; with `all` also those no longer in its definition, at the end."""
        with self._core.read() as connection:
            return studies.of_study(connection, study, everything=all)

    def looks_finished(self, study: str) -> bool:
        """Whether there is a study of this name without unfinished runs. A glance: no digest is looked at."""
        with self._core.read() as connection:
            return studies.looks_finished(connection, study)

    def statuses(self, run_ids: Sequence[str]) -> dict[str, str]:
        """The status of those of these runs that the store has, of whatever study."""
        with self._core.read() as connection:
            return studies.existing(connection, run_ids)

    def sharing(self, study: str, run_ids: Sequence[str]) -> list[str]:
        """The studies of other names that have one of these runs or of its own, unfinished, listed or not."""
        with self._core.read() as connection:
            return studies.sharing(connection, study, run_ids)

    def run(self, prefix: str) -> RunRecord:
        """The run whose id begins with these 4 to 16 hex digits; StoreError if there is none or several."""
        with self._core.read() as connection:
            return studies.by_prefix(connection, prefix)

    # Cohorts

    def open_cohort(self, cohort_id: str, run_ids: Sequence[str], plan: Mapping[str, Any]) -> None:
        """Start a cohort of planned runs: who is in it, in which order, and its plan are fixed from now on.

        Opening the same cohort again changes nothing.

        Raises:
            StoreError: it was started otherwise, or a run is not planned (running elsewhere, or finished).
        """
        with self._core.write() as connection:
            cohorts.start(connection, cohort_id, run_ids, plan)

    def cohorts(self, *, unfinished_for: Sequence[str]) -> list[CohortRecord]:
        """The unfinished cohorts that have any of these runs, in the runs' order."""
        with self._core.read() as connection:
            return cohorts.unfinished(connection, unfinished_for)

    def save_checkpoint(
        self, cohort_id: str, step: int, tensors: blocks.Tensors, status: Mapping[str, int | None]
    ) -> None:
        """Replace a cohort's checkpoint, all at once.

        Args:
            cohort_id: of an open cohort.
            step: steps done; never less than in the former checkpoint.
            tensors: everything needed to go on, of any shape.
            status: for each run the step at which it diverged, or None.
        """
        with self._core.entered({"checkpoint": tensors}) as (connection, written, unused):
            unused += cohorts.checkpoint(connection, cohort_id, step, written["checkpoint"], status)

    def load_checkpoint(self, cohort_id: str) -> tuple[int, dict[str, np.ndarray]] | None:
        """Step and tensors of a cohort's checkpoint; None if it has none yet."""
        with self._core.read() as connection:
            found = cohorts.checkpoint_block(connection, cohort_id)
        if found is None:
            return None
        step, block = found
        self._core.verify(block)
        return step, blocks.read(self._core.blocks, block)

    def drop_cohort(self, cohort_id: str) -> None:
        """Forget an unfinished cohort, its checkpoint and curves; its runs are planned again."""
        with self._core.write() as connection:
            unused = cohorts.drop(connection, cohort_id)
        self._core.remove(unused)

    def finish_cohort(
        self,
        cohort_id: str,
        results: Sequence[RunResult],
        weights: blocks.Tensors,
        predictions: blocks.Tensors,
        averages: Mapping[str, AveragedTensors] = MappingProxyType({}),
        ends: blocks.Tensors = MappingProxyType({}),
        lengths: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ) -> None:
        """Store how all runs of a cohort ended, all at once, and forget its checkpoint.

        Args:
            cohort_id: of an open cohort.
            results: one for each run of it, in any order.
            weights, predictions: tensors (R, ...) by name; row i belongs to ``results[i]``. There may be none.
            averages: the same of averages of the weights, by name.
            ends: where others go on from these runs, what they need beside the weights; like these.
            lengths: by name of a prediction how many examples each run has, where they differ: the rest is left out.
        """
        ids = [each.id for each in results]
        own = AveragedTensors(runs=ids, weights=weights, predictions={} if lengths else predictions)
        contents, runs_of = contents_of({"": own, **averages})
        if ends:
            contents[ENDS], runs_of[ENDS] = ends, ids
        cut = cut_to(lengths, predictions, ids) if predictions else {}
        contents |= {key: tensors for key, (_, tensors) in cut.items()}
        runs_of |= {key: runs for key, (runs, _) in cut.items()}
        with self._core.entered(contents) as (connection, written, unused):
            unused += cohorts.finish(connection, cohort_id, results, written, runs_of)

    # Curves

    def append_curves(
        self, run_ids: Sequence[str], steps: np.ndarray, values: Mapping[str, np.ndarray]
    ) -> None:
        """Add points to the curves of runs that are trained together.

        What is added replaces earlier points of the same run, metric and step, and a whole earlier call that
        began at the same step.

        Args:
            run_ids: the runs, (R,).
            steps: steps done, rising, (T,).
            values: for each metric (T, R), stored as float32; may contain NaN.
        """
        with self._core.write() as connection:
            curves.append(connection, run_ids, np.asarray(steps), values)

    def truncate_curves(self, run_ids: Sequence[str], after_step: int) -> None:
        """Forget points after this step: on resume, what the checkpoint doesn't know."""
        with self._core.write() as connection:
            curves.truncate(connection, run_ids, after_step)

    def curves(self, run_ids: Sequence[str], metric: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Steps int64 (T,) and values float32 (T,) of one metric for each run; empty where there are none."""
        return self.curves_of(run_ids, (metric,))[metric]

    def curves_of(
        self, run_ids: Sequence[str], metrics: Sequence[str]
    ) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """The same of several metrics, by metric."""
        with self._core.read() as connection:
            return curves.read(connection, run_ids, metrics)

    # Tensors

    def tensors(self, kind: str, run_id: str) -> dict[str, np.ndarray]:
        """The weights or predictions of one run.

        Args:
            kind: "weights" or "predictions", or of an average "ema 0.99/weights".
            run_id: its whole id.

        Returns:
            Tensors by name; writable copies.

        Raises:
            StoreError: it has none yet, or its file is damaged.
        """
        return self.tensors_many(kind, [run_id])[run_id]

    def tensors_many(self, kind: str, run_ids: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """`tensors` of many runs by id, each file opened once. A file's hash is checked once per `Store`."""
        check_kind(kind)
        with self._core.read() as connection:
            found = cohorts.find_rows(connection, kind, run_ids)
        read = self._core.rows(found)
        self.bodies.completed(read)
        return {run: read[run] for run in run_ids}

    def check(self) -> list[str]:
        """Read everything and list what is wrong, a line each; [] for a sound store."""
        return checking.check(self._core)

    @property
    def digested_at(self) -> str | None:
        """When a store that had no digests got them: older damage cannot be seen. None if it always had them."""
        with self._core.read() as connection:
            return digested_at(connection)
