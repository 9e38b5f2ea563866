"""Enters a study and its runs into a store. Where all runs have finished already, that is the whole launch.

Nothing here imports PyTorch: a study with nothing to train is read and judged without it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ravine.data import Dataset
from ravine.data.fold_notes import notes_in
from ravine.data.parts import part_of
from ravine.errors import StoreError
from ravine.launch.averages import check_averages, lacking_lines
from ravine.launch.machine import versions
from ravine.launch.progress import Planned
from ravine.launch.rounds import parents_of
from ravine.launch.stages import second_stage
from ravine.messages import count
from ravine.schedules import parse_schedule
from ravine.store import FINISHED, Labels, NewRun, Store
from ravine.study import STAGE, Run, Study, base_of, notes_of, runs_of
from ravine.study.folds import folds_in
from ravine.study.keep import Keep
from ravine.study.naming import naming
from ravine.study.precision import modules_in_float32


def check_enter(
    study: Study, store: Store, runs: Sequence[Run], *, data: Dataset, definition: str, search: Path | None
) -> None:
    """See that a study and its runs can be entered; nothing is written.

    Args:
        study: the study.
        store: where it would be entered.
        runs: its runs.
        data: its data set.
        definition: its text.
        search: the study file's folder.

    Raises:
        StoreError: the store has another study of this name, and some of its runs have begun; or some of these runs
            are being trained for another study.
    """
    store.check_writable()
    with naming(study.origin):
        base = base_of(study, data, search)
        store.check_study(study.name, definition=definition, base=base, data_fingerprint=data.fingerprint)
    _check_alone(store, study.name, [*runs, *parents_of(runs)])


def enter_study(study: Study, store: Store, *, data: Dataset, definition: str, search: Path | None) -> None:
    """Enter a study: its text, the right answers of its data, and what was done to their raw values.

    A study that the store has already gets the new text.

    Args:
        study: the study.
        store: where it is entered.
        data: its data set.
        definition: its text.
        search: the study file's folder.

    Raises:
        StoreError: the store has another study of this name, and some of its runs have begun.
    """
    with naming(study.origin):
        store.save_study(
            study.name,
            definition=definition,
            base=base_of(study, data, search),
            data_fingerprint=data.fingerprint,
            notes=_notes(study, store, data, definition),
        )
    store.labels.put(data.fingerprint, labels_of(data))
    for part in folds_in(data):
        assert data.folds is not None, "it has folds"
        if not store.labels.has(part.key(data.fingerprint)):
            store.labels.put(part.key(data.fingerprint), labels_of(data.folds.of(part)))
    if study.ladder is not None and data.score_weights is not None:
        for rung in study.ladder.parts:
            if not store.labels.has(rung.key(data.fingerprint)):
                store.labels.put(rung.key(data.fingerprint), labels_of(part_of(data, rung)))
    store.preparations.put(study.name, data.known_preparation.content())
    store.evaluated.ask(study.name, None if study.test_time is None else study.test_time.content())


def _notes(study: Study, store: Store, data: Dataset, definition: str) -> tuple[str, ...]:
    """What was done to the data, and what is to be said of the study; of folds that were looked at before as stored."""
    if data.folds is not None and store.has(study.name):
        known = store.study(study.name)
        if (known.definition, known.data_fingerprint) == (definition, data.fingerprint):
            return known.notes
    return (*notes_in(data), *notes_of(study, data))


def enter_runs(study: Study, store: Store, runs: Sequence[Run]) -> None:
    """Make these the runs of a study.

    Raises:
        StoreError: some of them are being trained for another study.
    """
    before = parents_of(runs)
    store.add_runs(study.name, [_new_run(run) for run in runs], [_new_run(run) for run in before])
    _check_alone(
        store, study.name, [*runs, *before]
    )  # once more: another study might have begun at the same time


def enter_finished(
    study: Study,
    store: Store,
    *,
    definition: str,
    data: Dataset,
    search: Path | None = None,
    command: str = "",
    file: str | None = None,
) -> Planned | None:
    """The whole launch of a study with nothing left to train.

    Args:
        study: a study that the store has, perhaps with other runs.
        store: where it is.
        definition: the study's text, stored with it.
        data: its data set.
        search: the study file's folder.
        command: what reproduces the launch, stored with it.
        file: the study's file, stored with it; None for a study made in Python.

    Returns:
        The plan; None, with nothing changed, if some run has not finished, or not been evaluated as the study asks.

    Raises:
        InputError: the study does not fit its data, its model or the store.
    """
    began = time.perf_counter()
    if modules_in_float32(study.parts):  # a network says whether it is, and is built elsewhere
        return None
    runs = _finished(study, store, runs_of(study, data, search), search)
    if runs is None or not _evaluated(study, store, runs):
        return None
    with naming(study.origin):
        check_averages(study, runs, len(data.train))
    with store.lock(study.name):
        enter_study(study, store, data=data, definition=definition, search=search)
        enter_runs(study, store, runs)
        ids = [run.id for run in runs]
        planned = Planned(
            num_runs=len(runs),
            num_known=len(runs),
            num_resumed=0,
            lines=(
                *stage_lines(study, runs),
                *kept_lines(study, store, runs, len(data.train)),
                *lacking_lines(study, store, ids),
            ),
        )
        number = store.launches.begin(
            study.name, command=command, file=file, versions=versions(), hardware={}, plan=planned.line
        )
        store.launches.end(number, time.perf_counter() - began)
    return planned


def _finished(study: Study, store: Store, first: list[Run], search: Path | None) -> list[Run] | None:
    """The runs of a study and of its second stage; None if some run has not finished."""
    second = second_stage(study, store, first, search) if study.staged else []
    if second is None:
        return None
    runs = [*first, *second]
    status = {record.id: record.status for record in store.runs(study.name, all=True)}
    return runs if all(status.get(run.id) in FINISHED for run in runs) else None


def _evaluated(study: Study, store: Store, runs: Sequence[Run]) -> bool:
    """Whether runs that have finished were evaluated by all modes that a study asks for."""
    if study.test_time is None:
        return True
    done = [run_id for run_id, status in store.statuses([run.id for run in runs]).items() if status == "done"]
    return all(len(store.evaluated.having(mode.id, done)) == len(done) for mode in study.test_time.asked)


def _check_alone(store: Store, name: str, runs: Sequence[Run]) -> None:
    """Raise StoreError if runs of a study are being trained for another study: a cohort has one trainer."""
    for other in store.sharing(name, [run.id for run in runs]):
        holder = store.holder(other)
        if holder is not None:
            raise StoreError(
                f"study {name!r} shares runs with study {other!r}, which is being run by {holder}: "
                "wait for it, or stop it"
            )


def stage_lines(study: Study, runs: Sequence[Run]) -> list[str]:
    """A line for people about the stage of a staged study; no line for other studies."""
    if not study.staged:
        return []
    decays = study.tune == "staged"
    chosen = {run.label: run.chosen["lr"] for run in runs if run.chosen[STAGE] == "2"}
    if not chosen:
        return [f"stage 1: every config {'at a constant lr' if decays else 'without dropout'}"]
    best = ", ".join(f"{label} (lr {lr:.4g})" for label, lr in chosen.items())
    what = count(study.later, "schedule") if decays else f"{count(study.later, 'rate')} of dropout"
    return [f"stage 2: {what} for the best of {best}"]


def kept_times(keep: Keep, run: Run, num_train: int) -> int:
    """How often the weights of a run are kept along the way."""
    recipe = run.recipe
    schedule = parse_schedule(dict(recipe.schedule))
    return len(keep.along(recipe.steps, num_train // recipe.batch_size, schedule))


def kept_lines(study: Study, store: Store, known: Sequence[Run], num_train: int) -> list[str]:
    """A line for people about trained runs without the weights along the way that the study keeps, if there are any.

    Args:
        study: the study.
        store: where the runs are.
        known: the runs that have finished.
        num_train: training examples.
    """
    if study.keep is None:
        return []
    kept = store.kept.steps([run.id for run in known])
    without = sum(not kept[run.id] and kept_times(study.keep, run, num_train) > 0 for run in known)
    if not without:
        return []
    were = "was" if without == 1 else "were"
    return [
        f"{count(without, 'run')} that the store has already {were} trained without keep: no weights along the way, "
        "and none are trained again"
    ]


def _new_run(run: Run) -> NewRun:
    return NewRun(
        id=run.id,
        config=run.recipe.id,
        rule=run.label,
        hypers=run.chosen,
        seed=run.seed,
        recipe=run.recipe.content(),
        num_steps=run.recipe.steps,
    )


def labels_of(data: Dataset) -> Labels:
    """The right answers, for regression in the target's own units."""
    scale = data.target_scale
    return Labels(
        name=data.name,
        task=data.task,
        classes=data.classes,
        sizes=(len(data.train), len(data.validation), len(data.test)),
        validation=data.in_own_units(data.validation.y),
        test=data.in_own_units(data.test.y),
        training_mean=_training_mean(data),
        targets=data.targets,
        scale=scale if isinstance(scale, tuple) else (),
        weights=data.score_weights,
    )


def _training_mean(data: Dataset) -> np.ndarray:
    """What training answers are on average: the share of each class, or the mean of the target in its own units."""
    if data.task == "classification":
        return np.bincount(data.train.y, minlength=len(data.classes)) / len(data.train)
    return np.atleast_1d(np.mean(data.in_own_units(data.train.y), axis=0, dtype=np.float64))
