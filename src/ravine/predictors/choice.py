"""Which runs of a study are to predict, with which weights: chosen on validation; test is not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ravine.ensembles import scoring
from ravine.ensembles.cells import Cells
from ravine.ensembles.choice import choose
from ravine.ensembles.members import best_average, winner_of
from ravine.ensembles.naming import is_named, member_of, named
from ravine.ensembles.pool import Pool
from ravine.errors import InputError, choices
from ravine.messages import count, shown
from ravine.metrics import DEFAULT, METRICS, Metric
from ravine.outcomes.ladder import check_no_ladder
from ravine.outcomes.member import Member
from ravine.outcomes.metric import averages_by_metric, by_metric, known_metric
from ravine.outcomes.runs import final
from ravine.store import FINISHED, Labels, RunRecord, Store, StudyRecord
from ravine.study import FindStudy

WHATS = ("winner", "ensemble", "greedy", "average", "soup")
SIZE = 5  # members of a greedy ensemble, at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """What predicts.

    Args:
        study: the study.
        labels: the right answers of its data.
        what: one of `WHATS`, or the id of a run.
        text: the same for people.
        members: sorted as in the pool.
        runs: whose weights these are, by id.
        pool: their weights, and how they are combined.
        temperature: fitted on validation after pooling; 1 where none helps, and of a regression.
        outputs: of the members on validation, by name.
        weights: of members whose weights are not in the store, by name: tensors by name.
        folds: of a study with folds how its data were dealt, for people; else "".
        metric: what the study is judged by, without weights; None: a function that is not at hand.
    """

    study: StudyRecord
    labels: Labels
    what: str
    text: str
    members: tuple[Member, ...]
    runs: Mapping[str, RunRecord]
    pool: Pool
    temperature: float
    outputs: Mapping[str, np.ndarray]
    weights: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    folds: str = ""
    metric: Metric | None = None


def chosen(
    store: Store,
    study_name: str,
    what: str = "winner",
    *,
    size: int = SIZE,
    find: FindStudy | None = None,
    device: str = "auto",
    metric: Metric | None = None,
) -> Choice:
    """What predicts for a study.

    Args:
        store: where the study is.
        study_name: its name.
        what: "winner": of the config with the best mean validation score the seed that is best on validation;
            "ensemble": all seeds of that config; "greedy": the ensemble that greedy selection finds among all runs;
            "average": the stored average of the weights, of a seed of that config, that is best on validation; "soup":
            weights averaged over runs, where no barrier lies between them; or the id of a run, or its beginning, and
            perhaps behind it a stored average: ``"8e79#ema 0.99"``.
        size: how many members "greedy" has at most.
        find: gives the study; only a soup needs it.
        device: where a soup is evaluated.
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: there is no such thing, or not all runs have finished.
    """
    if not isinstance(what, str):
        raise InputError(f"what = {shown(what)}: {choices(what, WHATS)}, or the id of a run, as a text")
    study = store.study(study_name)
    labels = store.labels.of(study.data_fingerprint)
    found = _chosen(store, study, labels, what, size, find, device, metric)
    return replace(found, metric=known_metric(study.definition, labels.task, metric))


def _chosen(
    store: Store,
    study: StudyRecord,
    labels: Labels,
    what: str,
    size: int,
    find: FindStudy | None,
    device: str,
    metric: Metric | None,
) -> Choice:
    if what not in WHATS:
        return _one_run(store, study, labels, what)
    runs = store.runs(study.name)
    check_no_ladder(runs, study.name)
    unfinished = sum(run.status not in FINISHED for run in runs)
    if unfinished:
        has = "has" if unfinished == 1 else "have"
        raise InputError(
            f"study {study.name!r}: {count(unfinished, 'run')} of {len(runs):,} {has} not finished, so what = {what!r} "
            "is not known yet; `ravine run` with its file continues, or name a finished run"
        )
    runs, column = by_metric(store, study, labels, runs, metric)
    winner = [run for run in winner_of(runs, column, study.name) if final(run, column) is not None]
    if what == "winner":
        text = f"seed {winner[0].seed} of {winner[0].rule}, the best on validation of the winner's seeds"
        return _pooled(store, study, labels, what, text, [winner[0].id], "all", metric=metric)
    if what == "average":
        averaged = averages_by_metric(store, study, labels, winner, metric)
        return _average(store, study, labels, averaged, column, metric)
    if what == "soup":
        assert find is not None, "a soup needs the study"
        return _soup(store, study, labels, winner[0], find, device, metric)
    members, select = ("seeds", "all") if what == "ensemble" else ("all", "greedy")
    return _pooled(store, study, labels, what, "", members, select, size, metric)


def _one_run(store: Store, study: StudyRecord, labels: Labels, what: str) -> Choice:
    if not is_named(what) or "," in what:
        raise InputError(f"what = {shown(what)}: {choices(what, WHATS)}, or the id of a run")
    ((run, member),) = named([what], store, "what")
    if run.status != "done":
        state = f"diverged at step {run.diverged_at:,}" if run.status == "diverged" else "has not finished"
        raise InputError(f"what = {what!r}: run {run.id} {state}: it predicts nothing")
    if member.step is not None:
        raise InputError(
            f"what = {what!r}: weights along a run cannot be used alone; its end and its averages can"
        )
    average = f"{member.average} of " if member.average else ""
    text = f"{average}seed {run.seed} of {run.rule}"
    usual = METRICS[DEFAULT[labels.task]]  # nothing is chosen, so the study's own need not be at hand
    return _pooled(store, study, labels, member.name, text, [member.name], "all", metric=usual)


def _pooled(
    store: Store,
    study: StudyRecord,
    labels: Labels,
    what: str,
    text: str,
    members: str | Sequence[str],
    select: str,
    size: int = SIZE,
    metric: Metric | None = None,
) -> Choice:
    found = choose(store, study.name, members=members, select=select, size=size, metric=metric)
    labels = found.labels
    used = tuple(each for each in found.able if each.name in found.pool.weights)
    runs = {run.id: run for run in (*found.best, *store.runs(study.name, all=True))}
    runs |= {each.run: store.run(each.run) for each in used if each.run not in runs}
    number = len(found.pool.weights)
    of = f"{number} of {count(len(found.able), found.noun)}" if number < len(found.able) else ""
    return Choice(
        study=study,
        labels=labels,
        what=what,
        text=text or f"{of or count(number, found.noun)}{found.text}",
        members=used,
        runs={each.run: runs[each.run] for each in used},
        pool=found.pool,
        temperature=_temperature(found.pool, labels, found.outputs),
        outputs={name: found.outputs[name] for name in found.pool.weights},
    )


def _average(
    store: Store,
    study: StudyRecord,
    labels: Labels,
    winner: Sequence[RunRecord],
    column: str,
    metric: Metric | None,
) -> Choice:
    """The average that is best on validation."""
    found = best_average(store, winner, column)
    if found is None:
        raise InputError(
            f"what = 'average': no seed of the winner of study {study.name!r} has a stored average; [averages] in its "
            "file makes them"
        )
    run, member = found
    text = f"{member.average} of seed {run.seed} of {run.rule}, the best average on validation of the winner's seeds"
    return _pooled(store, study, labels, "average", text, [member.name], "all", metric=metric)


def _soup(
    store: Store,
    study: StudyRecord,
    labels: Labels,
    best: RunRecord,
    find: FindStudy,
    device: str,
    metric: Metric | None,
) -> Choice:
    """Weights averaged over runs: one network, in the name of the winner's best run."""
    from ravine.soups.soup import soup

    read, search = find()
    found = soup(read, store, study.name, search=search, device=device, metric=metric)
    weights = found.weights
    if weights is None or len(found.members) < 2:
        raise InputError(
            f"what = 'soup': there is none of study {study.name!r}: {found.sentences[0]} `ravine soup` says more, and "
            "what = 'ensemble' pools the predictions instead"
        )
    member = member_of(best, average="soup")
    pool = Pool.alone(member)
    outputs = {member.name: found.chosen.outputs("validation")}
    names = ", ".join(each.short for each in found.members)
    return Choice(
        study=study,
        labels=labels,
        what="soup",
        text=f"the mean of the weights of {len(found.members)} members: {names}",
        members=(member,),
        runs={best.id: best},
        pool=pool,
        temperature=_temperature(pool, labels, outputs),
        outputs=outputs,
        weights={member.name: weights},
    )


def _temperature(pool: Pool, labels: Labels, outputs: Mapping[str, np.ndarray]) -> float:
    cells = Cells.of(labels)
    log_p = pool.predict(cells, outputs).log_p
    if log_p is None:
        return 1.0
    return scoring.useful_temperature(log_p, cells.answers(labels.validation), cells.per)
