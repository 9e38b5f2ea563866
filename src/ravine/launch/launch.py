"""Trains the runs that a study still lacks, and writes them to its store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ravine.backends import check_backend
from ravine.data import Dataset
from ravine.engine.records import Banked, Evaluation, Finished, Kept, Tick
from ravine.engine.training import Training
from ravine.errors import RavineError, StoreError, in_a_line
from ravine.free_memory import memory_errors
from ravine.launch.averages import check_averages
from ravine.launch.checked import check_test_time
from ravine.launch.ends import ends_for, lose, lost
from ravine.launch.enter import check_enter, enter_runs, enter_study, stage_lines
from ravine.launch.faults import module_errors
from ravine.launch.machine import hardware, versions
from ravine.launch.once_more import once_more
from ravine.launch.progress import TRAINING, Event, Meter, Planned, Trained
from ravine.launch.rounds import Round, rounds_of, trained
from ravine.launch.stages import second_stage
from ravine.launch.subject import Subject, by_structure
from ravine.launch.works import Work, check_second_stage, decide, known_lines, lacking
from ravine.launch.writer import USUAL, Timing, Writer
from ravine.messages import count
from ravine.store import Store
from ravine.study import Run, Study
from ravine.study.cost import cost_lines
from ravine.study.naming import naming


@dataclass(slots=True, kw_only=True)
class _Totals:
    """What a launch has trained so far, both stages of a staged study together."""

    num_trained: int = 0
    num_diverged: int = 0


@dataclass(slots=True, kw_only=True)
class _Task:
    """What all cohorts of a launch have in common, and what it has done and said so far."""

    subject: Subject
    store: Store
    timing: Timing
    definition: str
    command: str
    file: str | None
    since: float
    _said: set[str] = field(default_factory=set, init=False)
    _before: set[str] = field(default_factory=set, init=False)

    def fresh(self, lines: Iterable[str]) -> list[str]:
        """Those of some lines for people that this launch has not said yet."""
        found = [line for line in dict.fromkeys(lines) if line not in self._said]
        self._said.update(found)
        return found

    def lap(self) -> float:
        """Seconds since the launch began, or since the last call, with what was prepared, such as features."""
        now = time.perf_counter()
        seconds, self.since = now - self.since, now
        return seconds

    def trained(self, runs: Iterable[Run]) -> None:
        """Note that runs were trained since others go on from them."""
        self._before.update(run.id for run in runs)

    def trained_before(self, runs: Iterable[Run]) -> int:
        """How many of some runs that is true of."""
        return sum(run.id in self._before for run in runs)

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
        What is prepared, the plan, progress about ten times a second, and the end.

    Raises:
        InputError: the study does not fit its data, its model or the store.
    """
    began = time.perf_counter()
    check_backend(backend)
    subject = Subject.of(study, data=data, search=search, device=device)
    task = _Task(
        subject=subject,
        store=store,
        timing=timing,
        definition=definition,
        command=command,
        file=file,
        since=began,
    )
    runs = subject.runs()
    with store.lock(study.name):
        before = rounds_of(runs, store)
        for each in before:
            if each.needed:
                yield from _round_before(task, runs, each, backend)
        second = second_stage(study, store, runs, search) if study.staged else []
        totals = _Totals()
        yield from _round(task, runs, second, backend, totals)
        if second is None:  # the first stage has just been finished
            second = second_stage(study, store, runs, search)
            assert second is not None, "all of the first stage has been trained"
            if second:
                yield from _round(task, runs, second, backend, totals)
    yield Trained(
        seconds=time.perf_counter() - began,
        num_trained=totals.num_trained,
        num_diverged=totals.num_diverged,
    )


def _round_before(task: _Task, runs: Sequence[Run], each: Round, choice: str) -> Iterator[Event]:
    """Train runs that those of the study go on from; all that may be refused of these is refused before."""
    study, store, data = task.study, task.store, task.data
    check_enter(study, store, runs, data=data, definition=task.definition, search=task.subject.search)
    with naming(study.origin), memory_errors("model"):
        check_averages(study, runs, len(data.train))
        check_test_time(study, task.subject, runs)
        yield from task.subject.prepare(runs)
        for same in by_structure(runs):
            task.subject.network(same)
        gone = lost(each.needed, store)
        status = store.statuses([run.id for run in each.needed])
        again = [run for run in each.needed if status.get(run.id) == "done"]
        to_train = [run for run in each.needed if run not in (*gone, *again)]
        yield from task.subject.prepare([*to_train, *again])
        decided = decide(task.subject, store, to_train, choice, before=True)
    enter_study(study, store, data=data, definition=task.definition, search=task.subject.search)
    enter_runs(study, store, runs)
    task.subject.keep_bodies(store, each.runs)
    lose(gone, store)
    decided.enter(store)
    planned = Planned(
        num_runs=len(each.runs),
        num_known=len(each.runs) - len(each.needed),
        num_resumed=sum(len(work.cohort.runs) for work in decided.works if work.resumed),
        lines=(
            *task.fresh(cost_lines(study, runs, len(data.test))),
            *task.fresh(task.subject.features_lines()),
            *([f"{count(len(again), 'run')} once more, for ends that were not kept"] if again else []),
            *_once(task, decided.lines),
        ),
        about=each.about,
        num_before=task.trained_before(each.runs),
        shared=each.shared,
    )
    yield from _carry_out(task, planned, decided.works, _Totals(), again)
    task.trained(each.needed)


