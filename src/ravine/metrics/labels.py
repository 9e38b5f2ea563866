"""Metrics of the labels that runs gave: right labels, right sets of labels, F1.

Shapes: R run, N example, K label.
"""

from __future__ import annotations

import numpy as np

from ravine.metrics.arrays import Array
from ravine.metrics.given import Marks
from ravine.metrics.means import per, usual_share
from ravine.metrics.metric import Formula, plain


def _right(given: Marks) -> Array:
    """The share of an example's labels that are right."""
    found: Array = (given.claimed == given.answers_KN[:, None]).mean(axis=0)
    return found


def _all_right(given: Marks) -> Array:
    found: Array = (given.claimed == given.answers_KN[:, None]).all(axis=0).astype(np.float64)
    return found


LABEL_ACCURACY = plain(_right)
SUBSET_ACCURACY = plain(_all_right)


def _f1_of_labels(given: Marks) -> Array:
    """F1 of each label: 2 hits / (those that have it + those that were given it); 0 where there is neither."""
    return per(2.0 * given.hits, given.sums)


def _influences(given: Marks, weights_K: Array) -> Array:
    """(R, N) the influence of each example on the weighted sum of the labels' F1."""
    f1_KR, total = _f1_of_labels(given), np.zeros(given.shape)
    for k, weight in enumerate(weights_K):
        claimed, own = given.claimed[k], given.answers_KN[k]
        both = given.sums[k][:, None] / given.shape[1]
        total += weight * per(2.0 * (claimed & own) - f1_KR[k][:, None] * (claimed * 1.0 + own), both)
    return total


def _macro(given: Marks) -> Array:
    found: Array = _f1_of_labels(given).mean(axis=0)
    return found


def _macro_parts(given: Marks) -> Array:
    return _macro(given)[:, None] + _influences(given, np.full(given.num_labels, 1.0 / given.num_labels))


def _micro(given: Marks) -> Array:
    return per(2.0 * given.hits.sum(axis=0), given.sums.sum(axis=0))


def _micro_parts(given: Marks) -> Array:
    f1 = _micro(given)[:, None]
    hits = (given.claimed & given.answers_KN[:, None]).sum(axis=0)
    both = given.claimed.sum(axis=0) + given.answers_KN.sum(axis=0)
    whole = given.sums.sum(axis=0)[:, None] / given.shape[1]
    return f1 + per(2.0 * hits - f1 * both, whole)


def _shares(given: Marks) -> Array:
    return per(given.sizes, given.sizes.sum())


def _weighted(given: Marks) -> Array:
    found: Array = _shares(given) @ _f1_of_labels(given)
    return found


def _weighted_parts(given: Marks) -> Array:
    """The weights are shares of all labels that examples have, so each example has a part in them too."""
    f1 = _weighted(given)[:, None]
    each = np.zeros(given.shape)
    for own, of_label in zip(given.answers_KN, _f1_of_labels(given), strict=True):
        each += own * (of_label[:, None] - f1)
    return f1 + _influences(given, _shares(given)) + per(each, given.sizes.sum() / given.shape[1])


def _samples(given: Marks) -> Array:
    """F1 of each example's labels; 0 where there are none and none were given."""
    hits = (given.claimed & given.answers_KN[:, None]).sum(axis=0)
    both = given.claimed.sum(axis=0) + given.answers_KN.sum(axis=0)
    return per(2.0 * hits, both)


def _heaviest(answers: np.ndarray, num_labels: int, weights_N: Array | None = None) -> float:
    """Half in a mean over labels, each of which is a mean over those that have it."""
    there_KN = np.asarray(answers).T > 0
    return 0.5 * len(answers) * sum(usual_share(each, weights_N) for each in there_KN) / num_labels


F1_MACRO = Formula(value=_macro, parts=_macro_parts, heaviest=_heaviest)
F1_MICRO = Formula(value=_micro, parts=_micro_parts)
F1_WEIGHTED = Formula(value=_weighted, parts=_weighted_parts)
F1_SAMPLES = plain(_samples)
