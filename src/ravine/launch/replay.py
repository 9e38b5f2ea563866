"""Trains one stored run again, alone, and compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ravine.engine.cohort import Cohort
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.errors import StoreError
from ravine.launch.ends import ends_for
from ravine.launch.subject import Subject, stored_run
from ravine.messages import count
from ravine.store import FINISHED, Store
from ravine.study import Study
from ravine.study.naming import naming


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How far a run trained alone is from the stored one.

    Args:
        run: its id.
        stored_backend: what trained the stored run.
        backend: what trained it this time.
        largest: the largest absolute difference of a weight.
        relative: the norm of the difference of all weights, by the norm of the stored weights.
        stored_diverged_at, diverged_at: the step at which it diverged, then and now; None if it did not.
        agreement: for people: for how many test examples both predict the same class, or for regression the
            largest difference of two predictions; None if the run diverged.
    """

    run: str
    stored_backend: str
    backend: str
    largest: float
    relative: float
    stored_diverged_at: int | None
    diverged_at: int | None
    agreement: str | None


def replay(
    study: Study, store: Store, prefix: str, *, search: Path | None = None, device: str = "auto"
) -> Iterator[int | Replayed]:
    """Train a stored run once more, alone and serially.

    Args:
        study: the run's study, for data and model.
        store: where the run is.
        prefix: the beginning of its id.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        Steps done, and at the end the comparison.

    Raises:
        StoreError: there is no such run, it has not finished, or its data or model have changed.
    """
    record = store.run(prefix)
    if record.status not in FINISHED:
        raise StoreError(f"run {record.id} is {record.status}; only a run that has finished can be replayed")
    subject, run = Subject.of(study, search=search, device=device), stored_run(record)
    with naming(study.origin):
        subject.check_same([record])
        network, data = subject.network([run]), subject.data_of([run])
    ends = ends_for([run], store)
    training = Training(Cohort.of([run]), network, data, "eager", subject.device, ends=ends)
    for event in training.records():
        if isinstance(event, Finished):
            yield _compared(store, record.id, record.backend or "", record.diverged_at, event, data.task)
        else:
            yield event.step


def _compared(
    store: Store, run_id: str, backend: str, diverged_at: int | None, finished: Finished, task: str
) -> Replayed:
    largest, relative, agreement = 0.0, 0.0, None
    if diverged_at is None and finished.runs:
        stored = store.tensors("weights", run_id)
        pairs = [
            (stored[name].astype(np.float64), new[0].astype(np.float64))
            for name, new in finished.weights.items()
        ]
        largest = max(float(np.abs(old - new).max(initial=0.0)) for old, new in pairs)
        squares = [(float(np.square(old - new).sum()), float(np.square(old).sum())) for old, new in pairs]
        norm = sum(square for _, square in squares)
        relative = (sum(square for square, _ in squares) / norm) ** 0.5 if norm else 0.0
        old, new = store.tensors("predictions", run_id)["test"], finished.predictions["test"][0]
        if task == "classification":
            same = int((old.argmax(-1) == new.argmax(-1)).sum())
            agreement = f"the same class for {same:,} of {count(len(old), 'example')}"
        elif task == "multilabel":
            same = int(((old > 0) == (new > 0)).all(-1).sum())
            agreement = f"the same labels for {same:,} of {count(len(old), 'example')}"
        else:
            agreement = f"predictions differ by at most {np.abs(old - new).max():.2g}"
    return Replayed(
        run=run_id,
        stored_backend=backend,
        backend=finished.backend,
        largest=largest,
        relative=relative,
        stored_diverged_at=diverged_at,
        diverged_at=finished.diverged.get(run_id),
        agreement=agreement,
    )
