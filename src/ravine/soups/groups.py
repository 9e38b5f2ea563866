"""Members that are likely to lie in one basin: they share a start, or lie along one run's path.

Runs with the same seed begin with the same weights and see the same batches; where their learning rates are neighbours
too, they stay together longest. Points along one run share everything up to the earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ravine.ensembles.naming import member_of
from ravine.outcomes.member import Member
from ravine.outcomes.runs import lr_of
from ravine.store import RunRecord, Store

ALONG = 5  # points along a run, its end included, at most
_LATE = 0.5  # of a run: points before that are not tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Members that are averaged.

    Args:
        words: what they are, for people.
        members: two or more, or one that was named.
    """

    words: str
    members: tuple[Member, ...]


def likely(store: Store, runs: Sequence[RunRecord], best: RunRecord) -> list[Group]:
    """What is tried where no runs are named.

    Args:
        store: where the runs are.
        runs: of a study.
        best: the best run of its winner.
    """
    found = []
    near = neighbours(runs, best)
    if len(near) > 1:
        rates = ", ".join(f"{lr_of(run):.4g}" for run in near)
        words = f"runs of {best.rule} with seed {best.seed} and the same start, lr {rates}"
        found.append(Group(words=words, members=tuple(member_of(run) for run in near)))
    path = along(store, best)
    if len(path) > 1:
        steps = ", ".join(f"{point.step:,}" for point in path if point.step is not None)
        words = f"points along run {best.id[:8]}: after steps {steps}, and its end"
        found.append(Group(words=words, members=tuple(path)))
    return found


def neighbours(runs: Sequence[RunRecord], best: RunRecord) -> list[RunRecord]:
    """The run, and those beside it in lr alone, by rising lr."""
    alike = [
        run
        for run in runs
        if run.status == "done"
        and run.rule == best.rule
        and run.seed == best.seed
        and run.num_steps == best.num_steps
        and _but_lr(run) == _but_lr(best)
    ]
    alike.sort(key=lr_of)
    place = next(place for place, run in enumerate(alike) if run.id == best.id)
    return alike[max(0, place - 1) : place + 2]


def along(store: Store, best: RunRecord, num: int = ALONG) -> list[Member]:
    """The last points along a run that were kept, and its end."""
    steps = store.kept.steps([best.id])[best.id]
    late = [step for step in steps if step >= _LATE * best.num_steps and step < best.num_steps]
    if not late:
        return [member_of(best)]
    return [*(member_of(best, step=step) for step in late[-(num - 1) :]), member_of(best)]


def _but_lr(run: RunRecord) -> dict[str, float | str]:
    return {name: value for name, value in run.hypers.items() if name != "lr"}
