"""All metrics of a study with folds: each fold's own, and over all folds their mean and spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ravine.data.deal_folds import FoldOf
from ravine.metrics import Metric
from ravine.outcomes.folds import FoldsResult, by_fold
from ravine.outcomes.metric_table import (
    SPLITS,
    Cells,
    MetricTable,
    OnFold,
    computed,
    notes_of,
    of_trivial,
    usable,
)
from ravine.outcomes.trials import Predicted
from ravine.outcomes.trivial import trivial_of

if TYPE_CHECKING:
    from ravine.store import RunRecord, Store

BySplit = dict[str, dict[str, float]]


def fold_metric_table(
    store: Store, runs: Sequence[RunRecord], fingerprint: str, folds: FoldsResult, noun: str, metric: Metric
) -> MetricTable:
    """Compute them out of stored predictions: of every run on its fold's validation part, of the chosen on its test.

    Args:
        store: where the predictions are.
        runs: of the study.
        fingerprint: of the whole data set.
        folds: what validation chose on each fold.
        noun: what one of the rules is called.
        metric: what it was chosen by, which is listed too.
    """
    done = tuple(run for run in runs if run.status == "done")
    labels = {part: store.labels.of(part.key(fingerprint)) for part in by_fold(done)}
    found = {part: usable(own, metric, part.words) for part, own in labels.items()}
    metrics = {
        name: each
        for metrics, _ in found.values()
        for name, each in metrics.items()
        if all(name in others for others, _ in found.values())
    }
    validation: dict[str, Cells] = {}
    rows: list[OnFold] = []
    trivial: dict[FoldOf, BySplit] = {}
    for part, of_fold in by_fold(done).items():
        own, predicted = labels[part], Predicted(store=store, labels=labels[part])
        outputs = predicted.outputs("validation", [run.id for run in of_fold])
        numbers = computed(metrics, own, "validation", list(outputs.values()))
        validation |= {
            run: {name: float(numbers[name][i]) for name in metrics} for i, run in enumerate(outputs)
        }
        if (without_inputs := trivial_of(own, metric)) is not None:
            trivial[part] = of_trivial(metrics, own, without_inputs)
        for each in (each for each in folds.chosen if each.part == part):
            tested = computed(metrics, own, "test", list(predicted.outputs("test", each.runs).values()))
            rows.append(
                OnFold(
                    rule=each.rule,
                    part=part,
                    validation={
                        name: float(np.mean([validation[run][name] for run in each.runs])) for name in metrics
                    },
                    test={name: float(np.mean(numbers)) for name, numbers in tested.items()},
                )
            )
    by_rule = {
        rule.rule: {split: [getattr(row, split) for row in rows if row.rule == rule.rule] for split in SPLITS}
        for rule in folds.rules
        if rule.config is not None
    }
    return MetricTable(
        metrics=metrics,
        noun=noun,
        validation=validation,
        test={rule: _mean(splits["test"]) for rule, splits in by_rule.items()},
        chosen={rule: _mean(splits["validation"]) for rule, splits in by_rule.items()},
        trivial={split: _mean([each[split] for each in trivial.values()]) for split in SPLITS}
        if len(trivial) == len(labels)
        else {},
        runs=done,
        notes=(
            *_left_out([left for _, left in found.values()]),
            *notes_of(next(iter(labels.values()))),
        ),
        folds=tuple(rows),
        spread={
            split: {rule: _deviation(splits[split]) for rule, splits in by_rule.items()} for split in SPLITS
        },
    )


def _mean(of_folds: Sequence[Cells]) -> Cells:
    return {name: float(np.mean([each[name] for each in of_folds])) for name in of_folds[0]}


def _deviation(of_folds: Sequence[Cells]) -> Cells:
    """Standard deviation over folds; NaN of one fold."""
    if len(of_folds) < 2:
        return dict.fromkeys(of_folds[0], float("nan"))
    return {name: float(np.std([each[name] for each in of_folds], ddof=1)) for name in of_folds[0]}


def _left_out(of_folds: Sequence[Sequence[str]]) -> list[str]:
    """Why some metrics have no value; of each metric the first fold that lacks it."""
    first: dict[str, str] = {}
    for text in (text for texts in of_folds for text in texts):
        first.setdefault(text.partition(" is left out")[0], text)
    return list(first.values())
