"""Trains finished runs once more for averages that they were trained without, and stores these beside the runs.

Nothing of a run changes: what it ended with must come out again bit for bit, or nothing is stored of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ravine.data import Dataset
from ravine.engine.cohort import Cohort, split
from ravine.engine.network import Network
from ravine.engine.plan import plan
from ravine.engine.programs import TOGETHER
from ravine.engine.records import Banked, Evaluation, Finished
from ravine.engine.training import Training
from ravine.free_memory import memory_errors
from ravine.host_memory import host_bytes
from ravine.launch.averages import lacking_averages
from ravine.launch.ends import ends_for
from ravine.launch.faults import module_errors
from ravine.launch.machine import hardware, versions
from ravine.launch.progress import Event, Meter, Planned, Trained
from ravine.launch.room import AveragesRoom
from ravine.launch.subject import Subject, by_structure, stored_run
from ravine.launch.writer import USUAL, Timing
from ravine.messages import count
from ravine.store import AveragedTensors, RunRecord, Store, average_of, kind_of
from ravine.study import Run, Study
from ravine.study.averages import Averages
from ravine.study.naming import naming

_SHARE = 0.25  # of free memory that banks may take


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Runs that are trained by one program, as they were.

    Args:
        runs: of one structure.
        backend: what trained them: a word of `ravine.engine.programs.BACKENDS`.
    """

    runs: tuple[Run, ...]
    backend: str


def again_for_averages(
    study: Study,
    store: Store,
    configs: Collection[str],
    *,
    data: Dataset | None = None,
    search: Path | None = None,
    device: str = "auto",
    command: str = "",
    file: str | None = None,
    timing: Timing = USUAL,
) -> Iterator[Event]:
    """Train finished runs of some configs again, where they lack averages that the study keeps.

    Args:
        study: the study, which keeps averages.
        store: where the runs are.
        configs: whose runs.
        data: the study's data set, where it has been read already.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".
        command: what reproduces the launch, stored with it.
        file: the study's file, stored with it; None for a study made in Python.
        timing: how often it reports, and how much waits in memory.

    Yields:
        The plan, progress, and the end, with a line for each run that did not come out as it is stored.

    Raises:
        InputError: data or model are others than when the runs were trained.
    """
    began = time.perf_counter()
    assert study.averages is not None, "called only for a study with averages"
    subject = Subject.of(study, data=data, search=search, device=device)
    with store.lock(study.name):
        records = [run for run in store.runs(study.name) if run.config in configs and run.status == "done"]
        wanting = lacking_averages(study.averages, store, records)
        with naming(study.origin), memory_errors("model", len(wanting)):
            subject.check_same(wanting)
            groups, lines = _groups(subject, wanting)
            if groups:
                room = AveragesRoom.of(
                    study.averages, [run for g in groups for run in g.runs], subject.network
                )
                room.check(store.folder)
                lines += room.lines(study.averages)
        planned = Planned(
            num_runs=len(records), num_known=len(records) - len(wanting), num_resumed=0, lines=tuple(lines)
        )
        number = store.launches.begin(
            study.name,
            command=command,
            file=file,
            versions=versions(),
            hardware=hardware(subject.device.type) if groups else {},
            plan=f"again for averages: {planned.line}",
        )
        yield planned
        runs = [run for group in groups for run in group.runs]
        meter = Meter(
            sum(run.recipe.steps for run in runs),
            len(runs),
            higher_is_better=subject.data.task != "regression",
        )
        others: list[str] = []
        for group in groups:
            with naming(study.origin), memory_errors("model", len(group.runs)):
                yield from _train(subject, store, group, study.averages, meter, timing, others)
        seconds = time.perf_counter() - began
        store.launches.end(number, seconds)
    yield Trained(seconds=seconds, num_trained=len(runs), num_diverged=0, lines=tuple(others))


def _groups(subject: Subject, records: Sequence[RunRecord]) -> tuple[list[_Group], list[str]]:
    """Runs by what trained them, and lines for people."""
    groups, lines = [], []
    here = subject.device.type
    for backend in sorted({record.backend or "" for record in records}):
        own = [stored_run(record) for record in records if (record.backend or "") == backend]
        word, _, where = backend.partition(" on ")
        if where != here:
            lines.append(
                f"! {count(len(own), 'run')} cannot be repeated here: {backend!r} trained them, this is {here}"
            )
            continue
        assert subject.study.averages is not None, "asked only for a study with averages"
        num = len(subject.study.averages.tracked)
        for same in by_structure(own):
            network = subject.network(same)
            size = 1
            if word != "eager":
                size = plan(same, network, subject.data_of(same), subject.device, word, num).size
            size = min(size, _most(subject.study.averages, same, subject.network))
            groups += [_Group(runs=tuple(some), backend=word) for some in split(same, size)]
            together = " at once" if word in TOGETHER and len(same) > 1 else ""
            lines.append(f"again for averages: {count(len(same), 'run')}{together}, {backend}")
    return groups, lines


