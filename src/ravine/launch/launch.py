"""Trains the runs that a study still lacks, and writes them to its store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ravine.backends import check_backend
from ravine.data import Dataset
from ravine.engine.cohort import Cohort, split
from ravine.engine.plan import Plan, plan
from ravine.engine.programs import TOGETHER, backend_of
from ravine.engine.records import Banked, Evaluation, Finished, Kept, Tick
from ravine.engine.training import Training
from ravine.errors import InputError, RavineError, StoreError, in_a_line
from ravine.free_memory import memory_errors
from ravine.launch.averages import check_averages, lacking_lines, without_lines
from ravine.launch.checked import check_test_time
from ravine.launch.enter import enter_runs, enter_study, kept_lines, stage_lines
from ravine.launch.faults import module_errors
from ravine.launch.machine import hardware, versions
from ravine.launch.progress import Event, Meter, Planned, Trained
from ravine.launch.room import AveragesRoom, check_room, room_of
from ravine.launch.stages import second_stage
from ravine.launch.subject import Subject, by_structure, stored_run
from ravine.launch.writer import USUAL, Timing, Writer
from ravine.messages import count
from ravine.store import FINISHED, Store
from ravine.study import Run, Study
from ravine.study.averages import parse_averages
from ravine.study.naming import naming


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A cohort to train: a new one, or one to go on with.

    Args:
        cohort: its runs.
        backend: a word of `ravine.engine.programs.BACKENDS`.
        plan: the same, as the store has it: cohorts of older versions keep theirs.
        resumed: whether it goes on from a checkpoint.
    """

    cohort: Cohort
    backend: str
    plan: Mapping[str, Any]
    resumed: bool


