"""A metric that is a mean over examples, as their weighted mean: theta = sum_i w_i s_i / sum_i w_i.

It is what scikit-learn's `sample_weight` gives. An example contributes psi_i = theta + w_i (s_i - theta) / mean(w): the
mean of all psi is theta, and their spread is that of a ratio of two means over other examples (the delta method).

Shapes: R run, N example.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ravine.errors import InputError
from ravine.messages import shown
from ravine.metrics.arrays import Array
from ravine.metrics.given import Given
from ravine.metrics.metric import Formula, Metric
from ravine.metrics.registry import METRICS


def weighted(metric: Metric, task: str) -> Metric:
    """A metric with the weights of examples.

    Args:
        metric: of the task; one with weights is returned as it is.
        task: of the data.

    Raises:
        InputError: it is no mean over examples.

    Example:
        >>> from ravine.metrics import metric_named
        >>> weighted(metric_named("accuracy"), "classification").title
        'weighted accuracy'
    """
    if metric.of or task not in metric.formulas:
        return metric
    if not metric.formulas[task].mean:
        means = [name for name, each in METRICS.items() if task in each.formulas and each.formulas[task].mean]
        raise InputError(
            f"metric = {shown(metric.name)}: not with data.weight_scores, which is for means over examples; allowed: "
            + ", ".join(means)
        )
    return replace(
        metric,
        name=f"weighted_{metric.name}",
        title=f"weighted {metric.title}",
        short=f"weighted {metric.short}",
        formulas={task: _formula(metric.formulas[task])},
        binary=False,
        of=metric.name,
    )


def heaviest_weight(weights: np.ndarray) -> float:
    """As how many examples one counts at most."""
    known = np.asarray(weights, dtype=np.float64)
    return float(known.max() / known.mean())


def _formula(plain: Formula) -> Formula:
    def parts(given: Given) -> Array:
        psi: Array = _parts(plain.parts(given), given)
        return psi

    def value(given: Given) -> Array:
        found: Array = _means(plain.parts(given), given)[1][:, 0]
        return found

    return replace(plain, value=value, parts=parts, mean=False)


def _means(scores_RN: Array, given: Given) -> tuple[Array, Array]:
    """Scores (R, N), 0 where an example has no weight, and their weighted means (R, 1)."""
    w_N = _weights(given)
    known_RN = np.where(w_N > 0.0, scores_RN, 0.0)  # a score without an end times 0 is none
    return known_RN, (known_RN @ w_N / w_N.sum())[:, None]


def _parts(scores_RN: Array, given: Given) -> Array:
    w_N = _weights(given)
    known_RN, theta_R1 = _means(scores_RN, given)
    found: Array = theta_R1 + w_N / w_N.mean() * (known_RN - theta_R1)
    return found


def _weights(given: Given) -> Array:
    assert given.weights is not None, "data whose scores have weights keep them"
    return np.asarray(given.weights, dtype=np.float64)
