"""How good an exported model is: its scores on validation with intervals, and what the verdict read on test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.scoring import heated, nll
from ravine.predictors.choice import Choice

Array = NDArray[np.float64]

_Z = 1.959963984540054  # 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A mean over examples.

    Args:
        value: the mean.
        low, high: its interval of 95 %, over examples.
    """

    value: float
    low: float
    high: float


def validation_scores(choice: Choice) -> dict[str, Score]:
    """Of what was chosen, on the examples by which it was chosen: flattering, if a little."""
    answers = choice.labels.validation
    pooled = choice.pool.predict(choice.labels.task, choice.outputs)
    if pooled.log_p is None:
        off = np.asarray(pooled.predicted - answers, dtype=np.float64)
        mse = _mean(np.square(off))
        low, high = math.sqrt(max(0.0, mse.low)), math.sqrt(mse.high)
        return {"rmse": Score(value=math.sqrt(mse.value), low=low, high=high), "mae": _mean(np.abs(off))}
    log_p = heated(pooled.log_p, choice.temperature)
    right = int((pooled.predicted == answers).sum())
    return {"accuracy": wilson(right, len(answers)), "nll": _mean(nll(log_p, answers))}


def wilson(right: int, number: int) -> Score:
    """A share with Wilson's interval (1927).

    Example:
        >>> wilson(0, 10).low, round(wilson(0, 10).high, 4)
        (0.0, 0.2775)
    """
    p, z2 = right / number, _Z * _Z
    center = (p + z2 / (2 * number)) / (1 + z2 / number)
    half = _Z / (1 + z2 / number) * math.sqrt(p * (1 - p) / number + z2 / (4 * number * number))
    return Score(value=p, low=max(0.0, min(p, center - half)), high=min(1.0, max(p, center + half)))


def plain_scores(scores: dict[str, Score]) -> dict[str, Any]:
    """As JSON has them; what is not finite is None."""
    return {
        name: {
            key: value if math.isfinite(value) else None
            for key, value in (("value", each.value), ("low", each.low), ("high", each.high))
        }
        for name, each in scores.items()
    }


def _mean(values: Array) -> Score:
    value = float(values.mean())
    half = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Score(value=value, low=value - half, high=value + half)
