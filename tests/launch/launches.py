"""A store that launches write to, and what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ravine.launch.launch import launch
from ravine.launch.progress import Event
from ravine.store import Store, kind_of
from ravine.study import Study

KINDS, SCORES = ("weights", "predictions"), ("validation_loss", "validation_accuracy")


def run_all(study: Study, store: Store, **options: Any) -> list[Event]:
    return list(launch(study, store, definition="text", **options))


def contents(root: Path, study: str, *, kept: bool = True) -> dict[str, str]:
    """For each run a hash of all that training left behind, but for times; also of what was kept on the way."""
    found = {}
    with Store(root, create=False) as store:
        for record in store.runs(study):
            digest = hashlib.sha256(
                repr((record.status, record.step, record.diverged_at, record.metrics)).encode()
            )
            if record.status == "done":
                averages = store.averages.names([record.id])[record.id]
                for kind in (*KINDS, *(kind_of(name, kind) for name in averages for kind in KINDS)):
                    for name, array in sorted(store.tensors(kind, record.id).items()):
                        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
            steps, path = store.kept.path(record.id)
            for name, array in sorted(path.items()) if kept else ():
                digest.update(name.encode() + steps.tobytes() + np.ascontiguousarray(array).tobytes())
            steps, bank = store.bank.read(record.id) if record.status == "done" else (steps, {})
            for name, array in sorted(bank.items()):
                digest.update(name.encode() + steps.tobytes() + np.ascontiguousarray(array).tobytes())
            for metric in dict.fromkeys(("train_loss", "train_accuracy", *SCORES, *record.metrics)):
                steps, values = store.curves([record.id], metric)[record.id]
                digest.update(repr((steps.tolist(), values.tolist())).encode())
            found[record.id] = digest.hexdigest()
    return found


def until(events: Iterator[Event], count: int) -> list[Event]:
    """The first events, and then the launch is closed, as Ctrl-C closes it."""
    seen = []
    for event in events:
        seen.append(event)
        if len(seen) == count:
            break
    events.close()  # type: ignore[attr-defined]
    return seen
