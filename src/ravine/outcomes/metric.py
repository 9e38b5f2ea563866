"""What a study's runs are judged by, as its text says it, and what they reached by it on validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ravine.errors import InputError, StudyError
from ravine.messages import shown
from ravine.metrics import (
    DEFAULT,
    METRICS,
    Metric,
    heaviest_of,
    metric_named,
    unweighted,
    values_of,
    weighted,
)
from ravine.outcomes.member import Member
from ravine.outcomes.runs import validation_metric
from ravine.outcomes.trials import Predicted, trials
from ravine.store.averaged import kind_of
from ravine.study.definition import objects_of
from ravine.study.load import content_of
from ravine.study.metric import Judged, check_metric, is_default, judged_by_content
from ravine.verdict import Measure, measure_by, measure_of

if TYPE_CHECKING:
    from ravine.store import Labels, RunRecord, Store, StudyRecord
    from ravine.verdict import Trial


def judged_by(definition: str) -> Judged | None:
    """What a study's text says that its runs are judged by; None: what is usual for its task.

    Raises:
        StudyError: it was a function of a Python program.

    Example:
        >>> judged_by('metric = "f1_macro"').name, judged_by('name = "s"')
        ('f1_macro', None)
        >>> judged_by('loss = { kind = "quantile", q = 0.9 }').name
        'pinball_0.9'
    """
    if "metric" in (objects := objects_of(definition)):
        raise StudyError(
            f"metric: a function of a Python program ({objects['metric']}), which a store does not keep; give it, or"
            " another metric"
        )
    try:
        content = content_of(definition)
    except InputError:  # a study made by an older version, or in Python without a text
        return None
    return judged_by_content(content)


def metric_of(definition: str, task: str) -> Metric:
    """The metric that a study's text names; no code of the user's is run for it.

    Raises:
        StudyError: it names code.
    """
    judged = judged_by(definition)
    if judged is None:
        return METRICS[DEFAULT[task]]
    if judged.is_code:
        raise StudyError(
            f"metric = {shown(judged.name)}: no study file found here names it, and ravine runs no code that only a"
            " store names: give the metric (--metric, or results(..., metric=...) in Python)"
        )
    return metric_named(judged.name)


def known_metric(definition: str, task: str, asked: Metric | None) -> Metric | None:
    """What a study's results are told by: what is asked for, or what its text names; None: code that is not at hand."""
    if asked is not None:
        return unweighted(asked)
    try:
        return metric_of(definition, task)
    except StudyError:
        return None


def check_labels(metric: Metric, labels: Labels, fold: str = "") -> None:
    """See that a metric fits stored answers.

    Args:
        metric: any.
        labels: the answers.
        fold: what the fold is called that they are of; empty where there are none.

    Raises:
        StudyError: it is of another task, or a part lacks what it needs.
    """
    answers = {"validation": labels.validation, "test": labels.test}
    weights = {part: labels.weights_of(part) for part in answers} if metric.of else {}
    check_metric(metric, labels.task, labels.classes, answers, fold, weights)


def measures_of(metric: Metric, labels: Labels) -> tuple[Measure, Measure]:
    """What test scores and validation scores measure."""
    if is_default(metric, labels.task):
        usual = measure_of(labels.task, several=bool(labels.targets))
        return usual, usual
    num = len(labels.classes)
    test, validation = (
        measure_by(metric, heaviest_of(metric, labels.task, answers, num, labels.weights_of(split)))
        for split, answers in (("test", labels.test), ("validation", labels.validation))
    )
    return test, validation


def as_weighted(metric: Metric, labels: Labels) -> Metric:
    """A metric as the data have it: with their weights, where these are to count in scores."""
    return metric if labels.weights is None else weighted(metric, labels.task)