def _most(averages: Averages, runs: Sequence[Run], network: Callable[[Sequence[Run]], Network]) -> int:
    """Runs whose banks there is memory for, until it is known which of them count; at least one."""
    each = AveragesRoom.of(averages, runs, network).bank / len(runs)
    return max(1, int(_SHARE * host_bytes() / each)) if each else len(runs)


def _train(
    subject: Subject,
    store: Store,
    group: _Group,
    averages: Averages,
    meter: Meter,
    timing: Timing,
    others: list[str],
) -> Iterator[Event]:
    """Train a group; store the averages of those runs that come out as they are stored, and note the others."""
    cohort = Cohort.of(group.runs, averages)
    ids = [run.id for run in cohort.runs]
    steps, network = cohort.recipe.steps, subject.network(cohort.runs)
    data, ends = subject.data_of(cohort.runs), ends_for(cohort.runs, store)
    training = Training(cohort, network, data, group.backend, subject.device, ends=ends)
    evaluations: list[Evaluation] = []
    banked: list[Banked] = []
    records = training.records(tick_seconds=timing.tick_seconds)
    with closing(records), module_errors(network.module, network.about):
        for record in records:
            if isinstance(record, Banked):
                banked.append(record)
            elif isinstance(record, Evaluation):
                evaluations.append(record)
            elif isinstance(record, Finished):
                same = [run for run in ids if _is_same(store, run, record)]
                others += [_line(store, run, record) for run in ids if run not in same]
                _store(store, same, record, evaluations, cohort.first_step)
                _store_bank(store, same, banked)
            meter.at(len(ids) * training.step)
            yield meter.read()
    meter.end_cohort(len(ids) * steps, len(ids), 0)
    yield meter.read()


def _is_same(store: Store, run: str, finished: Finished) -> bool:
    """Whether a run's weights came out bit for bit as they are stored."""
    if run not in finished.runs:
        return False
    stored, row = store.tensors("weights", run), finished.runs.index(run)
    return stored.keys() == finished.weights.keys() and all(
        array.tobytes() == finished.weights[name][row].tobytes() for name, array in stored.items()
    )


def _line(store: Store, run: str, finished: Finished) -> str:
    """What to say of a run that came out otherwise."""
    if run not in finished.runs:
        return f"run {run} diverged this time, and no average of it is stored"
    stored, row = store.tensors("weights", run), finished.runs.index(run)
    far = max(
        float(
            np.abs(array.astype(np.float64) - finished.weights[name][row].astype(np.float64)).max(initial=0.0)
        )
        for name, array in stored.items()
        if name in finished.weights
    )
    return f"run {run} did not come out as it is stored (a weight differs by {far:.2g}), and no average of it is stored"


def _store_bank(store: Store, same: Sequence[str], banked: Sequence[Banked]) -> None:
    """Store the banks of those of some runs that have not all of these steps yet."""
    steps = store.bank.steps(same)
    runs = [run for run in same if not {each.step for each in banked} <= set(steps[run])]
    store.bank.truncate(runs, 0)
    for each in banked if runs else ():  # the end, which says that a bank is whole, comes last
        places = [each.runs.index(run) for run in runs]
        store.bank.add(runs, [each.step], {name: array[places] for name, array in each.weights.items()})


def _store(
    store: Store, same: Sequence[str], finished: Finished, evaluations: Sequence[Evaluation], first: int
) -> None:
    """Store those averages of some runs that they lack, with their scores and curves."""
    known = store.averages.names(same)
    found: dict[str, AveragedTensors] = {}
    metrics: dict[str, dict[str, float]] = {run: {} for run in same}
    for name, average in finished.averages.items():
        runs = [run for run in same if run in average.runs and name not in known[run]]
        if not runs:
            continue
        places = [average.runs.index(run) for run in runs]
        found[name] = AveragedTensors(
            runs=runs,
            weights={key: array[places] for key, array in average.weights.items()},
            predictions={key: array[places] for key, array in average.predictions.items()},
        )
        for metric, values in average.metrics.items():
            for run, place in zip(runs, places, strict=True):
                metrics[run][kind_of(name, metric)] = float(values[place])
        for some, when in _evaluated(runs, evaluations):
            curves = {
                metric: np.stack(
                    [each.scores[metric][[each.runs.index(run) for run in some]] for each in when]
                )
                for metric in when[-1].scores
                if average_of(metric) == name
            }
            store.append_curves(some, np.array([first + each.step for each in when]), curves)
    store.averages.add(found, metrics)


def _evaluated(
    runs: Sequence[str], evaluations: Sequence[Evaluation]
) -> list[tuple[list[str], list[Evaluation]]]:
    """Runs with their evaluations, together those that have the same: some may have stopped before others."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for run in runs:
        groups.setdefault(tuple(i for i, each in enumerate(evaluations) if run in each.runs), []).append(run)
    return [(some, [evaluations[i] for i in when]) for when, some in groups.items() if when]
