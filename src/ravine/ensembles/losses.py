"""The loss of any weighted pool of some members on some examples, and the best next pick of a greedy selection.

Of a classification it is the NLL of the mean of probabilities, for which the probability of each example's right class
is all that is needed; of a regression the squared error of the mean.

Shapes: M member, N example, K class, B bag.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells, cells_of
from ravine.ensembles.pooling import log_softmax
from ravine.ensembles.screen import CEILING, ERROR, FLOOR, Screen
from ravine.parallel import each

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

TIE = 1e-12  # as a share of the best member's loss, or of 1 nat: losses that are so near each other are equal
_AT_ONCE = 1 << 12  # examples: their probabilities stay in a core's cache


class Losses(ABC):
    """Of pools of members on examples.

    Args:
        solo: the loss of each member alone, (M,); not finite for one that cannot be used.
        tie: losses nearer each other than this are equal.
        per: cells of an example, next to each other: its loss is their mean. Below, N counts cells.
    """

    def __init__(self, solo: Array, tie: float, per: int) -> None:
        self.solo, self.tie, self.per = solo, tie, per

    @abstractmethod
    def take(self, examples: Indices) -> Losses:
        """The same members on some of the examples."""

    @abstractmethod
    def each(self, weights: Array) -> Array:
        """The loss of each example, (N,), of the pool with these weights, (M,)."""

    @abstractmethod
    def search(self, bags: Sequence[Indices]) -> Search:
        """What finds next picks, for several bags of members at once."""


class Search(ABC):
    """Pools that grow by one pick at a time, one in each bag."""

    @abstractmethod
    def add(self, bag: int, member: int) -> None:
        """Put a member into the pool of a bag, once more if it is there already."""

    @abstractmethod
    def reset(self, bag: int) -> None:
        """Empty the pool of a bag."""

    @abstractmethod
    def loss(self, bag: int) -> float:
        """The mean loss of a bag's pool, but for a number that is the same for all pools."""

    @abstractmethod
    def candidates(self) -> list[tuple[Indices, Array]]:
        """For each bag members that may be its best next pick, the best ones among them, and the losses with them."""


def true_log_p(logits: np.ndarray, answers: np.ndarray) -> Array:
    """The logarithm of the probability of each example's right class, (N,).

    Args:
        logits: (N, K).
        answers: (N,) classes.
    """
    found = np.empty(len(logits))
    for start in range(0, len(logits), _AT_ONCE):
        part, right = logits[start : start + _AT_ONCE], answers[start : start + _AT_ONCE]
        z_KN = part.T.astype(np.float64, order="C")  # classes first: then every operation goes along memory
        with np.errstate(over="ignore", invalid="ignore"):
            z_KN -= z_KN[right, np.arange(len(right))]
            sums = np.exp(z_KN, out=z_KN).sum(axis=0)
            log_p = -np.log(sums)
            far = np.flatnonzero(~np.isfinite(sums))  # beyond 709 nats
            log_p[far] = log_softmax(part[far])[np.arange(len(far)), right[far]]
        found[start : start + _AT_ONCE] = log_p
    return found + 0.0


def class_losses(logits: Sequence[np.ndarray], answers: np.ndarray, per: int = 1) -> ClassLosses:
    """The losses of pools of members with these logits, (N, K) each."""
    return ClassLosses(np.stack(each(lambda found: true_log_p(found, answers), logits)), per)


def losses_of(cells: Cells, outputs: Sequence[np.ndarray], answers: np.ndarray) -> Losses:
    """The losses of pools of members.

    Args:
        cells: how examples are seen.
        outputs: of each member, of examples: logits, or values.
        answers: the right answers.
    """
    given, right = [cells.outputs(each) for each in outputs], cells.answers(answers)
    if not cells.regression:
        return class_losses(given, right, cells.per)
    return ValueLosses(np.stack([np.asarray(each, dtype=np.float64) for each in given]) - right, cells.per)


@final
class ClassLosses(Losses):
    """NLL of means of probabilities.

    Args:
        log_p_MN: logarithms of the probabilities of the right classes; minus infinity for 0.
    """

    def __init__(self, log_p_MN: Array, per: int = 1) -> None:
        super().__init__(-log_p_MN.mean(axis=1), TIE, per)
        # What is the same for all pools is left out of the search: then the best probability of each example is 1.
        base = log_p_MN.max(axis=0, initial=-np.inf, where=~np.isnan(log_p_MN))
        self._base = np.where(np.isfinite(base), base, 0.0)
        self._log_p = log_p_MN

    def take(self, examples: Indices) -> ClassLosses:
        """The same members on some of the examples."""
        return ClassLosses(self._log_p[:, cells_of(examples, self.per)], self.per)

    def each(self, weights: Array) -> Array:
        """The loss of each example, (N,), of the pool with these weights, (M,)."""
        used = np.flatnonzero(weights)
        total = weights[used] @ np.exp(self._log_p[used] - self._base)
        with np.errstate(divide="ignore"):
            found: Array = -(np.log(total / weights[used].sum()) + self._base)
        return found if self.per == 1 else found.reshape(-1, self.per).mean(axis=1)

    def search(self, bags: Sequence[Indices]) -> Search:
        """What finds next picks, for several bags of members at once."""
        return _ClassSearch(self, bags)

    @property
    def shares(self) -> Array:
        """Probabilities of the right classes, over the best ones of all members, (M, N)."""
        found: Array = np.exp(self._log_p - self._base)
        return found


