"""What a launch says about the averages of the weights that a study keeps, and what it refuses.

Nothing here imports PyTorch: a study with nothing to train is read and judged without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import StudyError
from ravine.messages import count
from ravine.rules.averages import ema_name
from ravine.schedules import parse_schedule
from ravine.store import RunRecord, Store
from ravine.study import Run, Study
from ravine.study.averages import Averages
from ravine.study.bank import bank_steps


def check_averages(study: Study, runs: Sequence[Run], num_train: int) -> None:
    """See that no average is asked for that no run reaches.

    Args:
        study: the study.
        runs: its runs.
        num_train: training examples.

    Raises:
        StudyError: the steps of an average all lie beyond the end of the longest run.
    """
    swa = None if study.averages is None else study.averages.swa
    if swa is None or swa.every == "cycle" or _with(study, runs, num_train)["swa"]:
        return
    epochs = max(run.recipe.steps / (num_train // run.recipe.batch_size) for run in runs)
    raise StudyError(
        f"averages.swa.every = {swa.every}: no run has an end of so many epochs after from = {swa.start:g}: "
        f"the longest is {epochs:.4g} epochs"
    )


def without_lines(study: Study, runs: Sequence[Run], num_train: int) -> list[str]:
    """Lines for people about runs that have none of the steps of an average.

    Args:
        study: the study.
        runs: those that are going to be trained.
        num_train: training examples.
    """
    if study.averages is None or not runs:
        return []
    lines = []
    for name, having in _with(study, runs, num_train).items():
        if having < len(runs):
            without = len(runs) - having
            lines.append(f"{name}: {count(without, 'run')} without cycles {_has(without)} no such average")
    return lines


def lacking_lines(study: Study, store: Store, known: Sequence[str]) -> list[str]:
    """A line for people about trained runs without the averages that the study keeps, if there are any.

    Args:
        study: the study.
        store: where the runs are.
        known: ids of the runs that have finished.
    """
    if study.averages is None or not known:
        return []
    done = [
        record for record in store.runs(study.name) if record.status == "done" and record.id in set(known)
    ]
    without = len(lacking_averages(study.averages, store, done))
    if not without:
        return []
    were = "was" if without == 1 else "were"
    return [
        f"{count(without, 'run')} that the store has already {were} trained without some of these averages, and none "
        "are trained again; --again-for averages makes up for it at each rule's best config"
    ]


def lacking_averages(averages: Averages, store: Store, done: Sequence[RunRecord]) -> list[RunRecord]:
    """Those of some finished runs that have not all averages, or not the whole bank.

    Args:
        averages: that there should be.
        store: where the runs are.
        done: runs that did not diverge.
    """
    ids = [record.id for record in done]
    names, banked = store.averages.names(ids), store.bank.steps(ids) if averages.bank else {}
    swa = {"swa"} if averages.swa is not None and averages.swa.every == "cycle" else set()
    wanted = set(averages.names) - swa  # which a run without cycles never has
    later = wanted - {ema_name(decay) for decay in averages.ema}  # may begin after a run has stopped
    return [
        record
        for record in done
        if not wanted - (later if record.stopped else set()) <= set(names[record.id])
        or not set(bank_steps(averages.bank, record.num_steps)) <= set(banked.get(record.id, ()))
    ]


def _with(study: Study, runs: Sequence[Run], num_train: int) -> dict[str, int]:
    """How many of the runs have each average."""
    assert study.averages is not None, "asked only where there are averages"
    having = dict.fromkeys(study.averages.tracked, 0)
    for run in runs:
        recipe = run.recipe
        schedule = parse_schedule(dict(recipe.schedule))
        found = study.averages.along(recipe.steps, num_train // recipe.batch_size, schedule)
        for name, average in zip(having, found, strict=True):
            having[name] += average is not None
    return having


def _has(num: int) -> str:
    return "has" if num == 1 else "have"
