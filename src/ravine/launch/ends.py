"""The ends of runs that others go on from: read from the store, and what becomes of runs that cannot go on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ravine.engine.beginning import End
from ravine.engine.cohort import Cohort
from ravine.errors import StoreError
from ravine.launch.rounds import parent_of
from ravine.launch.subject import by_structure
from ravine.store import RunResult, Store
from ravine.store.ends import KIND
from ravine.study import Run

CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
_NOTHING = {"backend": "none"}  # how runs are trained that cannot go on


def ends_for(runs: Sequence[Run], store: Store) -> dict[str, End] | None:
    """The end that each run goes on from, by the id of the run; None where they begin anew.

    Raises:
        StoreError: the store does not have one, or a file is damaged.
    """
    parents = {run.id: parent for run in runs if (parent := parent_of(run)) is not None}
    if not parents:
        return None
    ids = list(dict.fromkeys(parent.id for parent in parents.values()))
    lacking = set(ids) - store.ends.having(ids)
    if lacking:
        run = min(lacking)
        raise StoreError(f"run {run}: its end is not kept, so that no run can go on from it")
    weights, kept = store.tensors_many("weights", ids), store.tensors_many(KIND, ids)
    ends = {each: End(weights=weights[each], kept=kept[each]) for each in ids}
    return {run: ends[parent.id] for run, parent in parents.items()}


def copy_curves(runs: Sequence[Run], store: Store) -> None:
    """Let the curves of runs begin with those of the runs that they go on from, whose steps come before theirs."""
    parents = {run.id: parent.id for run in runs if (parent := parent_of(run)) is not None}
    found = store.curves_of(list(dict.fromkeys(parents.values())), CURVES) if parents else {}
    groups: dict[tuple[str, bytes], list[str]] = {}
    for metric, curves in found.items():
        for run, of in parents.items():
            if len(curves[of][0]):
                groups.setdefault((metric, curves[of][0].tobytes()), []).append(run)
    for (metric, _), some in groups.items():
        steps = found[metric][parents[some[0]]][0]
        values = np.stack([found[metric][parents[run]][1] for run in some], 1)
        store.append_curves(some, steps, {metric: values})


def lost(runs: Sequence[Run], store: Store) -> list[Run]:
    """Those of some runs that have not begun and never can: the run that they would go on from has diverged."""
    parents = {run.id: parent.id for run in runs if (parent := parent_of(run)) is not None}
    status = store.statuses([*parents, *parents.values()])
    return [
        run
        for run in runs
        if run.id in parents
        and status.get(parents[run.id]) == "diverged"
        and status.get(run.id, "planned") == "planned"
    ]


def lose(runs: Sequence[Run], store: Store) -> None:
    """Enter that these runs have diverged, at the step at which they would have begun."""
    for same in by_structure(runs):
        cohort = Cohort.of(same)
        ids = [run.id for run in cohort.runs]
        store.open_cohort(cohort.id, ids, _NOTHING)
        copy_curves(cohort.runs, store)
        results = [
            RunResult(id=run, diverged_at=0, step=0, seconds=0.0, backend="none", metrics={}) for run in ids
        ]
        store.finish_cohort(cohort.id, results, {}, {})
