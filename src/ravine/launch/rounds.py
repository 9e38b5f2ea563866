"""Runs that others go on from: which they are, and in which rounds they are trained.

A run of several phases is a chain of runs with one seed. What several chains have in common is one run.

Nothing here imports PyTorch: a study with nothing to train is read and judged without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ravine.messages import count
from ravine.store import FINISHED, Store
from ravine.study import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The runs of one phase that others go on from.

    Args:
        phase: its number, from 1.
        runs: all of them, each once.
        needed: those of them that are to be trained, since runs that go on from them are.
        later: of how many runs of the study they are the beginning.
        num_phases: of the longest runs.
    """

    phase: int
    runs: tuple[Run, ...]
    needed: tuple[Run, ...]
    later: int
    num_phases: int

    @property
    def about(self) -> str:
        """Which phase it is, for people.

        Example: ``phase 1 of 2, head``
        """
        return f"phase {self.phase} of {self.num_phases}, {trained(self.runs)}"

    @property
    def shared(self) -> str:
        """What is saved, for people; "" where each run has one that goes on from it.

        Example: ``42 go on from them, which saves 4,680 steps``
        """
        saved = (self.later - len(self.runs)) * self.runs[0].recipe.steps
        them = "it" if len(self.runs) == 1 else "them"
        return f"{self.later:,} go on from {them}, which saves {count(saved, 'step')}" if saved else ""

    @property
    def line(self) -> str:
        """Its phase, its runs, and what is saved, for people."""
        return "; ".join(filter(None, (f"{self.about}: {count(len(self.runs), 'run')}", self.shared)))


def trained(runs: Sequence[Run]) -> str:
    """What some runs train in their last phase, for people."""
    return ", ".join(dict.fromkeys(run.recipe.train for run in runs))


def parent_of(run: Run) -> Run | None:
    """The run that another goes on from; None: it begins anew."""
    recipe = run.recipe.parent
    if recipe is None:
        return None
    return Run(recipe=recipe, seed=run.seed, label=run.label, chosen={"lr": recipe.hypers["lr"]})


def rounds_of(runs: Sequence[Run], store: Store | None) -> list[Round]:
    """The runs that some runs go on from, phase by phase.

    Args:
        runs: of a study.
        store: where they are or will be; None: nowhere yet.
    """
    levels: list[dict[str, Run]] = []
    later: list[int] = []
    children: dict[str, list[str]] = {}
    for run in runs:
        chain = [run]
        while (parent := parent_of(chain[0])) is not None:
            children.setdefault(parent.id, []).append(chain[0].id)
            chain.insert(0, parent)
        for phase, each in enumerate(chain[:-1]):
            if phase == len(levels):
                levels.append({})
                later.append(0)
            levels[phase].setdefault(each.id, each)
            later[phase] += 1
    ids = [run.id for run in runs] + [each for level in levels for each in level]
    status = {} if store is None else store.statuses(ids)
    having = store.ends.having(ids) if store is not None and levels else set()
    wanted = {run.id for run in runs if status.get(run.id) not in FINISHED}
    needed: list[tuple[Run, ...]] = []
    for level in reversed(levels):
        lacking = [
            run
            for run_id, run in level.items()
            if wanted & set(children[run_id]) and not _is_there(run_id, status, having)
        ]
        wanted |= {run.id for run in lacking}
        needed.insert(0, tuple(lacking))
    return [
        Round(
            phase=i + 1,
            runs=tuple(level.values()),
            needed=needed[i],
            later=later[i],
            num_phases=len(levels) + 1,
        )
        for i, level in enumerate(levels)
    ]


def _is_there(run: str, status: dict[str, str], having: set[str]) -> bool:
    return status.get(run) == "diverged" or (status.get(run) == "done" and run in having)


def parents_of(runs: Sequence[Run]) -> list[Run]:
    """All runs that some go on from, each once, but for those that are among them."""
    known = {run.id for run in runs}
    found: dict[str, Run] = {}
    for run in runs:
        each = parent_of(run)
        while each is not None:
            if each.id not in known:
                found.setdefault(each.id, each)
            each = parent_of(each)
    return list(found.values())
