"""The verdict on a study: of one split, of a ladder, or over folds.

Only validation scores are read for every run. Test predictions are opened for the configs that the verdict has already
chosen, and for no others; that they were is entered in the store's log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ravine.outcomes import fold_words, ladder_words, words
from ravine.outcomes.by_target import ByTarget, errors_by_target, errors_over_folds, unlike_units
from ravine.outcomes.folds import FoldsResult, folds_of, has_folds
from ravine.outcomes.ladder import LadderResult, is_ladder, ladder_of
from ravine.outcomes.levels import noun_of, unlike
from ravine.outcomes.metric import check_labels, measures_of, scored_runs, squares_of
from ravine.outcomes.modes import config_id, judged_mode, mode_words
from ravine.outcomes.regression import Errors
from ravine.outcomes.regularized import judged, regularized, tolerance_of
from ravine.outcomes.rows import errors_of
from ravine.outcomes.scored import log_scored
from ravine.outcomes.trials import Predicted, trials
from ravine.outcomes.trivial import Trivial, trivial_of
from ravine.store.records import FINISHED
from ravine.study.compare import RULE
from ravine.study.metric import is_default
from ravine.study.modes import AtTest, Mode, parse_test_time
from ravine.verdict import Overfitting, Verdict, judge

if TYPE_CHECKING:
    from ravine.metrics import Metric
    from ravine.store import Labels, RunRecord, Store, StudyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on a study, and what was found on the way to it; see `Results`, which has all of it.

    Args:
        runs: of the study, with their values of the metric on validation among their numbers.
        verdict: which rule is best, and whether that can be said at all.
        warnings: what a reader must know before believing it.
        trivial: what a predictor that looks at no input reaches.
        asked, mode: how runs were to be evaluated at test, and by which mode the verdict is.
        validation_errors, test_errors: of a regression with one target.
        by_target: of a regression with several.
        regularized: which rules overfit, and which keep dropout.
        ladder, folds: of a study that has them.
    """

    runs: tuple[RunRecord, ...]
    verdict: Verdict
    warnings: tuple[str, ...]
    trivial: Trivial | None
    asked: AtTest | None = None
    mode: Mode | None = None
    validation_errors: Mapping[str, Errors] = field(default_factory=dict)
    test_errors: Mapping[str, Errors] = field(default_factory=dict)
    by_target: ByTarget | None = None
    regularized: tuple[Overfitting, ...] = ()
    ladder: LadderResult | None = None
    folds: FoldsResult | None = None


def judgement_of(
    store: Store,
    study: StudyRecord,
    compare: str,
    runs: tuple[RunRecord, ...],
    labels: Labels,
    metric: Metric,
) -> Judgement:
    """Judge a study.

    Args:
        store: where its predictions are.
        study: as stored.
        compare: the factor whose levels are judged.
        runs: of the study, with these levels as labels; some of them finished.
        labels: the right answers of its data.
        metric: what runs are judged by.

    Raises:
        StudyError: the metric does not fit the data, or not the study.
    """
    if has_folds(runs):
        return _of_folds(store, study, compare, runs, labels, metric)
    check_labels(metric, labels)
    if is_ladder(runs):
        return _of_ladder(store, study, compare, runs, labels, metric)
    return _of_split(store, study, compare, runs, labels, metric)


