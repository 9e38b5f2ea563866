"""Trains finished runs once more for their ends, which nobody went on from when they were trained.

Nothing of a run changes: its weights must come out again bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from ravine.engine.cohort import Cohort, split
from ravine.engine.plan import plan
from ravine.engine.records import Arrays, Finished
from ravine.engine.training import Training
from ravine.errors import StoreError
from ravine.launch.ends import ends_for
from ravine.launch.faults import module_errors
from ravine.launch.progress import Meter, Progress
from ravine.launch.subject import Subject, by_structure
from ravine.store import Store
from ravine.study import Run


def once_more(subject: Subject, store: Store, runs: Sequence[Run], meter: Meter) -> Iterator[Progress]:
    """Train some runs again, by what trained them, and keep their ends.

    Args:
        subject: the study with its data and models.
        store: where the runs are.
        runs: that have finished.
        meter: counts their steps.

    Raises:
        StoreError: a run does not come out as it is stored, or something else trained it than there is here.
    """
    records = {run.id: store.run(run.id) for run in runs}
    for backend in sorted({record.backend or "" for record in records.values()}):
        word, _, where = backend.partition(" on ")
        own = [run for run in runs if (records[run.id].backend or "") == backend]
        if where != subject.device.type:
            raise StoreError(
                f"run {own[0].id}: its end, which others are to go on from, is not kept, and it cannot be trained "
                f"again here: {backend!r} trained it, this is {subject.device.type}"
            )
        for same in by_structure(own):
            network, data = subject.network(same), subject.data_of(same)
            size = 1 if word == "eager" else plan(same, network, data, subject.device, word).size
            for some in split(same, size):
                cohort = Cohort.of(some)
                training = Training(
                    cohort, network, data, word, subject.device, ends=ends_for(cohort.runs, store)
                )
                events = training.records(ends=True)
                with closing(events), module_errors(network.module, network.about):
                    for event in events:
                        if isinstance(event, Finished):
                            _keep(store, event, [run.id for run in cohort.runs])
                        meter.at(len(some) * training.step)
                        yield meter.read()
                meter.end_cohort(len(some) * cohort.recipe.steps, len(some), 0)
                yield meter.read()


def _keep(store: Store, finished: Finished, runs: Sequence[str]) -> None:
    for run in runs:
        stored = store.tensors("weights", run)
        if run not in finished.runs or not _same(
            stored, {name: array[finished.runs.index(run)] for name, array in finished.weights.items()}
        ):
            raise StoreError(
                f"run {run}: its end, which others are to go on from, is not kept, and trained again it did not come "
                "out as it is stored"
            )
    store.ends.add(finished.runs, finished.kept)


def _same(stored: Arrays, now: Arrays) -> bool:
    return stored.keys() == now.keys() and all(
        np.ascontiguousarray(array).tobytes() == np.ascontiguousarray(now[name]).tobytes()
        for name, array in stored.items()
    )
