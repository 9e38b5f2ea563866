"""The trivial predictor, which looks at no input: what any model must beat.

For every example it predicts what the training answers are on average: the share of each class, so that its class is
always the most frequent one; the share of each label; or the mean of each target. It is no method: it has no seeds, and
the verdict does not know of it.

Shapes: N example, K class or label, T target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ravine.metrics import Metric, brier_factor, values_of
from ravine.outcomes.regression import MEAN, Errors
from ravine.study.metric import is_default
from ravine.verdict import scorer

if TYPE_CHECKING:
    from ravine.store import Labels

SPLITS = ("validation", "test")
_NAMED = 3  # labels or targets that are named
_Weights: TypeAlias = "np.ndarray | None"
_NEVER = -1e4  # logit of a class that training had no example of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trivial:
    """What a predictor that looks at no input reaches.

    Args:
        name: as a table calls it.
        phrase: what it always predicts, in a sentence.
        answer: that, for these data: a class, or a number.
        about: more about it, as a line under a table.
        output: what it puts out for every example, as a run would: the logarithms of the classes' shares, or the
            logits of the labels', (K,); or a value of the target, (), or of each, (T,).
        scores: by split, the mean of its scores per example as a verdict has them; higher is better.
        metrics: by the names of a run's, such as "validation_loss"; those on test too.
    """

    name: str
    phrase: str
    answer: str
    about: str
    output: np.ndarray
    scores: Mapping[str, float]
    metrics: Mapping[str, float]

    def outputs(self, num: int) -> np.ndarray:
        """What it puts out for so many examples, all of it finite: of a class that training had none of very little."""
        return np.broadcast_to(np.maximum(self.output, _NEVER), (num, *self.output.shape))

    @property
    def test_errors(self) -> Errors | None:
        """Of a regression with one target, its errors on test."""
        found = {name: self.metrics.get(f"test_{name}") for name in Errors.__slots__}
        if any(value is None for value in found.values()):
            return None
        return Errors(**{name: float(value) for name, value in found.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a task makes of the average answer.

    Args:
        name, phrase: as in `Trivial`.
        answer: what it always predicts, and more about it.
        output: what it puts out for every example.
        metrics: of such outputs against the right answers; errors in the target's unit have the weights of the scores.
    """

    name: str
    phrase: str
    answer: Callable[[Labels, np.ndarray, str], tuple[str, str]]
    output: Callable[[np.ndarray], np.ndarray]
    metrics: Callable[[np.ndarray, np.ndarray, Labels, np.ndarray | None], Mapping[str, float]]


def trivial_of(labels: Labels, metric: Metric | None = None) -> Trivial | None:
    """The trivial predictor of a data set; None where its task has none, or a split has no examples.

    Stores that older versions wrote do not say what training answers were; those of validation then take their place.

    Args:
        labels: the right answers.
        metric: what runs are judged by; None: what is usual for the task.

    Example:
        >>> from ravine.store import Labels
        >>> answers = np.array([0, 1, 1, 0])
        >>> labels = Labels(name="coins", task="classification", classes=("heads", "tails"), sizes=(4, 4, 4),
        ...     validation=answers, test=answers, training_mean=np.array([0.25, 0.75]))
        >>> found = trivial_of(labels)
        >>> found.name, found.answer, found.metrics["test_accuracy"]
        ('most frequent class', 'tails', 0.5)
    """
    kind = _OF_TASK.get("several" if labels.targets else labels.task)
    answers = {"validation": labels.validation, "test": labels.test}
    if kind is None or not all(len(each) for each in answers.values()):
        return None
    known = labels.training_mean
    mean = _mean_answer(labels) if known is None else np.asarray(known, dtype=np.float64)
    output = kind.output(mean)
    score, scores, metrics = scorer(labels.task, labels.scale), dict[str, float](), dict[str, float]()
    for split, right in answers.items():
        outputs = np.broadcast_to(output, (len(right), *output.shape))
        scores[split] = float(score(outputs, right).mean())
        found = kind.metrics(outputs, right, labels, labels.weights_of(split))
        metrics |= {f"{split}_{name}": value for name, value in found.items()}
        if metric is not None and not is_default(metric, labels.task):
            value = _value(metric, labels, split, outputs)
            metrics[f"{split}_{metric.column}"] = value
            scores[split] = -value if metric.lower else value
    answer, about = kind.answer(labels, mean, "validation" if known is None else "training")
    return Trivial(
        name=kind.name,
        phrase=kind.phrase,
        answer=answer,
        about=about,
        output=output,
        scores=scores,
        metrics=metrics,
    )


def _value(metric: Metric, labels: Labels, split: str, outputs: np.ndarray) -> float:
    finite = np.maximum(outputs, _NEVER) if labels.task == "classification" else outputs
    right = labels.validation if split == "validation" else labels.test
    found = values_of([metric], labels.task, [finite], right, labels.weights_of(split))
    return float(found[metric.name][0])