def _round(
    task: _Task, first: Sequence[Run], second: Sequence[Run] | None, choice: str, totals: _Totals
) -> Iterator[Event]:
    """Make these the runs of the study, and train those that the store lacks.

    All that may be refused is refused before anything is written.
    """
    study, store, data = task.study, task.store, task.data
    runs = [*first, *(second or [])]
    check_enter(study, store, runs, data=data, definition=task.definition, search=task.subject.search)
    with naming(study.origin), memory_errors("model"):
        task.subject.check_precision(runs)
        check_averages(study, runs, len(data.train))
        remarks = check_test_time(study, task.subject, runs)
        if second is None:
            check_second_stage(task.subject, first)
        gone = lost(runs, store)
        going = [run for run in runs if run not in gone]
        yield from task.subject.prepare(lacking(store, going))
        decided = decide(task.subject, store, going, choice)
    enter_study(study, store, data=data, definition=task.definition, search=task.subject.search)
    enter_runs(study, store, runs)
    task.subject.keep_bodies(store, runs)
    lose(gone, store)
    decided.enter(store)
    works = decided.works
    before = rounds_of(runs, store) if works else []
    about, mixed = _last_phase(works, len(before))
    planned = Planned(
        num_runs=len(runs),
        num_known=decided.num_known + len(gone),
        num_resumed=sum(len(work.cohort.runs) for work in works if work.resumed),
        lines=(
            *stage_lines(study, runs),
            *(task.fresh(cost_lines(study, runs, len(data.test))) if works else []),
            *(f"{each.line}, known already" for each in before if not task.trained_before(each.runs)),
            *mixed,
            *task.fresh(task.subject.features_lines()),
            *_once(task, decided.lines),
            *known_lines(study, store, runs, works, len(data.train)),
            *(remarks if works else []),
        ),
        about=about,
        num_before=task.trained_before(runs),
    )
    yield from _carry_out(task, planned, works, totals)


def _last_phase(works: Sequence[Work], num_before: int) -> tuple[str, list[str]]:
    """What goes on in the round after all that others go on from, and a line where not all runs are in that phase."""
    runs = [run for work in works for run in work.cohort.runs]
    going = [run for run in runs if run.recipe.before is not None]
    if not going or not num_before:
        return TRAINING, []
    last = f"phase {num_before + 1} of {num_before + 1}, {trained(going)}"
    if len(going) == len(runs):
        return last, []
    return TRAINING, [f"{last}: {count(len(going), 'run')}; {len(runs) - len(going):,} more begin anew"]


def _once(task: _Task, lines: Sequence[str]) -> list[str]:
    """Lines for people, without warnings that the launch has said already."""
    return [line for line in lines if not line.startswith("! ") or task.fresh([line])]


def _carry_out(
    task: _Task, planned: Planned, works: Sequence[Work], totals: _Totals, again: Sequence[Run] = ()
) -> Iterator[Event]:
    """Train what was decided, and once more runs whose ends were not kept."""
    study, store = task.study, task.store
    number = store.launches.begin(
        study.name,
        command=task.command,
        file=task.file,
        versions=versions(),
        hardware=hardware(task.subject.device.type) if works or again else {},
        plan=planned.line,
    )
    yield planned
    task.subject.begin_verifying()
    to_train = [run for work in works for run in work.cohort.runs]
    meter = Meter(
        sum(run.recipe.steps for run in (*to_train, *again)),
        len(to_train) + len(again),
        higher_is_better=task.data.task != "regression",
        all_work=None if again else sum(work.run_steps * work.cost for work in works),
    )
    with naming(study.origin), memory_errors("model", len(again)):
        yield from once_more(task.subject, store, again, meter)
    for work in works:
        meter.begin_cohort(1.0 if again else work.cost)
        with naming(study.origin), memory_errors("model", len(work.cohort.runs)):
            yield from _train(task, work, meter)
    store.launches.end(number, task.lap())
    totals.num_trained += len(to_train)
    totals.num_diverged += meter.num_diverged


def _train(task: _Task, work: Work, meter: Meter) -> Iterator[Event]:
    """Train one cohort to its end, with checkpoints on the way."""
    cohort = work.cohort
    writer = Writer(task.store, cohort, work.plan, task.timing)
    start = None
    if work.resumed:
        start = writer.resume()
    else:
        writer.begin()
    network, data = task.subject.network(cohort.runs), task.subject.data_of_cohort(cohort.runs)
    try:
        ends = ends_for(cohort.runs, task.store)
        training = Training(cohort, network, data, work.backend, task.subject.device, start, ends=ends)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        if start is None or isinstance(error, RavineError):
            raise
        raise StoreError(
            f"cohort {cohort.id}: its checkpoint has other tensors than its runs need ({in_a_line(error)}): "
            f"restore a backup, or delete study {task.subject.study.name!r}"
        ) from error
    num_runs = len(cohort.runs)
    if start is not None:
        meter.resume(training.run_steps())
    score = "validation_accuracy" if task.data.task != "regression" else "validation_loss"
    labels = {run.id: run.label for run in cohort.runs}
    records = training.records(
        None if work.before else task.study.keep,
        # Small where a part is trained; and a study that goes on from there may well follow.
        ends=work.before or cohort.recipe.train != "all",
        tick_seconds=task.timing.tick_seconds,
    )
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
                task.subject.unchanged()  # pictures and hashes out of the cache are those of the files
                writer.finish(record)
                meter.end_cohort(work.run_steps, num_runs, len(record.diverged))
                yield meter.read()
                return
            meter.at(training.run_steps())
            yield meter.read(len(training.diverged()))


def _note_best(meter: Meter, record: Evaluation, score: str, labels: dict[str, str]) -> None:
    values = record.scores[score]
    if len(values):
        best = int(values.argmax() if score == "validation_accuracy" else values.argmin())
        meter.score(float(values[best]), labels[record.runs[best]])
