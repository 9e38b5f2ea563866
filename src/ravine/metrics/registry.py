"""The metrics by name, of each task."""

from __future__ import annotations

import copyreg
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ravine.errors import InputError, choices
from ravine.messages import shown
from ravine.metrics import counts, labels, numbers, probabilities, ranking
from ravine.metrics.metric import Formula, Metric

CLASSES, MARKS, NUMBERS = "classification", "multilabel", "regression"
DEFAULT: Mapping[str, str] = {CLASSES: "accuracy", MARKS: "label_accuracy", NUMBERS: "mse"}
"""What runs of a task are judged by where nobody says anything else."""

_WORDS = {CLASSES: "classification", MARKS: "several labels", NUMBERS: "regression"}
_TOP = re.compile(r"top_([1-9][0-9]{0,5})")
_PINBALL = re.compile(r"pinball_(0?\.[0-9]{1,6})")


def _share(
    name: str, title: str, short: str, formulas: Mapping[str, Formula], *, binary: bool = False
) -> Metric:
    return Metric(
        name=name, title=title, short=short, formulas=formulas, percent=True, binary=binary, best=1.0
    )


def _loss(name: str, title: str, short: str, formulas: Mapping[str, Formula]) -> Metric:
    return Metric(name=name, title=title, short=short, formulas=formulas, lower=True, best=0.0)


_ALL = (
    _share("accuracy", "accuracy", "accuracy", {CLASSES: counts.ACCURACY}, binary=True),
    _share("balanced_accuracy", "balanced accuracy", "balanced accuracy", {CLASSES: counts.BALANCED}),
    _share("label_accuracy", "label accuracy", "label accuracy", {MARKS: labels.LABEL_ACCURACY}),
    _share(
        "subset_accuracy", "subset accuracy", "subset accuracy", {MARKS: labels.SUBSET_ACCURACY}, binary=True
    ),
    _share("f1", "F1", "F1", {CLASSES: counts.F1}),
    _share("f1_macro", "macro F1", "macro F1", {CLASSES: counts.F1_MACRO, MARKS: labels.F1_MACRO}),
    _share("f1_micro", "micro F1", "micro F1", {CLASSES: counts.ACCURACY, MARKS: labels.F1_MICRO}),
    _share(
        "f1_weighted",
        "support-weighted F1",
        "support-weighted F1",
        {CLASSES: counts.F1_WEIGHTED, MARKS: labels.F1_WEIGHTED},
    ),
    _share("f1_samples", "F1 per example", "F1 per example", {MARKS: labels.F1_SAMPLES}),
    _share("roc_auc", "ROC AUC", "ROC AUC", ranking.ROC_AUC),
    _share("average_precision", "average precision", "AP", ranking.AVERAGE_PRECISION),
    _loss(
        "log_loss",
        "log loss",
        "log loss",
        {CLASSES: probabilities.LOG_LOSS, MARKS: probabilities.LOG_LOSS_OF_LABELS},
    ),
    _loss(
        "brier", "Brier score", "Brier", {CLASSES: probabilities.BRIER, MARKS: probabilities.BRIER_OF_LABELS}
    ),
    _loss("ece", "calibration error", "ECE", {CLASSES: probabilities.ECE}),
    Metric(name="r2", title="R²", short="R²", formulas={NUMBERS: numbers.R2}, best=1.0),
    _loss("mse", "mean squared error", "MSE", {NUMBERS: numbers.MSE}),
    _loss("rmse", "RMSE", "RMSE", {NUMBERS: numbers.RMSE}),
    _loss("mae", "mean absolute error", "MAE", {NUMBERS: numbers.MAE}),
    _loss("median_absolute_error", "median absolute error", "median error", {NUMBERS: numbers.MEDIAN}),
)
METRICS: Mapping[str, Metric] = {each.name: each for each in _ALL}
_PATTERNS = ("top_5", "pinball_0.9")  # a number of the user's choice
# What others call them: scikit-learn's scorers, less "neg_" and "_score", and short names.
_ELSEWHERE = {
    "acc": "accuracy",
    "top_k_accuracy": "top_5",
    "f1_binary": "f1",
    "macro_f1": "f1_macro",
    "micro_f1": "f1_micro",
    "weighted_f1": "f1_weighted",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "roc": "roc_auc",
    "roc_auc_ovr": "roc_auc",
    "ap": "average_precision",
    "auprc": "average_precision",
    "pr_auc": "average_precision",
    "nll": "log_loss",
    "cross_entropy": "log_loss",
    "brier_loss": "brier",
    "calibration": "ece",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "mean_pinball_loss": "pinball_0.9",
    "pinball": "pinball_0.9",
}


