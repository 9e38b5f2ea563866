"""The kinds of predictor that finished runs can become, each as validation chooses it, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.data.deal_folds import FoldOf
from ravine.ensembles.choice import Chosen, choose
from ravine.ensembles.members import as_members, best_average
from ravine.ensembles.pool import Pool
from ravine.errors import InputError
from ravine.outcomes.member import Member
from ravine.outcomes.metric import averages_by_metric
from ravine.outcomes.trials import Split
from ravine.store import RunRecord, Store
from ravine.study import Recipe

BEST, SEEDS, ENSEMBLE = "best run", "winner's seeds", "ensemble"
_MOST_NUMBERS = 1 << 27  # of the predictions of all runs, among which greedy selection is tried unasked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """A predictor that validation chose.

    Args:
        name: for people.
        pool: its members with their weights; a soup is one member.
        members: those of the pool, at least.
        runs: ids of the runs that had to be trained for it, each with the steps that were needed; None: all.
    """

    name: str
    pool: Pool
    members: tuple[Member, ...]
    runs: dict[str, int | None]

    @staticmethod
    def of(name: str, pool: Pool, members: Sequence[Member]) -> Kind:
        """A pool of members, each a run or weights along one."""
        used = tuple(member for member in members if member.name in pool.weights)
        return Kind(name=name, pool=pool, members=used, runs=needed(used))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Souped:
    """A soup, as the kinds need it.

    Args:
        id: a hash of its members and their shares.
        members: whose weights are averaged.
        outputs: what it predicts on a split.
    """

    id: str
    members: tuple[Member, ...]
    outputs: Callable[[Split], np.ndarray]


def kinds_of(
    store: Store,
    study_name: str,
    found: Chosen,
    size: int,
    soup: Callable[[], Souped | None] | None = None,
) -> tuple[list[Kind], list[str]]:
    """All kinds beside the ensemble, and the ensemble last; why others are left out.

    A kind whose members and weights are those of another is there once.

    Args:
        store: where the study is.
        study_name: its name.
        found: the ensemble.
        size: members of a choice, at most.
        soup: makes the soup, if it is wanted: None where validation refuses it.
    """
    kinds, left = every_kind(store, study_name, found, size, soup)
    last = {kind.pool.id: kind for kind in reversed(kinds)} | {found.pool.id: kinds[-1]}
    return [kind for kind in kinds if last[kind.pool.id] is kind], left


def every_kind(
    store: Store,
    study_name: str,
    found: Chosen,
    size: int,
    soup: Callable[[], Souped | None] | None = None,
    fold: FoldOf | None = None,
) -> tuple[list[Kind], list[str]]:
    """The same, with those that have the members and weights of another.

    Args:
        store, study_name, found, size, soup: as in `kinds_of`.
        fold: which fold they are of; None: the study has none.
    """
    seeds, left = as_members(found.best), []
    kinds = [Kind.of(BEST, Pool.alone(seeds[0]), seeds)]
    kinds.append(Kind.of(SEEDS, Pool.of(seeds, [1.0] * len(seeds), "mean"), seeds))
    tried = [("best configs", "configs"), ("greedy", "all")]
    if any(
        any(step > 0 for step in steps) for steps in store.kept.steps([run.id for run in found.best]).values()
    ):
        tried.append(("snapshots", "snapshots"))
    for name, members in tried:
        if members == "all" and _too_many(store, study_name, found):
            left.append(
                "greedy selection among all runs is left out, since they are many; --members all does it"
            )
            continue
        try:
            chosen = choose(
                store,
                study_name,
                members=members,
                size=size,
                evaluate=found.reader.evaluate,
                fold=fold,
                metric=found.by,
            )
        except InputError as error:
            left.append(f"{name}: left out: {error}")
            continue
        kinds.append(Kind.of(name, chosen.pool, chosen.able))
    averaged = averages_by_metric(store, store.study(study_name), found.labels, found.best, found.by)
    average = best_average(store, averaged, found.metric)
    if average is not None:
        member = average[1]
        kinds.append(Kind.of(member.average, Pool.alone(member), [member]))
    souped = None if soup is None else soup()
    if souped is not None:
        first = souped.members[0]
        member = Member(
            run=souped.id, average="soup", rule=first.rule, config="", hypers=first.hypers, seed=first.seed
        )
        found.reader.made[member.name] = souped.outputs
        pool = Pool.alone(member)
        kinds.append(Kind(name="soup", pool=pool, members=(member,), runs=needed(souped.members)))
    elif soup is not None:
        left.append(
            "no soup: the mean of the weights is refused or no better on validation; `ravine soup` says why"
        )
    return [*kinds, Kind.of(ENSEMBLE, found.pool, found.able)], left


def needed(members: Sequence[Member]) -> dict[str, int | None]:
    """The runs of members, each with the steps that had to be trained."""
    found: dict[str, int | None] = {}
    for member in members:
        before = found.get(member.run, 0)
        found[member.run] = None if before is None or member.step is None else max(before, member.step)
    return found


def epochs_of(runs: Mapping[str, int | None], records: Mapping[str, RunRecord], num_train: int) -> float:
    """Passes over the training set that runs took together.

    Args:
        runs: ids, each with its steps; None: all.
        records: by id.
        num_train: training examples.
    """
    total = 0.0
    for run, steps in runs.items():
        batches = num_train // Recipe.of(records[run].recipe).batch_size
        total += (records[run].step if steps is None else steps) / batches  # fewer where it stopped early
    return total


def _too_many(store: Store, study_name: str, found: Chosen) -> bool:
    numbers = len(found.labels.validation) * max(1, len(found.labels.classes))
    return len(store.runs(study_name)) * numbers > _MOST_NUMBERS
