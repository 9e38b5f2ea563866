"""Metrics of probabilities: log loss, the Brier score, and the calibration error.

Shapes: R run, N example, K class or label.
"""

from __future__ import annotations

import numpy as np

from ravine.metrics.given import Array, Classes, Marks, Whole
from ravine.metrics.metric import Formula, plain

NUM_BINS = 15  # of the calibration error


def _nll(given: Classes) -> Array:
    return 0.0 - given.log_right


LOG_LOSS = plain(_nll)


def _brier(given: Classes) -> Array:
    """Squared distance from the right answer: of two classes of the second's probability alone."""
    if given.num_classes == 2:
        right = given.log_right
        found: Array = np.square(np.expm1(right))
        return found
    squares = np.exp(2.0 * given.log_p[0])
    for k in range(1, given.num_classes):
        squares += np.exp(2.0 * given.log_p[k])
    right = given.log_right
    found = squares - np.exp(2.0 * right) + np.square(np.expm1(right))
    return found


BRIER = plain(_brier)


def _gaps(given: Classes) -> tuple[Array, Whole]:
    """(R, N) confidence minus 1 or 0 for right or wrong, and which of the bins each example is in.

    The bins have equally many examples, by their confidence: the first ones one more where that does not come out.
    """
    confidence = np.exp(np.take_along_axis(given.log_p, given.predicted[None], axis=0)[0])
    order = np.argsort(confidence, axis=1, kind="stable")
    num = given.shape[1]
    bins = np.empty(given.shape, dtype=np.int64)
    sizes = [len(each) for each in np.array_split(np.arange(num), min(NUM_BINS, num))]
    np.put_along_axis(bins, order, np.repeat(np.arange(len(sizes)), sizes)[None], axis=1)
    return confidence - given.right, bins


def _signed(given: Classes) -> Array:
    """(R, N) the gap of each example, with the sign of its bin's: their mean is the calibration error."""
    gap, bins = _gaps(given)
    cells = bins + NUM_BINS * np.arange(given.shape[0])[:, None]
    sums = np.bincount(cells.ravel(), weights=gap.ravel(), minlength=NUM_BINS * given.shape[0])
    found: Array = gap * np.sign(sums)[cells]
    return found


ECE = plain(_signed)


def _log_loss_of_labels(given: Marks) -> Array:
    """Mean over labels of minus the logarithm of the probability of the right answer."""
    signed = np.where(given.answers_KN[:, None], -given.logits, given.logits)
    found: Array = np.logaddexp(0.0, signed).mean(axis=0)
    return found


def _brier_of_labels(given: Marks) -> Array:
    signed = np.where(given.answers_KN[:, None], -given.logits, given.logits)
    wrong = np.exp(-np.logaddexp(0.0, -signed))
    found: Array = np.square(wrong).mean(axis=0)
    return found


LOG_LOSS_OF_LABELS: Formula = plain(_log_loss_of_labels)
BRIER_OF_LABELS: Formula = plain(_brier_of_labels)
