"""Metrics of the classes that runs chose: accuracy, balanced accuracy, F1, and whether the right class is among k.

All equal those of scikit-learn. With n_c examples of class c, h_c of which were taken for it, and m_c examples of any
class that were taken for it:

    recall of c = h_c / n_c        F1 of c = 2 h_c / (n_c + m_c)

Examples with weights are counted by them. One difference: scikit-learn's macro F1 has a 0 for a class of which all
examples have weight 0; here these count nothing, so there is no such class.

The influence of an example on a quotient A / B of two means is (a_i - (A / B) b_i) / B, and on a mean of quotients the
mean of these (the delta method).

Shapes: R run, N example, K class.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ravine.metrics.arrays import Array, Truths
from ravine.metrics.given import Classes
from ravine.metrics.means import per, usual_share, usual_weight
from ravine.metrics.metric import Formula, plain


def _accuracy(given: Classes) -> Array:
    return given.right.astype(np.float64)


ACCURACY = plain(_accuracy)


def _recalls(given: Classes) -> tuple[Array, Truths]:
    """(R, K) share of each class's examples that is right, and which classes (K,) have examples."""
    hits = np.diagonal(given.confusion, axis1=1, axis2=2)
    return per(hits, given.sizes), given.sizes > 0


def _balanced(given: Classes) -> Array:
    recalls, there = _recalls(given)
    found: Array = recalls[:, there].mean(axis=1)
    return found


def _balanced_parts(given: Classes) -> Array:
    recalls, there = _recalls(given)
    weight_N = per(np.asarray(given.shape[1]), there.sum() * given.sizes[given.answers])
    found: Array = (given.right - recalls[:, given.answers]) * weight_N
    return found + _balanced(given)[:, None]


def heaviest_of_class(answers: np.ndarray, num_classes: int, weights_N: Array | None = None) -> float:
    """What an example weighs at most in a mean over classes: one of the rarest, where all count alike."""
    found = _one_and_all(answers, num_classes, weights_N)
    return len(answers) / len(found) * max(heaviest / size for heaviest, size in found)


def _one_and_all(answers: np.ndarray, num_classes: int, weights_N: Array | None) -> list[tuple[float, float]]:
    """Of each class with examples, what one of them weighs and what all do; 1 and their number without weights."""
    w_N = np.ones(len(answers)) if weights_N is None else weights_N
    of_class = [w_N[answers == k] for k in range(num_classes)]
    return [(usual_weight(each), float(each.sum())) for each in of_class if each.any()]


BALANCED = Formula(value=_balanced, parts=_balanced_parts, heaviest=heaviest_of_class)


def _f1(given: Classes) -> tuple[Array, Array]:
    """(R, K) F1 of each class, 0 where there is none, and n_c + m_c."""
    hits = np.diagonal(given.confusion, axis1=1, axis2=2)
    both = given.confusion.sum(axis=1) + given.sizes
    return per(2.0 * hits, both), both.astype(np.float64)


def _f1_parts(given: Classes, weights_RK: Array) -> Array:
    """(R, N) the influence of each example on the weighted sum of the classes' F1."""
    f1, both = _f1(given)
    share = per(weights_RK, both) * given.shape[1]
    loss = share * f1
    found: Array = -loss[:, given.answers] - np.take_along_axis(loss, given.predicted, axis=1)
    found += 2.0 * share[:, given.answers] * given.right
    return found


def _macro_weights(given: Classes) -> Array:
    """(R, K): equal for all classes that have examples or were chosen for any."""
    there = _f1(given)[1] > 0
    found: Array = there / there.sum(axis=1, keepdims=True)
    return found


def _f1_macro(given: Classes) -> Array:
    found: Array = (_f1(given)[0] * _macro_weights(given)).sum(axis=1)
    return found


def _heaviest_of_two(answers: np.ndarray, num_classes: int, weights_N: Array | None = None) -> float:
    """An example that is taken for one of another class, the rarest: half in the F1 of each."""
    found = _one_and_all(answers, num_classes, weights_N)
    most = 0.0
    for place, (heaviest, size) in enumerate(found):
        others = [of_other for _, of_other in (*found[:place], *found[place + 1 :])]
        most = max(most, heaviest * (1.0 / size + (1.0 / min(others) if others else 0.0)))
    return len(answers) / (2.0 * len(found)) * most


F1_MACRO = Formula(
    value=_f1_macro,
    parts=lambda given: _f1_macro(given)[:, None] + _f1_parts(given, _macro_weights(given)),
    heaviest=_heaviest_of_two,
)


def _f1_weighted(given: Classes) -> Array:
    found: Array = _f1(given)[0] @ (given.sizes / given.shape[1])
    return found


def _f1_weighted_parts(given: Classes) -> Array:
    """The weights are shares of the examples, so each example has a part in them too."""
    weights = np.broadcast_to(given.sizes / given.shape[1], (given.shape[0], given.num_classes))
    return _f1_parts(given, weights) + _f1(given)[0][:, given.answers]


F1_WEIGHTED = Formula(value=_f1_weighted, parts=_f1_weighted_parts)


def _of_the_second(given: Classes) -> Array:
    return np.broadcast_to(np.array([0.0, 1.0]), (given.shape[0], 2))


def _not_two(num_classes: int) -> str:
    if num_classes == 2:
        return ""
    return f"is of two classes, and there are {num_classes}; allowed: f1_macro, f1_micro, f1_weighted"


def _heaviest_of_second(answers: np.ndarray, num_classes: int, weights_N: Array | None = None) -> float:  # noqa: ARG001
    return len(answers) * usual_share(answers == 1, weights_N) / 2.0


F1 = Formula(
    value=lambda given: _f1(given)[0][:, 1],
    parts=lambda given: _f1(given)[0][:, 1:] + _f1_parts(given, _of_the_second(given)),
    heaviest=_heaviest_of_second,
    unfit=_not_two,
)


def top(k: int) -> Formula:
    """Whether the right class is among the k with the largest logits; of equal ones the later comes first.

    Args:
        k: 1 or more, fewer than there are classes.
    """

    def among(given: Classes) -> Array:
        logits = given.logits
        right = np.take_along_axis(logits, np.broadcast_to(given.answers, given.shape)[None], axis=0)[0]
        before = np.zeros(given.shape, dtype=np.int64)
        for place in range(given.num_classes):
            before += (logits[place] > right) | ((logits[place] == right) & (place > given.answers))
        return (before < k).astype(np.float64)

    def unfit(num_classes: int) -> str:
        return "" if k < num_classes else f"is 1 for every run, since there are {num_classes} classes"

    return replace(plain(among), unfit=unfit)
