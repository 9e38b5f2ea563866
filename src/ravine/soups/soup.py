"""From members to one network with their mean weights, or to the barrier between them.

Uniform: the mean of all, refused if there is a barrier between any two of them or at their centre. Greedy: members come
in the order of their validation loss; one is added if the mean then has a strictly smaller loss, and there is no
barrier (M. Wortsman et al., Model soups, 2022, who compare accuracies and add at equal ones too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.members import winner_of
from ravine.ensembles.naming import named
from ravine.ensembles.pool import Pool
from ravine.ensembles.reading import Reader
from ravine.ensembles.scoring import nll
from ravine.errors import InputError
from ravine.launch.trained import Trained
from ravine.messages import count, one_of
from ravine.metrics import Metric
from ravine.outcomes.ladder import check_no_ladder
from ravine.outcomes.metric import by_metric
from ravine.outcomes.trials import Predicted, Split
from ravine.soups.basin import POINTS, Basin, Centre, Way, shares_of
from ravine.soups.findings import Soup
from ravine.soups.groups import Group, likely
from ravine.soups.mixtures import Mixtures
from ravine.soups.tried import Added, Score, Stirred, Tried
from ravine.store import Labels, RunRecord, Store
from ravine.study import Recipe, Study, content_id

Array = NDArray[np.float64]

HOWS = ("auto", "uniform", "greedy")
MOST = 20
"""Members of a soup: 190 pairs."""


def soup(
    study: Study,
    store: Store,
    name: str,
    *,
    runs: Sequence[str] | None = None,
    how: str = "auto",
    search: Path | None = None,
    device: str = "auto",
    metric: Metric | None = None,
) -> Soup:
    """Average the weights of members, if they lie in one basin.

    Args:
        study: whose data and model.
        store: where the runs are.
        name: of the study in the store.
        runs: names of members; None: those that are likely to lie in one basin.
        how: "uniform", "greedy", or "auto": uniform where members are named, else greedy.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: one line that says what is wrong.
    """
    one_of("how", how, HOWS)
    record = store.study(name)
    labels = store.labels.of(record.data_fingerprint)
    check_no_ladder(store.runs(name), name)
    groups, records = _groups(store, name, labels, runs, metric)
    if how == "auto":
        how = "greedy" if runs is None else "uniform"
    trained = Trained.of(study, store, records, search=search, device=device)
    batch_size = Recipe.of(records[0].recipe).batch_size
    found = [tried(group, how, trained, labels, batch_size) for group in groups]
    chosen = min(found, key=lambda each: (not each.accepted, each.mean.loss))
    return Soup(
        found=Stirred(
            study=name,
            task=labels.task,
            how=how,
            tried=tuple(found),
            chosen=chosen,
            num_examples=len(labels.validation),
        )
    )


def _groups(
    store: Store, name: str, labels: Labels, runs: Sequence[str] | None, metric: Metric | None
) -> tuple[list[Group], list[RunRecord]]:
    """What is tried, and the runs that it needs, the best first."""
    if runs is not None:
        pairs = named(runs, store, "runs")
        if len(pairs) > MOST:
            raise InputError(f"runs: {len(pairs)} are named; a soup has at most {MOST} members")
        for run, _ in pairs:
            if run.status != "done":
                raise InputError(f"runs: run {run.id} is {run.status}; only runs that are done have weights")
        members = tuple(sorted((member for _, member in pairs), key=lambda member: member.place))
        return [Group(words=count(len(members), "named member"), members=members)], [run for run, _ in pairs]
    every = store.runs(name)
    every, column = by_metric(store, store.study(name), labels, every, metric)
    best = winner_of(every, column, name)[0]
    groups = likely(store, every, best)
    if not groups:
        raise InputError(
            f"study {name!r}: no runs are likely to lie in one basin: none shares start and hypers but lr with run "
            f"{best.id[:8]}, and no weights were kept along it; give runs"
        )
    wanted = {member.run for group in groups for member in group.members}
    return groups, [best, *(run for run in every if run.id in wanted - {best.id})]


def tried(group: Group, how: str, trained: Trained, labels: Labels, batch_size: int) -> Tried:
    """What averaging the members of one group comes to.

    Args:
        group: the members.
        how: "uniform" or "greedy".
        trained: their data and model.
        labels: of the data.
        batch_size: of the batches by which norms are estimated.
    """
    mixtures = Mixtures.of(trained, group.members, batch_size)
    basin = Basin(mixtures, POINTS)
    own = basin.own_RN.mean(axis=1)
    order = sorted(range(len(own)), key=lambda row: (float(own[row]), row))
    names = [member.name for member in group.members]
    rows, ways, centres, added = _uniform(basin, order) if how == "uniform" else _greedy(basin, names, order)
    every = list(range(len(group.members)))
    accepted = len(rows) > 1 or len(every) == 1
    used = rows if accepted else every
    shares = shares_of(used, len(every))
    losses, accuracies = (each[0].mean() for each in basin.mean(used))
    reader = Reader(predicted=Predicted(store=trained.store, labels=labels), evaluate=trained.predictions)
    pool = Pool.of([group.members[row] for row in used], np.ones(len(used)), "mean")
    return Tried(
        words=group.words,
        members=group.members,
        own=tuple(
            Score(loss=float(own[row]), accuracy=float(basin.own_accuracy_RN[row].mean())) for row in every
        ),
        used=tuple(group.members[row].name for row in used),
        accepted=accepted,
        mean=Score(loss=float(losses), accuracy=float(accuracies)),
        ensemble=_score(pool, reader.outputs("validation", group.members), labels),
        ways=tuple(ways),
        centres=tuple(centres),
        added=tuple(added),
        id=content_id({"soup": {group.members[row].name: float(shares[row]) for row in used}}),
        tensors=partial(mixtures.tensors, shares),
        outputs=partial(_own_or_mixed, mixtures, shares, reader),
    )


def _uniform(basin: Basin, order: Sequence[int]) -> tuple[list[int], list[Way], list[Centre], list[Added]]:
    """All of them, or none where there is a barrier."""
    rows = list(range(len(order)))
    if len(rows) == 1:
        return rows, [], [], []
    ways, centre = basin.every_way(rows), basin.centre(rows)
    level = centre.level and all(way.level for way in ways)
    return rows if level else [], ways, [centre], []


def _greedy(
    basin: Basin, names: Sequence[str], order: Sequence[int]
) -> tuple[list[int], list[Way], list[Centre], list[Added]]:
    """One after another, the best first."""
    rows, best = [order[0]], float(basin.own_RN[order[0]].mean())
    ways: list[Way] = []
    centres: list[Centre] = []
    added: list[Added] = []
    for row in order[1:]:
        centre = basin.centre(sorted([*rows, row]))
        found = basin.ways([(min(row, other), max(row, other)) for other in rows])
        ways += found
        level = centre.level and all(way.level for way in found)
        better = centre.loss < best
        outcome = "added" if level and better else "no better" if level else "barrier"
        added.append(Added(member=names[row], loss=centre.loss, before=best, outcome=outcome))
        if outcome == "added":
            rows, best = sorted([*rows, row]), centre.loss
            centres.append(centre)
    return rows, ways, centres, added


def _own_or_mixed(mixtures: Mixtures, shares: Array, reader: Reader, split: Split) -> np.ndarray:
    """What a soup predicts; one member predicts what it does alone."""
    rows = np.flatnonzero(shares)
    if len(rows) > 1:
        return mixtures.outputs(shares, split)
    member = mixtures.members[rows[0]]
    return reader.outputs(split, [member])[member.name]


def _score(pool: Pool, outputs: Mapping[str, np.ndarray], labels: Labels) -> Score:
    cells = Cells.of(labels)
    pooled, answers = pool.predict(cells, outputs), cells.answers(labels.validation)
    if pooled.log_p is None:
        loss = float(np.square(pooled.predicted - answers).mean())
        return Score(loss=loss, accuracy=loss)
    return Score(
        loss=float(nll(pooled.log_p, answers).mean()),
        accuracy=float((pooled.predicted == answers).mean()),
    )