def _mean_answer(labels: Labels) -> np.ndarray:
    """What validation answers are on average."""
    if labels.task == "classification":
        return np.bincount(labels.validation, minlength=len(labels.classes)) / len(labels.validation)
    return np.atleast_1d(np.mean(labels.validation, axis=0, dtype=np.float64))


def _log_shares(shares_K: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a class without an example
        logs_K: np.ndarray = np.log(shares_K)
    return logs_K


def _frequent(labels: Labels, shares_K: np.ndarray, of: str) -> tuple[str, str]:
    most = int(shares_K.argmax())
    name = labels.classes[most]
    share = f"{100 * shares_K[most]:.1f} %"
    return name, f"always {name}, the class of {share} of the {of} examples"


def _central(_labels: Labels, mean: np.ndarray, of: str) -> tuple[str, str]:
    value = f"{float(mean[0]):.4g}".replace("-", "−")
    return value, f"always {value}, the mean of the {of} targets"


def _log_odds(shares_K: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a label that no example has
        logits_K: np.ndarray = np.log(shares_K) - np.log1p(-shares_K)
    return logits_K


def _usual(labels: Labels, shares_K: np.ndarray, of: str) -> tuple[str, str]:
    names = [name for name, share in zip(labels.classes, shares_K, strict=True) if share > 0.5]
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    if not names:
        return "no label", f"always no label, since at most half of the {of} examples have each"
    what = "the label" if len(names) == 1 else "the labels"
    return shown, f"always {what} {shown}, which more than half of the {of} examples have"


def _means(labels: Labels, mean_T: np.ndarray, of: str) -> tuple[str, str]:
    values = [f"{name} {value:.4g}" for name, value in zip(labels.targets, mean_T, strict=True)]
    shown = ", ".join(values[:_NAMED]).replace("-", "−") + (", ..." if len(values) > _NAMED else "")
    return shown, f"always {shown}, the means of the {of} targets"


def _of_labels(
    logits_NK: np.ndarray, right_NK: np.ndarray, _labels: Labels, _weights: _Weights
) -> dict[str, float]:
    with np.errstate(over="ignore"):
        p_NK = 1.0 / (1.0 + np.exp(-logits_NK))
    with np.errstate(divide="ignore"):
        losses_NK = -np.log(np.where(right_NK == 1, p_NK, 1.0 - p_NK))
    return {
        "accuracy": float(((logits_NK > 0.0) == (right_NK == 1)).mean()),
        "loss": float(losses_NK.mean()),
        "brier": float(np.square(p_NK - right_NK).mean()),
    }


def _of_targets(
    values_NT: np.ndarray, right_NT: np.ndarray, labels: Labels, _weights: _Weights
) -> dict[str, float]:
    off_NT = (right_NT.astype(np.float64) - values_NT) / np.array(labels.scale)
    return {"loss": float(np.square(off_NT).mean())}


def _of_classes(
    log_shares_NK: np.ndarray, right_N: np.ndarray, _labels: Labels, _weights: _Weights
) -> dict[str, float]:
    of_right_N = np.take_along_axis(log_shares_NK, right_N[:, None], axis=1)[:, 0]
    shares_NK = np.exp(log_shares_NK)
    brier_N = np.square(shares_NK).sum(axis=1) - 2 * np.exp(of_right_N) + 1
    return {
        "accuracy": float((log_shares_NK.argmax(axis=1) == right_N).mean()),
        "loss": float(-of_right_N.mean()),
        "brier": brier_factor(shares_NK.shape[1]) * float(brier_N.mean()),
    }


def _of_numbers(
    values_N: np.ndarray, right_N: np.ndarray, _labels: Labels, weights_N: _Weights
) -> dict[str, float]:
    squares_N = np.square(right_N.astype(np.float64) - values_N)
    found = Errors.of(-squares_N, right_N, weights_N)
    return {"loss": float(squares_N.mean()), **{name: getattr(found, name) for name in Errors.__slots__}}


_OF_TASK: Mapping[str, _Kind] = MappingProxyType(
    {
        "classification": _Kind(
            name="most frequent class",
            phrase="the most frequent class",
            answer=_frequent,
            output=_log_shares,
            metrics=_of_classes,
        ),
        "regression": _Kind(
            name="mean of the target",
            phrase="the mean of the target",
            answer=_central,
            output=lambda mean: np.asarray(mean[0]),
            metrics=_of_numbers,
        ),
        "several": _Kind(
            name=MEAN,
            phrase="the mean of each target",
            answer=_means,
            output=lambda mean: mean,
            metrics=_of_targets,
        ),
        "multilabel": _Kind(
            name="usual labels",
            phrase="what is usual of each label",
            answer=_usual,
            output=_log_odds,
            metrics=_of_labels,
        ),
    }
)
"""The one place that knows what no input tells about a task's answers."""


def finite(value: float | None) -> float | None:
    """A number that can be drawn; None for any other."""
    return value if value is not None and math.isfinite(value) else None
