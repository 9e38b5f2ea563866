"""Whether confidences are right: confidence against accuracy, in bins of equally many examples.

Shapes: N example, K class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.metrics import NUM_BINS, tied_means
from ravine.verdict.own_interval import share_interval

Array = NDArray[np.float64]

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Examples of neighbouring confidence.

    Args:
        examples: how many.
        confidence: mean probability of the predicted class.
        accuracy: share of right classes; examples of one confidence share what is right of them.
        interval: of the accuracy, Wilson's of 95 %.
    """

    examples: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


def reliability(
    log_p: Array, predicted: NDArray[np.number], answers: np.ndarray, num_bins: int = NUM_BINS
) -> tuple[Bin, ...]:
    """Bins in the order of their confidence, those of `calibration_error`.

    Args:
        log_p: (N, K).
        predicted: (N,) classes.
        answers: (N,) the right ones.
        num_bins: how many, where there are as many examples.

    Example:
        >>> low, high = reliability(np.log([[0.6, 0.4], [0.9, 0.1]]), np.zeros(2), np.array([1, 0]))
        >>> low.accuracy, round(high.confidence, 3), high.accuracy
        (0.0, 0.9, 1.0)
    """
    confidence = np.exp(log_p[np.arange(len(answers)), predicted.astype(np.int64)])
    order = np.argsort(confidence)
    right = np.empty(len(order))
    right[order] = tied_means(confidence[order][None], (predicted == answers)[order][None] * 1.0)[0]
    return tuple(
        Bin(
            examples=len(part),
            confidence=float(confidence[part].mean()),
            accuracy=float(right[part].mean()),
            interval=share_interval(float(right[part].sum()), len(part), ALPHA),
        )
        for part in np.array_split(order, min(num_bins, len(order)))
    )
