"""Metrics of many runs: a few runs at a time, so that their numbers stay in caches, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ravine.metrics.arrays import Array
from ravine.metrics.given import given_of
from ravine.metrics.means import as_weights
from ravine.metrics.metric import Metric
from ravine.parallel import each

Found = TypeVar("Found")

_BYTES = 4 * 2**20  # of the outputs of runs that are looked at together


def values_of(
    metrics: Sequence[Metric],
    task: str,
    outputs: Sequence[np.ndarray],
    answers: np.ndarray,
    weights: np.ndarray | None = None,
) -> dict[str, Array]:
    """Metrics of runs, (R,) each.

    Args:
        metrics: of the task.
        task: "classification", "multilabel" or "regression".
        outputs: of each run, as stored.
        answers: the right ones.
        weights: (N,) of the examples; they are for the metrics that `ravine.metrics.weighted` made, and for no others.

    Returns:
        By name; NaN for a run whose outputs are not all finite.
    """

    def some(runs: Sequence[np.ndarray]) -> list[Array]:
        givens = {
            of: given_of(task, runs, answers, weights if of else None)
            for of in {bool(each.of) for each in metrics}
        }
        return [metric.value(task, givens[bool(metric.of)]) for metric in metrics]

    found = _by_few(some, outputs)
    return {
        metric.name: np.concatenate([few[place] for few in found]) if found else np.empty(0)
        for place, metric in enumerate(metrics)
    }


def parts_of(
    metric: Metric,
    task: str,
    outputs: Sequence[np.ndarray],
    answers: np.ndarray,
    weights: np.ndarray | None = None,
) -> list[Array]:
    """What each example contributed to a metric, (N,) of each run; the mean is the metric. Args as in `values_of`."""
    counted = weights if metric.of else None

    def some(runs: Sequence[np.ndarray]) -> list[Array]:
        return list(metric.parts(task, given_of(task, runs, answers, counted)))

    return [row for rows in _by_few(some, outputs) for row in rows]


def heaviest_of(
    metric: Metric, task: str, answers: np.ndarray, num_classes: int, weights: np.ndarray | None = None
) -> float:
    """As how many examples one counts at most in a metric; see `Formula.heaviest`."""
    return metric.formulas[task].heaviest(answers, num_classes, as_weights(weights)) if len(answers) else 1.0


def _by_few(work: Callable[[Sequence[np.ndarray]], Found], outputs: Sequence[np.ndarray]) -> list[Found]:
    if not outputs:
        return []
    num = max(1, _BYTES // max(1, 4 * outputs[0].size))
    return each(work, [outputs[start : start + num] for start in range(0, len(outputs), num)])