@dataclass(slots=True, kw_only=True)
class _Totals:
    """What a launch has trained so far, both stages of a staged study together."""

    num_trained: int = 0
    num_diverged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What all cohorts of a launch have in common."""

    subject: Subject
    store: Store
    timing: Timing
    command: str
    file: str | None

    @property
    def study(self) -> Study:
        return self.subject.study

    @property
    def data(self) -> Dataset:
        return self.subject.data


def launch(
    study: Study,
    store: Store,
    *,
    definition: str,
    data: Dataset | None = None,
    search: Path | None = None,
    device: str = "auto",
    backend: str = "auto",
    command: str = "",
    file: str | None = None,
    timing: Timing = USUAL,
) -> Iterator[Event]:
    """Train the runs of a study that the store does not have yet.

    Whatever stops it, calling it again goes on from the last checkpoint; runs that have finished are never trained
    again. If the caller closes the iterator, or Ctrl-C comes between two steps, the cohort in training is written as it
    is at that moment; if it comes during a step, the store has the last checkpoint.

    Args:
        study: what to train.
        store: where everything is written.
        definition: the study's text, stored with it.
        data: its data set, where it has been read already.
        search: the study file's folder, where a user's module is looked for.
        device: "auto", "cpu", "cuda" or "mps".
        backend: "auto", "native", "fused", "compiled" or "serial"; cohorts with a checkpoint keep theirs, and
            with "auto" so do cohorts that were only planned.
        command: what reproduces the launch, stored with it.
        file: the study's file, stored with it; None for a study made in Python.
        timing: how often it reports and writes checkpoints.

    Yields:
        The plan, progress about ten times a second, and the end.

    Raises:
        InputError: the study does not fit its data, its model or the store.
    """
    began = time.perf_counter()
    check_backend(backend)
    subject = Subject.of(study, data=data, search=search, device=device)
    task = _Task(subject=subject, store=store, timing=timing, command=command, file=file)
    data, runs = subject.data, subject.runs()
    with store.lock(study.name):
        enter_study(study, store, data=data, definition=definition, search=search)
        second = second_stage(study, store, runs) if study.staged else []
        totals = _Totals()
        yield from _round(task, [*runs, *(second or [])], backend, totals)
        if second is None:  # the first stage has just been finished
            second = second_stage(study, store, runs)
            assert second is not None, "all of the first stage has been trained"
            if second:
                yield from _round(task, [*runs, *second], backend, totals)
    yield Trained(
        seconds=time.perf_counter() - began,
        num_trained=totals.num_trained,
        num_diverged=totals.num_diverged,
    )


def _round(task: _Task, runs: Sequence[Run], choice: str, totals: _Totals) -> Iterator[Event]:
    """Make these the runs of the study, and train those that the store lacks."""
    began = time.perf_counter()
    study, store = task.study, task.store
    enter_runs(study, store, runs)
    try:
        with naming(study.origin), memory_errors("model"):
            check_averages(study, runs, len(task.data.train))
            remarks = check_test_time(study, task.subject, runs)
            works, lines, num_known = _plan(task, runs, choice)
            lines += _keep_lines(task, runs, [run for work in works for run in work.cohort.runs])
            lines += remarks if works else []
    except InputError:
        store.forget_unlaunched(study.name)
        raise
    planned = Planned(
        num_runs=len(runs),
        num_known=num_known,
        num_resumed=sum(len(work.cohort.runs) for work in works if work.resumed),
        lines=(*stage_lines(study, runs), *lines),
    )
    number = store.begin_launch(
        study.name,
        command=task.command,
        file=task.file,
        versions=versions(),
        hardware=hardware(task.subject.device.type) if works else {},
        plan=planned.line,
    )
    yield planned
    to_train = [run for work in works for run in work.cohort.runs]
    meter = Meter(
        sum(run.recipe.steps for run in to_train),
        len(to_train),
        higher_is_better=task.data.task == "classification",
    )
    for work in works:
        with naming(study.origin), memory_errors("model", len(work.cohort.runs)):
            yield from _train(task, work, meter)
    store.end_launch(number, time.perf_counter() - began)
    totals.num_trained += len(to_train)
    totals.num_diverged += meter.num_diverged


def _keep_lines(task: _Task, runs: Sequence[Run], to_train: Sequence[Run]) -> list[str]:
    """Lines about the disk space of kept weights and averages, and about finished runs that have none."""
    study = task.study
    lines = []
    if study.keep is not None and to_train:
        room = room_of(study.keep, to_train, task.subject.network, task.data)
        check_room(study, room, task.store.folder)
        lines += room.lines()
    if study.averages is not None and to_train:
        averages_room = AveragesRoom.of(study.averages, to_train, task.subject.network)
        averages_room.check(task.store.folder)
        lines += averages_room.lines(study.averages)
        lines += without_lines(study, to_train, len(task.data.train))
    coming = {run.id for run in to_train}
    known = [run for run in runs if run.id not in coming]
    ids = [run.id for run in known]
    kept = kept_lines(study, task.store, known, len(task.data.train))
    return [*lines, *kept, *lacking_lines(study, task.store, ids)]


def _plan(task: _Task, runs: Sequence[Run], choice: str) -> tuple[list[_Work], list[str], int]:
    """The cohorts to train, lines about them for people, and how many runs have finished already."""
    store = task.store
    status = {record.id: record.status for record in store.runs(task.study.name)}
    wanted = [run for run in runs if status[run.id] not in FINISHED]
    num_known = len(runs) - len(wanted)
    averages = None if task.study.averages is None else task.study.averages.content()
    num_averages = len(task.study.averages.tracked) if task.study.averages else 0
    works: list[_Work] = []
    lines: list[str] = []
    begun: set[str] = set()
    for record in store.cohorts(unfinished_for=[run.id for run in wanted]):
        if not record.checkpoint and choice != "auto":
            store.drop_cohort(record.id)
            continue
        begun.update(record.run_ids)
        how = record.plan
        if not record.checkpoint and how.get("averages") != averages:
            store.drop_cohort(record.id)  # planned, by the same backend, for other averages
            how = _how(backend_of(how), averages)
            store.open_cohort(record.id, record.run_ids, how)
        own = parse_averages(how.get("averages"))
        cohort = Cohort.of([stored_run(store.run(run_id)) for run_id in record.run_ids], own)
        backend = backend_of(how)
        works.append(_Work(cohort=cohort, backend=backend, plan=how, resumed=record.checkpoint))
        go, start = ("goes", "starts") if len(record.run_ids) == 1 else ("go", "start")
        words = f"{go} on from step {record.step:,}" if record.checkpoint else f"{start} as planned before"
        if record.checkpoint and how.get("averages") != averages:
            words += f", with the averages that {'it' if len(record.run_ids) == 1 else 'they'} began with"
        lines.append(f"{count(len(record.run_ids), 'run')} {words}, {backend}")
    for same in by_structure([run for run in wanted if run.id not in begun]):
        network = task.subject.network(same)
        chosen = plan(same, network, task.data, task.subject.device, choice, num_averages)
        groups = split(same, chosen.size)
        for group in groups:
            how = _how(chosen.backend, averages)
            cohort = Cohort.of(group, task.study.averages)
            work = _Work(cohort=cohort, backend=chosen.backend, plan=how, resumed=False)
            # In the store before any of them is trained: a later launch might measure, and choose, differently.
            store.open_cohort(work.cohort.id, [run.id for run in work.cohort.runs], work.plan)
            works.append(work)
        lines.append(_line(len(same), len(groups), chosen, task.subject.device))
        lines += [f"! {network.remark}"] if network.remark else []
    return works, lines, num_known


def _how(backend: str, averages: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a cohort is trained, as the store has it."""
    return {"backend": backend} | ({} if averages is None else {"averages": averages})


