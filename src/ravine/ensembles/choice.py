"""Which members, with which weights: chosen on validation, before anything is scored on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.data.deal_folds import FoldOf
from ravine.ensembles import selection
from ravine.ensembles.cells import Cells
from ravine.ensembles.losses import Losses, losses_of
from ravine.ensembles.members import candidates, usable, winner_of
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import COMBINES, Combine
from ravine.ensembles.reading import Evaluate, Reader
from ravine.ensembles.snapshots import Snapshots, no_snapshots, snapshots
from ravine.errors import InputError
from ravine.messages import one_of, whole_number
from ravine.metrics import Metric
from ravine.outcomes.folds import check_no_folds
from ravine.outcomes.ladder import check_no_ladder, is_ladder, own_labels
from ravine.outcomes.member import Member
from ravine.outcomes.metric import by_metric
from ravine.outcomes.runs import final
from ravine.outcomes.trials import Predicted
from ravine.store import Labels, RunRecord, Store

Array = NDArray[np.float64]
Outputs = Mapping[str, np.ndarray]

SELECTS = ("auto", "all", "top", "greedy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """A pool that validation chose; test was not read.

    Args:
        labels: the right answers.
        by: what configs were compared by; None: what the study's text names.
        metric: the validation metric that the winner has the best mean of.
        best: the finished runs of the winner, the best seed first.
        noun, text: what the members were chosen from, for people.
        how: they were chosen: ``all``, ``top`` or ``greedy``.
        able: the members that there were to choose from, sorted.
        outputs: of these on validation, by name.
        losses: of these on validation.
        pool: the pool.
        left_out: what cannot be a member, and why.
        reader: reads what members predict.
    """

    labels: Labels
    by: Metric | None
    metric: str
    best: tuple[RunRecord, ...]
    noun: str
    text: str
    how: str
    able: tuple[Member, ...]
    outputs: Outputs
    losses: Losses
    pool: Pool
    left_out: tuple[str, ...]
    reader: Reader


def choose(
    store: Store,
    study_name: str,
    *,
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    evaluate: Evaluate | None = None,
    fold: FoldOf | None = None,
    metric: Metric | None = None,
) -> Chosen:
    """The pool that `ensemble` scores, with the same arguments; test is not read.

    Args:
        fold: whose runs and answers are looked at; None: the study has no folds.
        metric: what configs are compared by; None: what the study's text names.
    """
    study = store.study(study_name)
    labels = store.labels.of(study.data_fingerprint if fold is None else fold.key(study.data_fingerprint))
    way = checked(select, size, combine, labels, study_name)
    runs = store.runs(study_name)
    if fold is None:
        check_no_folds(runs, study_name)
    else:
        runs = [run for run in runs if run.recipe.get("part") == fold.content()]
    if is_ladder(runs):
        if isinstance(members, str) or len(members) != 1:
            check_no_ladder(runs, study_name)
        alone = store.run(members[0].partition("#")[0])
        labels = own_labels(alone, labels, store)
        runs = [run for run in runs if run.recipe.get("part") == alone.recipe.get("part")] or runs
    runs, column = by_metric(store, study, labels, runs, metric)
    winner = winner_of(runs, column, study_name)
    found = candidates(members, store, study, runs, winner)
    reader = Reader(predicted=Predicted(store=store, labels=labels), evaluate=evaluate)
    wanted, noun, text, path = list(found.members), found.noun, found.text, None
    if members == "snapshots":
        path = snapshots(store, found.runs)
        if path is None:
            raise no_snapshots(study_name)
        wanted, noun, text = path.members, "snapshot", f" of run {path.record.id[:8]}"
    if not wanted:
        raise InputError(f"members: none is left: {'; '.join(found.left_out)}")
    outputs = reader.outputs("validation", wanted)
    able, left = usable(wanted, outputs, labels)
    losses = losses_of(Cells.of(labels), [outputs[each.name] for each in able], labels.validation)
    how = _how(select, members, path)
    return Chosen(
        labels=labels,
        by=metric,
        metric=column,
        best=tuple(run for run in winner if final(run, column) is not None),
        noun=noun,
        text=text,
        how=how,
        able=tuple(able),
        outputs=outputs,
        losses=losses,
        pool=Pool.of(able, selecting(how, size)(losses), way),
        left_out=(*found.left_out, *left),
        reader=reader,
    )


def checked(select: str, size: int, combine: str, labels: Labels, study: str) -> Combine:
    """How predictions are combined.

    Raises:
        InputError: an argument that is not allowed.
    """
    one_of("select", select, SELECTS)
    whole_number("size", size, 1)
    one_of("combine", combine, COMBINES)
    for each in COMBINES:
        if each == combine:
            if each != "mean" and labels.task == "regression":
                raise InputError(
                    f"combine = {each!r}: the target of study {study!r} is a number; must be mean"
                )
            return each
    raise AssertionError("combine is one of them")


def _how(select: str, members: str | Sequence[str], path: Snapshots | None) -> str:
    """How members are chosen where the caller leaves it open."""
    if select != "auto":
        return select
    if path is not None:
        return "all" if path.cyclic else "greedy"
    return {"configs": "top", "all": "greedy"}.get(str(members), "all")


def selecting(how: str, size: int) -> selection.Select:
    """What chooses weights by losses: all equally, the best ones, or greedily."""

    def chosen(losses: Losses) -> Array:
        if how == "all":
            return selection.everyone(losses)
        return selection.top(losses, size) if how == "top" else selection.greedy(losses, size)

    return chosen