def column_of(metric: Metric, task: str) -> str:
    """What runs' values of a metric on validation are called: of the usual one as training stores them."""
    return validation_metric(task) if is_default(metric, task) else f"validation_{metric.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What runs' values on validation are.

    Args:
        column: the number of a run that has them.
        name: in a sentence.
        percent, lower: shown in per cent; better the lower they are.
    """

    column: str
    name: str
    percent: bool
    lower: bool

    def shown(self, value: float) -> str:
        """A value."""
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}"


def validated_by(metric: Metric, task: str) -> Validated:
    """What runs that are judged by a metric have on validation.

    Example:
        >>> validated_by(METRICS["mse"], "regression").name, validated_by(METRICS["f1_macro"], "classification").name
        ('loss', 'macro F1')
    """
    column = column_of(metric, task)
    if is_default(metric, task):
        name = column.removeprefix("validation_")
        return Validated(column=column, name=name, percent=name == "accuracy", lower=name == "loss")
    return Validated(column=column, name=metric.title, percent=metric.percent, lower=metric.lower)


def valued_averages(predicted: Predicted, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs with the values of another metric than the usual one of their stored averages among their numbers.

    Args:
        predicted: reads predictions, and has the metric.
        runs: finished, and validated on its examples.
    """
    metric = predicted.metric
    if metric is None or is_default(metric, predicted.labels.task):
        return list(runs)
    names = predicted.store.averages.names([run.id for run in runs])
    members = [_averaged(run, average) for run in runs for average in names[run.id]]
    outputs = predicted.of_members("validation", members)
    labels = predicted.labels
    found = values_of(
        [metric], labels.task, list(outputs.values()), labels.validation, labels.weights_of("validation")
    )
    values = dict(zip(outputs, found[metric.name].tolist(), strict=True))
    column = column_of(metric, labels.task)
    more: dict[str, dict[str, float]] = {run.id: {} for run in runs}
    for member in members:
        if np.isfinite(values[member.name]):
            more[member.run][kind_of(member.average, column)] = values[member.name]
    return [replace(run, metrics={**run.metrics, **more[run.id]}) for run in runs]


def _averaged(run: RunRecord, average: str) -> Member:
    return Member(
        run=run.id, average=average, rule=run.rule, config=run.config, hypers=run.hypers, seed=run.seed
    )


def by_metric(
    store: Store,
    study: StudyRecord,
    labels: Labels,
    runs: Sequence[RunRecord],
    metric: Metric | None = None,
) -> tuple[list[RunRecord], str]:
    """The runs of a study, and the number of theirs on validation that its configs are compared by.

    `averages_by_metric` then has it of their averages.

    Args:
        store: where it is.
        study: as stored.
        labels: the right answers of what the runs were trained on.
        runs: of the study.
        metric: what its configs are compared by; None: what its text names.

    Raises:
        StudyError: the text names code of the user's, or the metric does not fit the answers.
    """
    metric = as_weighted(metric_of(study.definition, labels.task) if metric is None else metric, labels)
    check_labels(metric, labels)
    if is_default(metric, labels.task):
        return list(runs), validation_metric(labels.task)
    found = trials(runs, Predicted(store=store, labels=labels, metric=metric))
    return list(scored_runs(runs, found, metric)), column_of(metric, labels.task)


def averages_by_metric(
    store: Store,
    study: StudyRecord,
    labels: Labels,
    runs: Sequence[RunRecord],
    metric: Metric | None = None,
) -> list[RunRecord]:
    """The same runs, as `by_metric` gave them, with that number of their stored averages too."""
    own = as_weighted(metric_of(study.definition, labels.task) if metric is None else metric, labels)
    return valued_averages(Predicted(store=store, labels=labels, metric=own), runs)


def squares_of(
    predicted: Predicted, trials: Sequence[Trial], tested: Iterable[str]
) -> tuple[list[Trial], dict[str, np.ndarray]]:
    """Of a regression that is judged by another metric, its squared errors: trials, and test scores by run."""
    usual = replace(predicted, metric=None)
    known = usual.scores("validation", [each.run for each in trials if each.validation is not None])
    found = [replace(each, validation=known.get(each.run)) for each in trials]
    return found, {run: usual.test_scores(run) for run in tested}


def scored_runs(runs: Sequence[RunRecord], trials: Sequence[Trial], metric: Metric) -> tuple[RunRecord, ...]:
    """The runs, with their values of a metric on validation among their numbers, as `column_of` calls it."""
    name, sign = f"validation_{metric.column}", -1.0 if metric.lower else 1.0
    means = {
        each.run: sign * float(np.mean(each.validation)) for each in trials if each.validation is not None
    }
    return tuple(
        replace(run, metrics={**run.metrics, name: means[run.id]})
        if run.id in means and np.isfinite(means[run.id])
        else run
        for run in runs
    )
