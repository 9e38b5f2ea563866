"""Metrics of probabilities: log loss, the Brier score, and the calibration error.

Shapes: R run, N example, K class or label.
"""

from __future__ import annotations

import numpy as np

from ravine.metrics.arrays import Array, Truths
from ravine.metrics.given import Classes, Marks
from ravine.metrics.metric import Formula, plain

NUM_BINS = 15  # of the calibration error


def _nll(given: Classes) -> Array:
    return 0.0 - given.log_right


LOG_LOSS = plain(_nll)


def brier_factor(num_classes: int) -> float:
    """What a squared distance over all classes is multiplied by to be a Brier score.

    Of two classes, and of a label, the score is that of one probability, from 0 to 1; of more it is over all of them,
    from 0 to 2. scikit-learn's `brier_score_loss` has the same scales.

    Example:
        >>> brier_factor(2), brier_factor(3)
        (0.5, 1.0)
    """
    return 0.5 if num_classes == 2 else 1.0


def _brier(given: Classes) -> Array:
    """Squared distance from the right answer, see `brier_factor`."""
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


def _signed(given: Classes) -> Array:
    """`signed_gaps` of the predicted class; with weights of the examples that weigh anything."""
    confidence = np.exp(np.take_along_axis(given.log_p, given.predicted[None], axis=0)[0])
    found = np.zeros(given.shape)
    if given.weights is None:
        found[:] = signed_gaps(confidence, given.right)
    else:
        some = given.weights > 0.0
        found[:, some] = signed_gaps(confidence[:, some], given.right[:, some], given.weights[some])
    return found


def signed_gaps(
    confidence: Array, right: Truths, weights_N: Array | None = None, num_bins: int = NUM_BINS
) -> Array:
    """(R, N) confidence minus 1 or 0 for right or wrong, with the sign of the sum over its bin.

    Their mean is the calibration error, with weights their weighted mean. The bins have equally many examples, by
    confidence: the first ones one more where that does not come out. Examples of one confidence that are in several
    bins share their gap and their sign, so that the order of the examples plays no part.

    Source: M. P. Naeini, G. F. Cooper and M. Hauskrecht, 2015; bins of equal mass: K. Nguyen and B. O'Connor, 2015.

    Args:
        confidence: (R, N) probability of the predicted class.
        right: (R, N) whether it is the right one.
        weights_N: of the examples, in sums over bins; None: they have none.
        num_bins: how many, where there are as many examples.

    Example:
        >>> signed_gaps(np.array([[0.75, 0.75]]), np.array([[True, False]]), num_bins=2).tolist()
        [[-0.25, 0.75]]
    """
    order = np.argsort(confidence, axis=1)
    ranked = np.take_along_axis(confidence, order, axis=1)
    own = ranked - np.take_along_axis(right, order, axis=1)
    gap = own if weights_N is None else own * weights_N[order]
    sizes = [len(each) for each in np.array_split(order[0], min(num_bins, order.shape[1]))]
    starts = np.cumsum([0, *sizes[:-1]])
    sums = np.add.reduceat(tied_means(ranked, gap), starts, axis=1)
    signs = tied_means(ranked, np.repeat(np.sign(sums), sizes, axis=1))
    found = np.empty(confidence.shape)
    np.put_along_axis(found, order, own * signs, axis=1)
    return found


def tied_means(ranked: Array, values: Array) -> Array:
    """Values (R, N) by places that have equal ranks, which rise: the mean over each tie.

    Example:
        >>> tied_means(np.array([[0.1, 0.3, 0.3]]), np.array([[5.0, 0.0, 1.0]])).tolist()
        [[5.0, 0.5, 0.5]]
    """
    new = np.ones(ranked.shape, dtype=bool)
    np.not_equal(ranked[:, 1:], ranked[:, :-1], out=new[:, 1:])
    if new.all():
        return values
    tie = np.cumsum(new.ravel()) - 1  # which tie each place belongs to, over all runs
    found: Array = (np.bincount(tie, weights=values.ravel()) / np.bincount(tie))[tie].reshape(values.shape)
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