def _of_split(
    store: Store,
    study: StudyRecord,
    compare: str,
    runs: tuple[RunRecord, ...],
    labels: Labels,
    metric: Metric,
) -> Judgement:
    finished = [run for run in runs if run.status in FINISHED]
    usual = is_default(metric, labels.task)
    asked = parse_test_time(store.evaluated.asked(study.name))
    mode, missing = judged_mode(asked, store, finished)
    predicted = Predicted(store=store, labels=labels, mode=mode, metric=metric)
    found = trials(finished, predicted)
    if not usual:
        runs = scored_runs(runs, found, metric)
    tested: dict[str, np.ndarray] = {}

    def test(run_id: str) -> np.ndarray:
        tested[run_id] = predicted.test_scores(run_id)
        return tested[run_id]

    tolerance = tolerance_of(study.definition)
    measure, validated = measures_of(metric, labels)
    decided = () if tolerance is None else regularized(predicted, found, runs, tolerance)
    found = judged(found, decided) if decided else found
    baseline = None if compare == RULE else runs[0].rule
    verdict = judge(
        found,
        test=test,
        measure=measure,
        validated=validated,
        noun=noun_of(compare),
        baseline=baseline,
    )
    of_errors = found, tested
    if labels.task == "regression" and not usual:
        of_errors = squares_of(predicted, found, tested)
    validation_errors, test_errors = errors_of(labels, of_errors[0], verdict, of_errors[1])
    scored = [
        trial.run for trial in found if trial.validation is not None and np.isfinite(trial.validation).all()
    ]
    recipes = {
        config_id(rule.config, mode): f"{study.name}: {rule.rule}, {mode_words(mode)}the mean over its seeds"
        for rule in verdict.rules
        if rule.config is not None and set(rule.runs) & tested.keys()
    }
    _, unlogged = log_scored(store, study.data_fingerprint, recipes)
    trivial = trivial_of(labels, metric)
    beaten = words.beaten_by_trivial(verdict, trivial)
    warnings = [
        *_unfinished(runs),
        *missing,
        *beaten,
        *unlike_units(metric, labels),
        *verdict.warnings,
        *unlike(runs, compare),
        *unlogged,
    ]
    return Judgement(
        runs=runs,
        verdict=verdict,
        warnings=tuple(warnings),
        trivial=trivial,
        asked=asked,
        mode=mode,
        validation_errors=validation_errors,
        test_errors=test_errors,
        by_target=errors_by_target(predicted, scored, verdict, tested, trivial),
        regularized=decided,
    )


def _of_ladder(
    store: Store,
    study: StudyRecord,
    compare: str,
    runs: tuple[RunRecord, ...],
    labels: Labels,
    metric: Metric,
) -> Judgement:
    ladder = ladder_of(store, runs, labels, metric)
    verdict = ladder_words.ladder_verdict(ladder, labels, noun_of(compare))
    recipes = {each.config: f"{study.name}: {each.words}" for each in ladder.chosen}
    _, unlogged = log_scored(store, study.data_fingerprint, recipes)
    return Judgement(
        runs=ladder.runs,
        verdict=verdict,
        warnings=(*_unfinished(runs), *verdict.warnings, *unlike(runs, compare), *unlogged),
        trivial=trivial_of(labels, metric),
        ladder=ladder,
    )


def _of_folds(
    store: Store,
    study: StudyRecord,
    compare: str,
    runs: tuple[RunRecord, ...],
    labels: Labels,
    metric: Metric,
) -> Judgement:
    baseline = None if compare == RULE else runs[0].rule
    folds = folds_of(store, runs, study.data_fingerprint, metric, baseline)
    verdict = fold_words.folds_verdict(folds, folds.measure, noun_of(compare))
    recipes = {each.config: f"{study.name}: {each.words}" for each in folds.chosen}
    beaten = words.beaten_by_trivial(verdict, folds.trivial)
    _, unlogged = log_scored(store, study.data_fingerprint, recipes)
    return Judgement(
        runs=folds.runs,
        verdict=verdict,
        warnings=(
            *_unfinished(runs),
            *beaten,
            *unlike_units(metric, labels),
            *verdict.warnings,
            *unlike(runs, compare),
            *unlogged,
        ),
        trivial=folds.trivial,
        validation_errors=folds.validation_errors,
        test_errors=folds.errors,
        by_target=errors_over_folds(
            store, folds, study.data_fingerprint, [rule.rule for rule in verdict.rules], folds.runs
        ),
        folds=folds,
    )


def _unfinished(runs: tuple[RunRecord, ...]) -> list[str]:
    num = sum(run.status in FINISHED for run in runs)
    return [words.unfinished(num, len(runs))] if num < len(runs) else []
