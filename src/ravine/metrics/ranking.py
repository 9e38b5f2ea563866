"""Metrics of how runs rank examples: the area under the ROC curve, and average precision.

With P positives and M negatives, of which an example is above some:

    ROC AUC = mean over positives of (negatives below + half of those beside) / M
    AP      = mean over positives of the precision at its score, that is among all examples with as large a score

Of several classes they are the mean over classes, each against the rest; of several labels the mean over labels.

What an example contributes to the AUC is its placement among those of the other side (E. R. DeLong, D. M. DeLong and D.
L. Clarke-Pearson, 1988). AP is no mean of pairs; what an example contributes to it is the derivative of

    AP(F) = 1 / p * integral of T(s) / C(s) over positives,  T(s) = P(positive, score >= s),  C(s) = P(score >= s)

by its weight: (y_j (P_j - AP) + sum over positives i with s_i <= s_j of (y_j - P_i) / c_i) / p. P_i is the precision
at s_i, c_i the number of examples with scores as large, and p the share of positives. Examples with weights are counted
by them, and so are the terms of these means and sums.

Shapes: R run, N example.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ravine.metrics.arrays import Array, Truths
from ravine.metrics.counts import heaviest_of_class
from ravine.metrics.given import Classes, Marks
from ravine.metrics.means import per, usual_share
from ravine.metrics.metric import Formula
from ravine.metrics.order import Order

OneSide = Callable[[Order], Array]
Heaviest = Callable[[np.ndarray, int, Array | None], float]


def _placements(order: Order) -> Array:
    """By place: of a positive the share of negatives below it, of a negative that of positives above it."""
    positives, negatives = order.sides
    above = 0.5 * (order.above + order.before)  # positives above, and half of those beside
    rank = 0.5 * (order.begin + order.end)
    below = negatives - (rank - above)  # negatives below, and half of those beside
    return np.where(order.positive, below / negatives, above / positives)


def _auc(order: Order) -> Array:
    """The mean rank of the positives is what their placements come to: above each are half of the positives."""
    positives, negatives = order.sides
    ranks = order.total(0.5 * (order.begin + order.end))
    found: Array = (positives * negatives + 0.5 * positives**2 - ranks) / (positives * negatives)
    return found


def _auc_parts(order: Order) -> Array:
    placed = _placements(order)
    positives, negatives = order.sides
    num = positives + negatives
    auc: Array = order.total(placed)[:, None] / positives
    weight_N = np.where(order.positives, num / positives, num / negatives)
    found: Array = auc + weight_N * (order.back(placed) - auc)
    return found


def _precision(order: Order) -> Array:
    """By place: the precision among all examples with as large a score."""
    return per(order.above, order.end)


def _ap(order: Order) -> Array:
    return order.total(_precision(order)) / order.sides[0]


def _ap_parts(order: Order) -> Array:
    precision = _precision(order)
    positives, negatives = order.sides
    ap = order.total(precision)[:, None] / positives
    own = per(order.weigh(order.positive), order.end)

    def below(each: Array) -> Array:
        """Sums over all places whose score is as small or smaller: from the first of the tie to the end."""
        running: Array = np.cumsum(each[:, ::-1], axis=1)[:, ::-1]
        found: Array = np.take_along_axis(running, order.first, axis=1)
        return found

    parts = order.positive * (precision - ap + below(own)) - below(own * precision)
    found: Array = ap + order.back(parts) / (positives / (positives + negatives))
    return found


def _mean_over_sides(one: OneSide) -> Callable[[Classes | Marks], Array]:
    def mean(given: Classes | Marks) -> Array:
        total = one(given.orders[0])
        for order in given.orders[1:]:
            total = total + one(order)
        return total / len(given.orders)

    return mean


def _of_classes(one: OneSide, parts: OneSide, heaviest: Heaviest) -> Formula:
    return Formula(
        value=_mean_over_sides(one),
        parts=_mean_over_sides(parts),
        heaviest=heaviest,
        lacking=_missing_class,
    )


def _of_labels(one: OneSide, parts: OneSide, heaviest: Heaviest, *, negatives: bool) -> Formula:
    def lacking(answers: np.ndarray, labels: tuple[str, ...]) -> str:
        counts = (np.asarray(answers) > 0).sum(axis=0)
        for label, number in zip(labels, counts.tolist(), strict=True):
            if number == 0:
                return f"needs examples with each label, and none has {label!r}"
            if negatives and number == len(answers):
                return f"needs examples without each label, and all have {label!r}"
        return ""

    return Formula(
        value=_mean_over_sides(one),
        parts=_mean_over_sides(parts),
        heaviest=heaviest,
        lacking=lacking,
    )


def _missing_class(answers: np.ndarray, classes: tuple[str, ...]) -> str:
    sizes = np.bincount(answers, minlength=len(classes))
    absent = [name for name, size in zip(classes, sizes.tolist(), strict=False) if size == 0]
    return f"needs examples of every class, and there is none of {absent[0]!r}" if absent else ""


def _heaviest(answers: np.ndarray, num_classes: int, weights_N: Array | None = None) -> float:
    """Of two classes an example counts as one of its class; of more as one of the rarest, in a mean over classes."""
    found = heaviest_of_class(answers, num_classes, weights_N)
    return 2.0 * found if num_classes == 2 else found


def _heaviest_of_labels(answers: np.ndarray, num_labels: int, weights_N: Array | None = None) -> float:
    """Of each label an example counts as one of the rarer side: of those that have it, or of those that lack it."""
    there_KN = np.asarray(answers).T > 0
    rarer = (max(usual_share(each, weights_N), usual_share(~each, weights_N)) for each in there_KN)
    return len(answers) * sum(rarer) / num_labels


def _heaviest_of_ap(answers: np.ndarray, num_classes: int, weights_N: Array | None = None) -> float:
    """Of two classes what a positive or a negative weighs; of more the most in the AP of one of them."""
    sides = [1] if num_classes == 2 else np.unique(answers).tolist()
    return len(answers) / len(sides) * max(_in_ap(answers == k, weights_N) for k in sides)


def _heaviest_of_labels_ap(answers: np.ndarray, num_labels: int, weights_N: Array | None = None) -> float:
    there_KN = np.asarray(answers).T > 0
    return len(answers) * sum(_in_ap(each, weights_N) for each in there_KN) / num_labels


def _in_ap(positive_N: Truths, weights_N: Array | None) -> float:
    """By how much one example lowers an AP of 1: 1 / P of a positive below all others, or (H(P + 1) - 1) / P of a
    negative above all, where the precision at the k-th positive is k / (k + 1); H are harmonic numbers.
    """
    share = usual_share(positive_N, weights_N)
    return share * max(1.0, float((1.0 / np.arange(2, round(1.0 / share) + 2)).sum()))


ROC_AUC = {
    "classification": _of_classes(_auc, _auc_parts, _heaviest),
    "multilabel": _of_labels(_auc, _auc_parts, _heaviest_of_labels, negatives=True),
}
AVERAGE_PRECISION = {
    "classification": _of_classes(_ap, _ap_parts, _heaviest_of_ap),
    "multilabel": _of_labels(_ap, _ap_parts, _heaviest_of_labels_ap, negatives=False),
}