def metric_named(name: str) -> Metric:
    """A metric by its name.

    Args:
        name: one of `METRICS`, or with a number in it: "top_5", "pinball_0.9".

    Raises:
        InputError: there is none of that name.

    Example:
        >>> metric_named("f1_macro").title, metric_named("top_3").title
        ('macro F1', 'top-3 accuracy')
    """
    if name in METRICS:
        return METRICS[name]
    if match := _TOP.fullmatch(name):
        k = match[1]
        return _share(name, f"top-{k} accuracy", f"top-{k}", {CLASSES: counts.top(int(k))}, binary=True)
    if (match := _PINBALL.fullmatch(name)) and 0.0 < float(match[1]) < 1.0:
        share = float(match[1])
        return _loss(
            name, f"pinball loss at {share:g}", f"pinball {share:g}", {NUMBERS: numbers.pinball(share)}
        )
    known = [*METRICS, *_PATTERNS]
    plain = name.lower().replace(" ", "_").replace("-", "_").removeprefix("neg_").removesuffix("_score")
    meant = plain if plain in METRICS else _ELSEWHERE.get(plain)
    allowed = f"did you mean {meant!r}? {choices('', known, 'Allowed')}" if meant else choices(name, known)
    raise InputError(f'metric = {shown(name)}: {allowed}, or "package.module:name" of a function')


def lower_named(column: str) -> bool:
    """Whether a metric of that name, or a loss that training stores, is better the lower it is.

    Args:
        column: as `Metric.column` has it.

    Example:
        >>> [lower_named(name) for name in ("accuracy", "loss", "rmse", "weighted_mae", "roc_auc", "cost_loss")]
        [False, True, True, True, False, True]
    """
    name = column.removeprefix("weighted_")
    known = METRICS.get(name)
    return name.endswith("loss") or bool(_PINBALL.fullmatch(name)) or (known is not None and known.lower)


def is_taken(name: str) -> bool:
    """Whether ravine has a metric of that name, or a title that a reader would take for it.

    Example:
        >>> is_taken("F1"), is_taken("top_3"), is_taken("cost")
        (True, True, False)
    """
    plain = name.lower().removeprefix("weighted_")
    titles = {each.title.lower() for each in METRICS.values()}
    return plain in METRICS or plain in titles or plain == "loss" or bool(_TOP.fullmatch(plain))


def names_of(task: str) -> tuple[str, ...]:
    """The metrics of a task that need no number of the user's choice, in the order in which they are listed.

    Example:
        >>> names_of("regression")
        ('r2', 'mse', 'rmse', 'mae', 'median_absolute_error')
    """
    return tuple(name for name, each in METRICS.items() if task in each.formulas)


def check_task(metric: Metric, task: str, num_classes: int) -> None:
    """Refuse a metric of another task, or of another number of classes.

    Raises:
        InputError: says which metrics there are.
    """
    where = f"metric = {shown(metric.asked)}"
    if task not in metric.formulas:
        numbered = {CLASSES: ("top_5",), NUMBERS: ("pinball_0.9",)}.get(task, ())
        allowed = ", ".join((*names_of(task), *numbered))
        raise InputError(f"{where}: is not a metric for {_WORDS[task]}; allowed: {allowed}")
    if reason := metric.formulas[task].unfit(num_classes):
        raise InputError(f"{where}: {reason}")


def check_answers(
    metric: Metric,
    task: str,
    answers: np.ndarray,
    classes: Sequence[str],
    part: str,
    fold: str = "",
    weights: np.ndarray | None = None,
) -> None:
    """Refuse a metric that has no value for the answers of a part of the data.

    Args:
        metric: of the task.
        task: of the data.
        answers: of the part.
        classes: names of the classes or labels.
        part: "validation" or "test".
        fold: what the fold is called that the part is of; empty where there are none.
        weights: (N,) of its examples, where the metric has them; one of weight 0 is none.

    Raises:
        InputError: says what is missing.
    """
    counted = answers if weights is None else answers[np.asarray(weights) > 0]
    if reason := metric.formulas[task].lacking(counted, tuple(classes)):
        of = f" of {fold}" if fold else ""
        some = " with a weight above 0" if len(counted) < len(answers) else ""
        raise InputError(f"metric = {shown(metric.asked)}: {reason} in the {part} part{of}{some}")


def _reduced(metric: Metric) -> Any:
    """What a metric is pickled and copied as: one of ravine's by name, since formulas are no data."""
    return metric.__reduce_ex__(4) if metric.own or metric.of else (metric_named, (metric.name,))


copyreg.pickle(Metric, _reduced)
