"""What a launch is going to train, decided before anything is written: whatever may be refused is refused here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ravine.engine.cohort import Cohort, by_cohort, split
from ravine.engine.network import Network
from ravine.engine.plan import Plan, plan
from ravine.engine.programs import TOGETHER, backend_of
from ravine.launch.averages import lacking_lines, without_lines
from ravine.launch.enter import kept_lines
from ravine.launch.room import AveragesRoom, check_room, room_of
from ravine.launch.subject import Subject, by_structure, stored_run
from ravine.messages import count
from ravine.store import FINISHED, Store
from ravine.study import Recipe, Run, Study, regularized_runs
from ravine.study.averages import parse_averages
from ravine.study.folds import FOLD, folds_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A cohort to train: a new one, or one to go on with.

    Args:
        cohort: its runs.
        backend: a word of `ravine.engine.programs.BACKENDS`.
        plan: the same, as the store has it: cohorts of older versions keep theirs.
        resumed: whether it goes on from a checkpoint.
        before: whether its runs are trained only since others go on from them.
        cost: what a step of a run takes, roughly: examples times parameters that they go through.
    """

    cohort: Cohort
    backend: str
    plan: Mapping[str, Any]
    resumed: bool
    before: bool = False
    cost: float = 1.0

    @property
    def run_steps(self) -> int:
        """Steps, summed over its runs."""
        return len(self.cohort.runs) * self.cohort.recipe.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What is to be trained, and how.

    Args:
        works: the cohorts.
        dropped: ids of planned cohorts that others take the place of.
        opened: the cohorts that the store does not have yet.
        lines: for people.
        num_known: how many runs have finished already.
    """

    works: tuple[Work, ...]
    dropped: tuple[str, ...]
    opened: tuple[Work, ...]
    lines: tuple[str, ...]
    num_known: int

    def enter(self, store: Store) -> None:
        """Write it before any run is trained: a later launch might measure, and choose, differently."""
        for cohort in self.dropped:
            store.drop_cohort(cohort)
        for work in self.opened:
            store.open_cohort(work.cohort.id, [run.id for run in work.cohort.runs], work.plan)


def decide(
    subject: Subject, store: Store, runs: Sequence[Run], choice: str, *, before: bool = False
) -> Decided:
    """The cohorts to train; nothing is written.

    Args:
        subject: the study with its data and models.
        store: where its runs will be, or are.
        runs: all runs of the study.
        choice: a word of `ravine.backends.BackendName`.
        before: whether these are runs that others go on from, of which nothing is kept on the way.

    Raises:
        InputError: the study cannot be trained, or what it keeps does not fit on the disk.
    """
    study = subject.study
    wanted = lacking(store, runs)
    kept = None if before else study.averages
    averages = None if kept is None else kept.content()
    num_averages = len(kept.tracked) if kept else 0
    works: list[Work] = []
    opened: list[Work] = []
    dropped: list[str] = []
    lines: list[str] = []
    begun: set[str] = set()
    for record in store.cohorts(unfinished_for=[run.id for run in wanted]):
        if not record.checkpoint and choice != "auto":
            dropped.append(record.id)
            continue
        begun.update(record.run_ids)
        how, again = record.plan, False
        if not record.checkpoint and how.get("averages") != averages:
            dropped.append(record.id)  # planned, by the same backend, for other averages
            how, again = _how(backend_of(how), averages), True
        own = parse_averages(how.get("averages"))
        cohort = Cohort.of([stored_run(store.run(run_id)) for run_id in record.run_ids], own)
        works.append(
            Work(
                cohort=cohort,
                backend=backend_of(how),
                plan=how,
                resumed=record.checkpoint,
                before=before,
                cost=_cost(subject.network(cohort.runs), cohort.recipe),
            )
        )
        opened += works[-1:] if again else []
        go, start = ("goes", "starts") if len(record.run_ids) == 1 else ("go", "start")
        words = f"{go} on from step {record.step:,}" if record.checkpoint else f"{start} as planned before"
        if record.checkpoint and how.get("averages") != averages:
            words += f", with the averages that {'it' if len(record.run_ids) == 1 else 'they'} began with"
        lines.append(f"{count(len(record.run_ids), 'run')} {words}, {works[-1].backend}")
    remarks: dict[str, None] = {}
    plans: dict[tuple[str, int], Plan] = {}  # draws of as many examples are trained alike
    for same in by_cohort([run for run in wanted if run.id not in begun]):
        network = subject.network(same)
        key = (_but_for_draws(same[0].recipe), len(same))
        if key not in plans:
            data = subject.data_of_cohort(same)
            plans[key] = plan(same, network, data, subject.device, choice, num_averages)
        chosen = plans[key]
        groups = split(same, chosen.size)
        for group in groups:
            how = _how(chosen.backend, averages)
            cohort = Cohort.of(group, kept)
            works.append(
                Work(
                    cohort=cohort,
                    backend=chosen.backend,
                    plan=how,
                    resumed=False,
                    before=before,
                    cost=_cost(network, same[0].recipe),
                )
            )
            opened.append(works[-1])
        lines.append(_line(len(same), len(groups), chosen, subject.device))
        remarks[network.remark] = None
    lines += [f"! {remark}" for remark in remarks if remark]
    if not before:
        lines += _room_lines(subject, store, [run for work in works for run in work.cohort.runs])
    return Decided(
        works=tuple(works),
        dropped=tuple(dropped),
        opened=tuple(opened),
        lines=tuple(alike(lines) if study.ladder is not None or folds_in(study.data) else lines),
        num_known=len(runs) - len(wanted),
    )


def _cost(network: Network, recipe: Recipe) -> float:
    return float(network.layout.size * recipe.batch_size)


def lacking(store: Store, runs: Sequence[Run]) -> list[Run]:
    """Those of some runs that have not finished."""
    status = store.statuses([run.id for run in runs])
    return [run for run in runs if status.get(run.id) not in FINISHED]


def _but_for_draws(recipe: Recipe) -> str:
    """The structure of a recipe, with the size of its part of the training set alone; of a fold without its number."""
    if recipe.part is None:
        return recipe.structure
    if FOLD in recipe.part:
        return replace(recipe, part={}).structure
    return replace(recipe, part={"per_class": recipe.part["per_class"]}).structure


def alike(lines: Sequence[str]) -> list[str]:
    """Lines in their order, equal ones as one with their number: the parts of a ladder are trained alike.

    Example:
        >>> alike(["3 runs", "1 run", "3 runs"])
        ['2 times: 3 runs', '1 run']
    """
    found = Counter(lines)
    return [line if num == 1 else f"{num} times: {line}" for line, num in found.items()]


def check_second_stage(subject: Subject, first: Sequence[Run]) -> None:
    """See that the model has layers for the rates of a second stage, before the first is trained.

    Raises:
        ModelError: it has none.
    """
    if subject.study.tune != "regularize":
        return
    winners = {run.recipe.structure: run for run in first}
    for same in by_structure(regularized_runs(subject.study, list(winners.values()))):
        subject.network(same)


def _room_lines(subject: Subject, store: Store, to_train: Sequence[Run]) -> list[str]:
    """Lines about the disk space of kept weights and averages, which is refused where there is too little."""
    study = subject.study
    lines = []
    if study.keep is not None and to_train:
        room = room_of(study.keep, to_train, subject)
        check_room(study, room, store.folder)
        lines += room.lines()
    if study.averages is not None and to_train:
        averages_room = AveragesRoom.of(study.averages, to_train, subject.network)
        averages_room.check(store.folder)
        lines += averages_room.lines(study.averages)
        lines += without_lines(study, to_train, len(subject.data.train))
    return lines


def known_lines(
    study: Study, store: Store, runs: Sequence[Run], works: Sequence[Work], num_train: int
) -> list[str]:
    """Lines about finished runs without what the study keeps.

    Args:
        study: a study that has been entered.
        store: where it is.
        runs: its runs.
        works: what is to be trained of them.
        num_train: training examples.
    """
    coming = {run.id for work in works for run in work.cohort.runs}
    known = [run for run in runs if run.id not in coming]
    ids = [run.id for run in known]
    return [*kept_lines(study, store, known, num_train), *lacking_lines(study, store, ids)]


def _how(backend: str, averages: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a cohort is trained, as the store has it."""
    return {"backend": backend} | ({} if averages is None else {"averages": averages})


def _line(num_runs: int, num_cohorts: int, chosen: Plan, device: torch.device) -> str:
    """How the runs of one structure are trained, for people."""
    runs = count(num_runs, "run")
    if num_runs == 1:
        how = runs
    elif chosen.backend in TOGETHER:
        how = (
            f"{runs} at once"
            if num_cohorts == 1
            else f"{runs} in {num_cohorts} cohorts of about {num_runs // num_cohorts}"
        )
    else:
        how = f"{runs}, one after another"
    return f"{how}, {chosen.backend} on {device.type}" + (f" ({chosen.why})" if chosen.why else "")
