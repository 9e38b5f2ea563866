"""What a launch says about the averages of the weights that a study keeps, and what it refuses.

Nothing here imports PyTorch: a study with nothing to train is read and judged without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import StudyError
from ravine.messages import count
from ravine.schedules import parse_schedule
from ravine.store import Store
from ravine.study import Run, Study


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


def average_lines(study: Study, runs: Sequence[Run], num_train: int, room: str) -> list[str]:
    """Lines for people about the averages of the runs that are going to be trained.

    Args:
        study: the study.
        runs: those runs.
        num_train: training examples.
        room: that one average of all of them takes, in words.
    """
    if study.averages is None or not runs:
        return []
    names = study.averages.names
    lines = [f"averages of the weights: {', '.join(names)}; each takes {room} for {count(len(runs), 'run')}"]
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
    found = store.averages.names(known)
    done = {record.id for record in store.runs(study.name) if record.status == "done"}
    swa = {"swa"} if study.averages.swa is not None and study.averages.swa.every == "cycle" else set()
    wanted = set(study.averages.names) - swa  # which a run without cycles never has
    without = sum(run in done and not wanted <= set(names) for run, names in found.items())
    if not without:
        return []
    were = "was" if without == 1 else "were"
    return [
        f"{count(without, 'run')} that the store has already {were} trained without some of these averages, and none "
        "are trained again"
    ]


def _with(study: Study, runs: Sequence[Run], num_train: int) -> dict[str, int]:
    """How many of the runs have each average."""
    assert study.averages is not None, "asked only where there are averages"
    having = dict.fromkeys(study.averages.names, 0)
    for run in runs:
        recipe = run.recipe
        schedule = parse_schedule(dict(recipe.schedule))
        found = study.averages.along(recipe.steps, num_train // recipe.batch_size, schedule)
        for name, average in zip(having, found, strict=True):
            having[name] += average is not None
    return having


def _has(num: int) -> str:
    return "has" if num == 1 else "have"