@final
class _ClassSearch(Search):
    """Sums in float32, off by at most `ERROR`, name the candidates; their losses are computed exactly."""

    def __init__(self, losses: ClassLosses, bags: Sequence[Indices]) -> None:
        self._losses, self._bags = losses, bags
        self._shares = losses.shares
        self._screen = Screen(self._shares)
        self._sums = np.zeros((len(bags), self._shares.shape[1]))
        self._sizes = [0] * len(bags)

    def add(self, bag: int, member: int) -> None:
        self._sums[bag] += self._shares[member]
        self._sizes[bag] += 1

    def reset(self, bag: int) -> None:
        self._sums[bag], self._sizes[bag] = 0.0, 0

    def loss(self, bag: int) -> float:
        return self._loss(self._sums[bag], self._sizes[bag])

    def candidates(self) -> list[tuple[Indices, Array]]:
        raised = np.clip(self._sums, FLOOR, CEILING)
        means = self._screen.mean_logs(raised, self._bags)
        return [self._exact(bag, raised[bag], means[bag]) for bag in range(len(self._bags))]

    def _exact(self, bag: int, raised: Array, means: Array) -> tuple[Indices, Array]:
        members, sums = self._bags[bag], self._sums[bag]
        changed = np.flatnonzero(raised != sums)
        if len(changed):  # the terms whose sum was out of the screen's range
            terms = self._shares[np.ix_(members, changed)]
            more = np.log(np.maximum(terms + sums[changed], 1e-300)) - np.log(terms + raised[changed])
            means = means + more.sum(axis=1) / len(sums)
        near = members[means >= means.max() - 2.0 * ERROR - self._losses.tie]
        size = self._sizes[bag] + 1
        return near, np.array([self._loss(sums + self._shares[member], size) for member in near])

    @staticmethod
    def _loss(sums: Array, size: int) -> float:
        with np.errstate(divide="ignore"):
            return -float(np.log(sums / size).mean())


@final
class ValueLosses(Losses):
    """Squared errors of means of values.

    Args:
        errors_MN: each member's value minus the right one, in the target's own units.
    """

    def __init__(self, errors_MN: Array, per: int = 1) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            solo = np.square(errors_MN).mean(axis=1)
        finite = solo[np.isfinite(solo)]
        super().__init__(solo, TIE * float(finite.min()) if len(finite) else 0.0, per)
        self._errors = errors_MN

    def take(self, examples: Indices) -> ValueLosses:
        """The same members on some of the examples."""
        return ValueLosses(self._errors[:, cells_of(examples, self.per)], self.per)

    def each(self, weights: Array) -> Array:
        """The loss of each example, (N,), of the pool with these weights, (M,)."""
        used = np.flatnonzero(weights)
        found: Array = np.square(weights[used] @ self._errors[used] / weights[used].sum())
        return found if self.per == 1 else found.reshape(-1, self.per).mean(axis=1)

    def search(self, bags: Sequence[Indices]) -> Search:
        """What finds next picks, for several bags of members at once."""
        return _ValueSearch(self._errors, bags)


@final
class _ValueSearch(Search):
    """A pool's squared error is a quadratic form in how often each member was picked."""

    def __init__(self, errors_MN: Array, bags: Sequence[Indices]) -> None:
        used = np.unique(np.concatenate(list(bags)))
        self._products = np.zeros((len(errors_MN), len(errors_MN)))
        self._products[np.ix_(used, used)] = errors_MN[used] @ errors_MN[used].T / errors_MN.shape[1]
        self._bags = bags
        self._along = np.zeros((len(bags), len(errors_MN)))
        self._squares = np.zeros(len(bags))
        self._sizes = [0] * len(bags)

    def add(self, bag: int, member: int) -> None:
        self._squares[bag] += 2.0 * self._along[bag, member] + self._products[member, member]
        self._along[bag] += self._products[member]
        self._sizes[bag] += 1

    def reset(self, bag: int) -> None:
        self._along[bag], self._squares[bag], self._sizes[bag] = 0.0, 0.0, 0

    def loss(self, bag: int) -> float:
        return float(self._squares[bag]) / self._sizes[bag] ** 2

    def candidates(self) -> list[tuple[Indices, Array]]:
        own = self._products.diagonal()
        return [
            (
                members,
                (self._squares[bag] + 2.0 * self._along[bag, members] + own[members])
                / (self._sizes[bag] + 1) ** 2,
            )
            for bag, members in enumerate(self._bags)
        ]
