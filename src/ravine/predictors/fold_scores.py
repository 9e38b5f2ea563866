"""How good single networks of an exported pool of folds are: on the test parts that the verdict has read already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.metrics import Metric
from ravine.outcomes import Results
from ravine.outcomes.folds import FoldsResult
from ravine.outcomes.trials import Predicted
from ravine.predictors.fold_choice import FoldWinners
from ravine.predictors.scores import Score, plain_scores
from ravine.verdict.fold_errors import mean_interval_over_folds

if TYPE_CHECKING:
    from ravine.store import Store


def fold_score(found: FoldWinners, folds: FoldsResult, metric: Metric, store: Store) -> Score | None:
    """The mean over folds of what the seeds of each fold's winner reach on its test part, with its interval.

    Args:
        found: the winners.
        folds: what the verdict has read on test.
        metric: what it is about.
        store: where predictions are.

    Returns:
        None where the verdict has not read a winner on test.
    """
    tables = {}
    for part, seeds in found.winners.items():
        own = next((each for each in folds.chosen if each.part == part and seeds[0].id in each.runs), None)
        if own is None:
            return None
        labels = store.labels.of(part.key(found.study.data_fingerprint))
        predicted = Predicted(store=store, labels=labels, metric=metric)
        tables[part.repeat, part.fold] = np.stack([predicted.test_scores(run) for run in own.runs])
    mean = float(np.mean([each.mean() for each in tables.values()]))
    ends = mean_interval_over_folds(tables, folds.ratio, folds.measure, 0.05)
    low, high = sorted(folds.measure.readable(end) for end in ends)
    return Score(value=folds.measure.readable(mean), low=low, high=high)


def fold_scores(found: FoldWinners, results: Results, store: Store) -> dict[str, Any]:
    """The same for `ravine.json` and the card; {} where there is none."""
    assert results.folds is not None, "the study has folds"
    score = fold_score(found, results.folds, results.metric, store)
    if score is None:
        return {}
    usual = "mse" if results.is_regression else "accuracy"
    note = (
        f"On test: of single networks on examples that they have not seen, the mean over {results.folds.dealt}, in each"
        " of the seeds of its winner. What the networks of all folds say together has not been tested."
    )
    name = usual if results.is_usual else results.metric.column
    return {"test_of_single_networks": {"scores": plain_scores({name: score}), "note": note}}
