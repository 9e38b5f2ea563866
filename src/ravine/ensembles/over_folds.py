"""An ensemble in each fold of a study: chosen on the fold's validation part, scored on its test part.

What is compared are procedures: "train these runs and pool them so" against "train them and take the best one". The
error of a mean difference over folds is that of a verdict over folds, corrected for what the folds' training sets have
in common (`ravine.verdict.fold_errors`); all intervals of a comparison are corrected together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ravine.data.deal_folds import FoldOf
from ravine.ensembles.asked import Asked, Own, around, is_better
from ravine.ensembles.cells import Cells
from ravine.ensembles.choice import Chosen, checked, choose
from ravine.ensembles.fold_findings import FoldEnsemble, OverFolds
from ravine.ensembles.judged import ALPHA, Compared, Judged, judged
from ravine.ensembles.kinds import ENSEMBLE, Kind, epochs_of, every_kind
from ravine.errors import InputError, choices
from ravine.messages import shown
from ravine.metrics import Metric
from ravine.outcomes.folds import by_fold
from ravine.outcomes.scored import log_scored
from ravine.store import RunRecord, Store
from ravine.verdict.fold_errors import error_over_folds
from ravine.verdict.student import half_width

FROM = ("seeds", "configs", "all")
"""What members may be chosen from in each fold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _InFold:
    """What validation chose in a fold; test was not read."""

    chosen: Chosen
    kinds: Mapping[str, Kind]
    left_out: Sequence[str]


def ensemble_over_folds(
    store: Store,
    study_name: str,
    *,
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    metric: Metric | None = None,
) -> FoldEnsemble:
    """Pool finished runs of each fold of a study.

    Args:
        store: where it is.
        study_name: its name.
        members: what they are chosen from: seeds of the fold's winner, its best configs, or all its runs.
        select, size, combine, metric: as in `ensemble`.

    Raises:
        InputError: one line that says what is wrong.
    """
    if not isinstance(members, str) or members not in FROM:
        raise InputError(
            f"members = {shown(members)}: study {study_name!r} has folds, each with runs of its own; "
            f"{choices(str(members), FROM)}"
        )
    fingerprint = store.study(study_name).data_fingerprint
    checked(select, size, combine, store.labels.of(fingerprint), study_name)
    runs = store.runs(study_name)
    found: dict[FoldOf, _InFold] = {}
    for fold in by_fold(runs):
        try:
            chosen = choose(
                store,
                study_name,
                members=members,
                select=select,
                size=size,
                combine=combine,
                fold=fold,
                metric=metric,
            )
        except InputError as error:
            raise InputError(f"{fold.words}: {error}") from None
        kinds, left = every_kind(store, study_name, chosen, size, fold=fold)
        found[fold] = _InFold(
            chosen=chosen, kinds={kind.name: kind for kind in kinds}, left_out=(*chosen.left_out, *left)
        )
    names = _kept(list(found.values()))
    # All is chosen: from here on test may be read.
    recipes = {
        each.kinds[name].pool.id: f"{study_name}: {name}, {fold.words}"
        for fold, each in found.items()
        for name in names
    }
    number, notes = log_scored(store, fingerprint, recipes)
    records = {run.id: run for run in runs}
    definition = store.study(study_name).definition
    asked = {fold: Asked.of(definition, each.chosen.labels, metric) for fold, each in found.items()}
    scored = {fold: _scored(each, names, records, asked[fold]) for fold, each in found.items()}
    first = next(iter(found.values())).chosen
    own = next((each.metric for each in asked.values() if each is not None), None)
    sizes = [each.chosen.labels.sizes for each in found.values()]
    ratio = float(np.mean([test / (train + validation) for train, validation, test in sizes]))
    kinds_over = tuple(_over_folds(name, scored) for name in names)
    return FoldEnsemble(
        study=study_name,
        task=first.labels.task,
        cells=Cells.of(first.labels),
        members=members,
        select=first.how,
        combine=first.pool.combine,
        folds=1 + max(fold.fold for fold in found),
        repeats=1 + max(fold.repeat for fold in found),
        kinds=kinds_over,
        compared=_compared(scored, names, ratio, own),
        chosen={fold: each[ENSEMBLE] for fold, each in scored.items()},
        num_scored=number,
        left_out=(*_left_out(found), *notes),
        metric=own,
    )


