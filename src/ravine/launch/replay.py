"""Trains one stored run again, alone, and compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ravine.data import Dataset, load
from ravine.engine.cohort import Cohort
from ravine.engine.device import find_device
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.errors import StoreError
from ravine.launch.network import network_of
from ravine.store import Store
from ravine.study import Recipe, Run, Study, content_id
from ravine.study.model import structure_of
from ravine.study.naming import naming, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How far a run trained alone is from the stored one.

    Args:
        run: its id.
        stored_backend: what trained it then.
        backend: what trained it now.
        largest: largest absolute difference of any weight.
        relative: norm of the difference of all weights over the norm of the stored ones.
        stored_diverged_at, diverged_at: steps, or None.
        agreement: for people: on how many test examples both predict the same class, or for regression the
            largest difference of a prediction; None if the run diverged.
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
        study: the study that holds it: its data and its model.
        store: where the run is kept.
        prefix: of its id.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        Steps done, and last the comparison.

    Raises:
        StoreError: no such run, it has not finished, or the data or the model are others than they were.
    """
    record = store.run(prefix)
    if record.status not in ("done", "diverged"):
        raise StoreError(f"run {record.id} is {record.status}; only a run that has finished can be replayed")
    recipe = Recipe.of(record.recipe)
    where = find_device(device)
    run = Run(recipe=recipe, seed=record.seed, label=record.rule, chosen=record.hypers)
    with naming(study.origin):
        data = load(study.data, base=search)
        check_same(record.id, recipe, data, structure_of(study.model, search))
        network = network_of(study, data, [run], where, search)
    training = Training(Cohort.of([run]), network, data, "eager", where)
    for event in training.records():
        if isinstance(event, Finished):
            yield _compared(store, record.id, record.backend or "", record.diverged_at, event, data.task)
        else:
            yield event.step


def check_same(run_id: str, recipe: Recipe, data: Dataset, model: Mapping[str, Any]) -> None:
    """See that the study's data and model are those that a run was trained with.

    Raises:
        StoreError: they are others.
    """
    if data.fingerprint != recipe.data:
        raise StoreError(
            f"run {run_id} was trained on other data than this study's {data.name} is now "
            f"(fingerprint {recipe.data[:8]}, now {data.fingerprint[:8]})"
        )
    if content_id(model) != content_id(recipe.model):
        told = [
            f"model.{key}: {shown(recipe.model.get(key))} -> {shown(model.get(key))}"
            for key in dict.fromkeys((*recipe.model, *model))
            if recipe.model.get(key) != model.get(key)
        ]
        raise StoreError(f"run {run_id} was trained with another model than this study's: {', '.join(told)}")


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
            agreement = f"the same class for {same:,} of {len(old):,} examples"
        else:
            agreement = f"predictions differ by {np.abs(old - new).max():.2g} at most"
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
