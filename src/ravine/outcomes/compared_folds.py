"""Several studies with folds under one verdict: each tuned anew in each fold, all of them tested on the same folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.data.deal_folds import FoldOf
from ravine.messages import count
from ravine.outcomes import words
from ravine.outcomes.by_target import unlike_units
from ravine.outcomes.compared import (
    Comparison,
    apart_in_training,
    comparable,
    judged_once,
    noun_of_all,
    together,
    unfinished,
)
from ravine.outcomes.fold_words import folds_verdict
from ravine.outcomes.folds import FoldsResult, by_fold, folds_of
from ravine.outcomes.scored import log_scored
from ravine.verdict.words import listed

if TYPE_CHECKING:
    from ravine.outcomes.results import Results


def compared_over_folds(
    studies: Sequence[Results], page: Callable[[Comparison, str | Path], Path], *, whole: bool = False
) -> Comparison:
    """Judge several studies with folds together, over the folds that all of them have.

    Args:
        studies, page, whole: as in `compared`.

    Raises:
        InputError: fewer than two, one twice, or studies whose data, folds or metric differ.
    """
    named = comparable(studies)
    own, labels = together(named, whole)
    parts = [set(by_fold(study.runs)) for study in named.values()]
    common = set.intersection(*parts)
    own = {
        name: [run for run in runs if FoldOf.of(run.recipe["part"]) in common] for name, runs in own.items()
    }
    every = {(run.rule, run.id): run for runs in own.values() for run in runs}
    elsewhere = {run.id: study.source for study in named.values() for run in study.runs}
    first = next(iter(named.values()))
    found = folds_of(
        first.source, list(every.values()), first.study.data_fingerprint, first.metric, elsewhere=elsewhere
    )
    verdict = folds_verdict(found, found.measure, noun_of_all(named, whole=whole))
    return Comparison(
        studies=named,
        runs=tuple(every.values()),
        labels=labels,
        verdict=verdict,
        warnings=(
            *unfinished(named),
            *_fewer_repeats(named, found),
            *judged_once(labels, verdict),
            *apart_in_training(own, verdict.noun),
            *unlike_units(first.metric, first.labels),
            *verdict.warnings,
            *words.beaten_by_trivial(verdict, found.trivial),
            *_logged_folds(named, labels, found),
        ),
        validation={},
        test={},
        trivial=found.trivial,
        page=page,
        folds=found,
    )


def _fewer_repeats(named: Mapping[str, Results], found: FoldsResult) -> list[str]:
    """Studies whose folds were dealt more often than those of others."""
    more = [
        f"{name} has {study.folds.repeats}"
        for name, study in named.items()
        if study.folds is not None and study.folds.repeats > found.repeats
    ]
    if not more:
        return []
    return [f"Judged over the {count(found.repeats, 'repeat')} that all studies have; {listed(more)}."]


def _logged_folds(
    named: Mapping[str, Results], labels: Mapping[str, tuple[str, ...]], found: FoldsResult
) -> list[str]:
    """Note in each store what was scored on test."""
    notes = []
    for name, study in named.items():
        recipes = {
            each.config: f"{listed(list(named))}: {each.words}"
            for each in found.chosen
            if name in labels[each.rule]
        }
        notes += log_scored(study.source, study.study.data_fingerprint, recipes)[1]
    return list(dict.fromkeys(notes))