def _kept(found: Sequence[_InFold]) -> list[str]:
    """The kinds that every fold has, without those that are the ensemble in all folds."""
    return [
        name
        for name in found[0].kinds
        if all(name in each.kinds for each in found)
        and (
            name == ENSEMBLE
            or any(each.kinds[name].pool.id != each.kinds[ENSEMBLE].pool.id for each in found)
        )
    ]


def _scored(
    fold: _InFold, names: Sequence[str], records: Mapping[str, RunRecord], by: Asked | None
) -> dict[str, Judged]:
    """The kinds of a fold by name. Here its test part is read, once."""
    labels, reader = fold.chosen.labels, fold.chosen.reader
    wanted = list({each.name: each for name in names for each in fold.kinds[name].members}.values())
    validation, test = (reader.outputs(split, wanted) for split in ("validation", "test"))
    known, asked = (validation, labels.validation), (test, labels.test)
    return {
        name: replace(
            judged(name, kind.pool, Cells.of(labels), known, asked, by),
            epochs=epochs_of(kind.runs, records, labels.sizes[0]),
        )
        for name, kind in ((name, fold.kinds[name]) for name in names)
    }


def _over_folds(name: str, scored: Mapping[FoldOf, Mapping[str, Judged]]) -> OverFolds:
    own = [each[name] for each in scored.values()]

    def spread(values: Sequence[float]) -> float:
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan

    return OverFolds(
        name=name,
        members=float(np.mean([len(each.pool.weights) for each in own])),
        epochs=float(np.mean([each.epochs for each in own])),
        validation={
            score: float(np.mean([each.validation[score] for each in own])) for score in own[0].validation
        },
        test={score: float(np.mean([each.test[score] for each in own])) for score in own[0].test},
        spread={score: spread([each.test[score] for each in own]) for score in own[0].test},
        own=_own([each.own for each in own if each.own is not None], spread),
    )


def _own(found: Sequence[Own], spread: Callable[[Sequence[float]], float]) -> Own | None:
    if not found:
        return None
    tested = [each.test for each in found]
    validation = float(np.mean([each.validation for each in found]))
    return Own(validation=validation, test=float(np.mean(tested)), spread=spread(tested))


def _compared(
    scored: Mapping[FoldOf, Mapping[str, Judged]],
    names: Sequence[str],
    ratio: float,
    metric: Metric | None,
) -> tuple[Compared, ...]:
    """The ensemble against the others, by every score that both have in each fold; of one fold nothing is said."""
    every = list(scored.values())
    pairs = [
        (other, score)
        for other in names
        if other != ENSEMBLE
        for score in every[0][ENSEMBLE].per_example
        if all(
            score in each[name].per_example and np.isfinite(each[name].per_example[score]).all()
            for each in every
            for name in (ENSEMBLE, other)
        )
    ]
    if len(every) < 2:
        return ()
    return tuple(_apart(scored, other, score, ratio, ALPHA / len(pairs), metric) for other, score in pairs)


def _apart(
    scored: Mapping[FoldOf, Mapping[str, Judged]],
    other: str,
    score: str,
    ratio: float,
    alpha: float,
    metric: Metric | None,
) -> Compared:
    tables = {
        (fold.repeat, fold.fold): [
            each[name].per_example[score].astype(np.float64) for name in (ENSEMBLE, other)
        ]
        for fold, each in scored.items()
    }
    # A share of right labels is a number between 0 and 1, and no right or wrong.
    binary = score == "accuracy" and all(
        bool(np.isin(one, (0.0, 1.0)).all()) for pair in tables.values() for one in pair
    )
    differences = {at: first - second for at, (first, second) in tables.items()}
    difference = float(np.mean([each.mean() for each in differences.values()]))
    half = half_width(error_over_folds(differences, ratio, 1, binary=binary), alpha)
    outcome = "not separable"
    if abs(difference) > half:
        outcome = "better" if is_better(score, difference, metric) else "worse"
    return Compared(
        first=ENSEMBLE,
        second=other,
        score=score,
        difference=difference,
        interval=around(difference, half, score, metric),
        outcome=outcome,
    )


def _left_out(found: Mapping[FoldOf, _InFold]) -> list[str]:
    """What was left out and why, each once, with the fold."""
    first: dict[str, FoldOf] = {}
    for fold, each in found.items():
        for text in each.left_out:
            first.setdefault(text, fold)
    return [f"{fold.words}: {text}" for text, fold in first.items()]
