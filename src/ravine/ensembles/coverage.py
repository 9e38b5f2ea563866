"""How good a pool is where its members agree: of all examples, those on which they agree most come first.

Shapes: M member, N example, K class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.own_interval import mean_interval, share_interval

Array = NDArray[np.float64]

ALPHA = 0.05
FEWEST = 10  # examples of a level: of fewer an accuracy says nothing
PARTS = 10  # of equally many examples, where agreement is a number that takes any value


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of some examples.

    Args:
        examples: how many.
        value: accuracy, or mean squared error.
        interval: of 95 %, over examples.
    """

    examples: int
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The examples on which members agree equally well.

    Args:
        agreement: the least and the largest number of members that choose the pool's class, confidence of the pool in
            it, or spread between members' values.
        here: the score of these examples.
        covered: that of these and all on which members agree better.
        share: of all examples that are covered.
    """

    agreement: tuple[float, float]
    here: Score
    covered: Score
    share: float


def by_agreement(
    classes: Sequence[np.ndarray], predicted: np.ndarray, answers: np.ndarray, *, fewest: int = FEWEST
) -> tuple[Level, ...]:
    """A level for each number of members that choose the pool's class, from all of them down.

    Numbers with very few examples share a level with their neighbours below.

    Args:
        classes: of each member, (N,).
        predicted: (N,) the pool's.
        answers: (N,) the right ones.
        fewest: examples of a level.

    Example:
        >>> members = [np.array([0, 0, 1]), np.array([0, 1, 1])]
        >>> both, one = by_agreement(members, np.array([0, 0, 1]), np.array([0, 1, 0]), fewest=1)
        >>> both.agreement, both.here.value, round(both.share, 3), one.here.examples
        ((2.0, 2.0), 0.5, 0.667, 1)
    """
    agreeing = (np.stack(classes) == predicted).sum(axis=0)
    groups: list[NDArray[np.int64]] = []
    for number in np.unique(agreeing)[::-1]:
        group = np.flatnonzero(agreeing == number)
        if groups and len(groups[-1]) < fewest:
            groups[-1] = np.concatenate([groups[-1], group])
        else:
            groups.append(group)
    if len(groups) > 1 and len(groups[-1]) < fewest:
        groups[-2:] = [np.concatenate(groups[-2:])]
    return _levels(groups, agreeing.astype(np.float64), predicted == answers)


def by_confidence(log_p: Array, predicted: np.ndarray, answers: np.ndarray) -> tuple[Level, ...]:
    """A level for each tenth of the examples, from those of which the pool is surest.

    Args:
        log_p: (N, K) of the pool.
        predicted: (N,) its classes.
        answers: (N,) the right ones.
    """
    confidence = np.exp(log_p.max(axis=1))
    order = np.argsort(-confidence, kind="stable")
    return _levels(_parts(order), confidence, predicted == answers)


def by_spread(spread: Array, errors: Array) -> tuple[Level, ...]:
    """A level for each tenth of the examples of a regression, from those with the smallest spread between members.

    Args:
        spread: (N,) standard deviation between members' values.
        errors: (N,) of the pool.
    """
    return _levels(_parts(np.argsort(spread, kind="stable")), spread, np.square(errors))


def _parts(order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(order, min(PARTS, len(order)))


def _levels(groups: Iterable[NDArray[np.int64]], agreement: Array, scores: np.ndarray) -> tuple[Level, ...]:
    found, covered = [], np.empty(0, dtype=np.int64)
    for group in groups:
        covered = np.concatenate([covered, group])
        found.append(
            Level(
                agreement=(float(agreement[group].min()), float(agreement[group].max())),
                here=_score(scores[group]),
                covered=_score(scores[covered]),
                share=len(covered) / len(scores),
            )
        )
    return tuple(found)


def _score(scores: np.ndarray) -> Score:
    num = len(scores)
    if scores.dtype == bool:
        interval = share_interval(int(scores.sum()), num, ALPHA)
    else:
        # Errors are passed as scores, the higher the better: then no end is below 0.
        high, low = mean_interval(-scores[None], ALPHA, binary=False)
        interval = (0.0 - low, 0.0 - high)
    return Score(examples=num, value=float(scores.mean()), interval=interval)
