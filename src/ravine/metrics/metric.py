"""What a metric is: one number for a run, and what each example contributed to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.metrics.arrays import Array
from ravine.metrics.given import Given
from ravine.metrics.means import mean_over, usual_weight


def _one(answers: np.ndarray, num_classes: int, weights_N: Array | None = None) -> float:  # noqa: ARG001
    return 1.0 if weights_N is None else usual_weight(weights_N)


def _fits(num_classes: int) -> str:  # noqa: ARG001
    return ""


def _has_all(answers: np.ndarray, classes: tuple[str, ...]) -> str:  # noqa: ARG001
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A metric of one task.

    Args:
        value: (R,) the metric of each run; of examples with weights, the weighted one.
        parts: (R, N) pseudo-values: what each example contributed. Their mean is the metric, and their spread is that
            of the metric over other examples: psi_i = value + influence of example i. Of examples with weights it is
            their weighted mean, and an influence is that of a share of the weight.
        heaviest: by how much at most one example can change the mean of the parts, times N, where all else is right;
            1 for an accuracy. Of answers, the number of classes, and weights with mean 1: it then is that of an example
            of their `usual_weight`, so that as many are counted as say as much.
        unfit: why it is not a metric of so many classes, as the end of a sentence; empty where it is.
        lacking: why it has no value for some answers, of which the classes have these names; empty where it has one.
    """

    value: Callable[[Any], Array]
    parts: Callable[[Any], Array]
    heaviest: Callable[[np.ndarray, int, Array | None], float] = _one
    unfit: Callable[[int], str] = _fits
    lacking: Callable[[np.ndarray, tuple[str, ...]], str] = _has_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric by name.

    Args:
        name: as a study says it, such as "f1_macro".
        title: in a sentence, such as "macro F1".
        short: over a column.
        formulas: by task.
        lower: lower is better.
        percent: it lies from 0 to 1 and is shown in per cent.
        binary: an example's part is 1 or 0.
        best: no run is better; None: there is no such number.
        own: it is a function of the user's.
        called: what it is called beside a part of the data, where that is not its name.
        of: name of the metric that this is with the weights of examples, see `ravine.metrics.weighted`; empty: it has
            no weights.
    """

    name: str
    title: str
    short: str
    formulas: Mapping[str, Formula]
    lower: bool = False
    percent: bool = False
    binary: bool = False
    best: float | None = None
    own: bool = False
    called: str = ""
    of: str = ""

    @property
    def asked(self) -> str:
        """As a study says it, whose data say whether it has weights."""
        return self.of or self.name

    @property
    def column(self) -> str:
        """What it is called beside a part of the data, as in "validation_f1"."""
        return self.called or self.name

    def value(self, task: str, given: Given) -> Array:
        """(R,) the metric of each run; NaN of one whose outputs are not all finite."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found = self.formulas[task].value(given)
        return np.where(given.finite, found, np.nan)

    def parts(self, task: str, given: Given) -> Array:
        """(R, N) what each example contributed; their mean is the metric.

        With weights it is psi_i = theta + w_i (part_i - theta), where theta is the metric and the mean weight is 1.
        """
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found = self.formulas[task].parts(given)
            if given.weights is not None:
                found = np.where(given.weights > 0.0, found, 0.0)
                theta_R1 = mean_over(found, given.weights)[:, None]
                found = theta_R1 + given.weights * (found - theta_R1)
        return np.where(given.finite[:, None], found, np.nan)


def plain(each: Callable[[Any], Array]) -> Formula:
    """A metric that is a mean over examples.

    Args:
        each: (R, N) of predictions.
    """
    return Formula(value=lambda given: mean_over(each(given), given.weights), parts=each)
