"""Predictions of several runs with the right answers; what several metrics need of them is worked out once.

Shapes: R run, N example, K class or label, T target. Classes come first, so that every operation goes along memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ravine.metrics.arrays import Array, Counts, Truths, Whole
from ravine.metrics.means import as_weights, sum_over
from ravine.metrics.order import Order


class Classes:
    """Runs that chose one of K classes for each example.

    Args:
        outputs: of each run the logits (N, K).
        answers: (N,) the right classes.
        weights: (N,) how much each example counts; None: all alike.
    """

    def __init__(
        self, outputs: Sequence[np.ndarray], answers: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        self.weights = as_weights(weights)
        self.answers: Whole = np.asarray(answers, dtype=np.int64)
        self.outputs = outputs
        self.shape = len(outputs), len(self.answers)
        self.num_classes = int(outputs[0].shape[1])

    @cached_property
    def logits(self) -> Array:
        """(K, R, N) as float64."""
        found = np.empty((self.num_classes, *self.shape))
        for place, each in enumerate(self.outputs):
            found[:, place] = each.T
        return found

    @cached_property
    def finite(self) -> Truths:
        """(R,) whether all outputs of a run are finite; no other run has a metric."""
        return np.array([bool(np.isfinite(each).all()) for each in self.outputs])

    @cached_property
    def _best(self) -> tuple[Whole, Array]:
        """The class with the largest logit, the first of several, and that logit."""
        top = self.logits[0].copy()
        place = np.zeros(self.shape, dtype=np.int64)
        for k in range(1, self.num_classes):
            larger = self.logits[k] > top
            place[larger] = k
            np.maximum(top, self.logits[k], out=top)
        return place, top

    @cached_property
    def predicted(self) -> Whole:
        """(R, N) the class that each run chose."""
        return self._best[0]

    @cached_property
    def right(self) -> Truths:
        """(R, N) whether it is the right one."""
        found: Truths = self.predicted == self.answers
        return found

    @cached_property
    def log_p(self) -> Array:
        """(K, R, N) logarithms of the probabilities.

        log p of the largest is minus log1p of the others' share, so that runs which are almost certain differ still.
        """
        place, top = self._best
        with np.errstate(invalid="ignore", over="ignore"):
            below = self.logits - top
            others = np.zeros(self.shape)
            for k in range(self.num_classes):
                others += np.exp(below[k]) * (place != k)
            below -= np.log1p(others)
        return below

    @cached_property
    def log_right(self) -> Array:
        """(R, N) logarithm of the probability of the right class."""
        rows = np.arange(self.shape[1])
        return np.stack([self.log_p[:, r][self.answers, rows] for r in range(self.shape[0])])

    @cached_property
    def confusion(self) -> Counts:
        """(R, K, K) how many examples of a class (the row) a run took for a class (the column); or their weight."""
        num, many = self.num_classes, self.num_classes**2
        cells = self.answers * num + self.predicted
        cells += many * np.arange(self.shape[0])[:, None]
        w_RN = None if self.weights is None else np.broadcast_to(self.weights, self.shape).ravel()
        counts = np.bincount(cells.ravel(), w_RN, minlength=many * self.shape[0])
        return counts.reshape(self.shape[0], num, num)

    @cached_property
    def sizes(self) -> Counts:
        """(K,) examples of each class, or their weight."""
        return np.bincount(self.answers, self.weights, minlength=self.num_classes)

    @cached_property
    def orders(self) -> list[Order]:
        """The examples by falling score, of each problem with two sides."""
        return [Order.of(score_RN, positive_N, self.weights) for score_RN, positive_N in self._sides()]

    def _sides(self) -> Iterator[tuple[Array, Truths]]:
        """The problems with two sides whose mean a ranking metric is: a score (R, N), and who is positive (N,).

        Of two classes it is one, the second against the first, by the difference of the logits; of more, each class
        against the rest by its probability.
        """
        if self.num_classes == 2:
            yield self.logits[1] - self.logits[0], self.answers == 1
            return
        for k in range(self.num_classes):
            yield self.log_p[k], self.answers == k


class Marks:
    """Runs that said of each of K labels whether it is an example's.

    Args:
        outputs: of each run the logits (N, K); a label above 0 is taken to be there.
        answers: (N, K) of 0 and 1.
        weights: (N,) how much each example counts; None: all alike.
    """

    def __init__(
        self, outputs: Sequence[np.ndarray], answers: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        self.weights = as_weights(weights)
        self.answers_KN: Truths = np.ascontiguousarray(np.asarray(answers).T > 0)
        self.outputs = outputs
        self.shape = len(outputs), len(answers)
        self.num_labels = len(self.answers_KN)

    @cached_property
    def logits(self) -> Array:
        """(K, R, N) as float64."""
        found = np.empty((self.num_labels, *self.shape))
        for place, each in enumerate(self.outputs):
            found[:, place] = each.T
        return found

    @cached_property
    def finite(self) -> Truths:
        """(R,) whether all outputs of a run are finite; no other run has a metric."""
        return np.array([bool(np.isfinite(each).all()) for each in self.outputs])

    @cached_property
    def claimed(self) -> Truths:
        """(K, R, N) the labels that each run gave."""
        return self.logits > 0.0

    @cached_property
    def hits(self) -> Counts:
        """(K, R) of each label, how many of its examples were given it; or their weight."""
        both = zip(self.claimed, self.answers_KN, strict=True)
        return np.stack([sum_over(claimed & own, self.weights) for claimed, own in both])

    @cached_property
    def sizes(self) -> Counts:
        """(K,) examples that have each label, or their weight."""
        return sum_over(self.answers_KN, self.weights)

    @cached_property
    def sums(self) -> Counts:
        """(K, R) of each label, how many examples have it, and how many were given it, together; or their weight."""
        return sum_over(self.claimed, self.weights) + self.sizes[:, None]

    @cached_property
    def orders(self) -> list[Order]:
        """The examples by falling score, of each label."""
        return [Order.of(score_RN, positive_N, self.weights) for score_RN, positive_N in self._sides()]

    def _sides(self) -> Iterator[tuple[Array, Truths]]:
        """Each label as a problem with two sides: a score (R, N), and who is positive (N,)."""
        yield from zip(self.logits, self.answers_KN, strict=True)


class Numbers:
    """Runs that gave one number or several for each example.

    Args:
        outputs: of each run the values, (N,) or (N, T), in the target's own units.
        answers: the right ones, of the same shape.
        weights: (N,) how much each example counts; None: all alike.
    """

    def __init__(
        self, outputs: Sequence[np.ndarray], answers: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        self.weights = as_weights(weights)
        truth = np.asarray(answers, dtype=np.float64)
        self.outputs = outputs
        self.shape = len(outputs), len(truth)
        self.answers_TN: Array = np.ascontiguousarray(truth.reshape(len(truth), -1).T)

    @cached_property
    def finite(self) -> Truths:
        """(R,) whether all outputs of a run are finite; no other run has a metric."""
        return np.array([bool(np.isfinite(each).all()) for each in self.outputs])

    @cached_property
    def missed(self) -> Array:
        """(T, R, N) by how much each answer is above what was predicted."""
        num = self.shape[1]
        found = np.empty((len(self.answers_TN), *self.shape))
        for place, each in enumerate(self.outputs):
            np.subtract(self.answers_TN, each.reshape(num, -1).T, out=found[:, place])
        return found


Given: TypeAlias = Classes | Marks | Numbers


def given_of(
    task: str, outputs: Sequence[np.ndarray], answers: np.ndarray, weights: np.ndarray | None = None
) -> Given:
    """Predictions with answers.

    Args:
        task: "classification", "multilabel" or "regression".
        outputs: of each run, as stored.
        answers: the right ones.
        weights: (N,) of the examples, for metrics that have them; None: there are none.
    """
    kinds: dict[str, type[Classes] | type[Marks] | type[Numbers]] = {
        "classification": Classes,
        "multilabel": Marks,
        "regression": Numbers,
    }
    return kinds[task](outputs, answers, weights)