def _line(num_runs: int, num_cohorts: int, chosen: Plan, device: torch.device) -> str:
    """How the runs of one structure are trained, for people."""
    runs = count(num_runs, "run")
    if chosen.backend in TOGETHER:
        how = (
            f"{runs} at once"
            if num_cohorts == 1
            else f"{runs} in {num_cohorts} cohorts of about {num_runs // num_cohorts}"
        )
    else:
        how = f"{runs}, one after another" if num_runs > 1 else runs
    return f"{how}, {chosen.backend} on {device.type}" + (f" ({chosen.why})" if chosen.why else "")


def _train(task: _Task, work: _Work, meter: Meter) -> Iterator[Event]:
    """Train one cohort to its end, with checkpoints on the way."""
    cohort = work.cohort
    writer = Writer(task.store, cohort, work.plan, task.timing)
    start = None
    if work.resumed:
        start = writer.resume()
    else:
        writer.begin()
    network = task.subject.network(cohort.runs)
    try:
        training = Training(cohort, network, task.data, work.backend, task.subject.device, start)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        if start is None or isinstance(error, RavineError):
            raise
        raise StoreError(
            f"cohort {cohort.id}: its checkpoint has other tensors than its runs need ({in_a_line(error)}): "
            f"restore a backup, or delete study {task.subject.study.name!r}"
        ) from error
    num_runs, steps = len(cohort.runs), cohort.recipe.steps
    if start is not None:
        meter.resume(training.run_steps())
    score = "validation_accuracy" if task.data.task == "classification" else "validation_loss"
    labels = {run.id: run.label for run in cohort.runs}
    records = training.records(task.study.keep, tick_seconds=task.timing.tick_seconds)
    network = training.network
    with closing(records), module_errors(network.module, network.about), writer.saving(training):
        for record in records:
            if isinstance(record, Evaluation):
                writer.add(record)
                _note_best(meter, record, score, labels)
            elif isinstance(record, Kept | Banked):
                writer.keep(record)
            elif isinstance(record, Tick):
                writer.checkpoint_if_due(training)
            elif isinstance(record, Finished):
                writer.finish(record)
                meter.end_cohort(num_runs * steps, num_runs, len(record.diverged))
                yield meter.read()
                return
            meter.at(training.run_steps())
            yield meter.read(len(training.diverged()))


def _note_best(meter: Meter, record: Evaluation, score: str, labels: dict[str, str]) -> None:
    values = record.scores[score]
    if len(values):
        best = int(values.argmax() if score == "validation_accuracy" else values.argmin())
        meter.score(float(values[best]), labels[record.runs[best]])
