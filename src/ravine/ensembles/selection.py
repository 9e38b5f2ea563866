"""Which members, and with which weights: greedily on validation, and what that flatters itself by.

Ensemble selection (R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, 2004; R. Caruana, A. Munson and
A. Niculescu-Mizil, 2006): the pool begins with the best members alone (sorted start); then the member that lowers the
loss most is picked, again and again, with replacement; of all pools on this way the best is kept. Against overfitting
this is done in 20 bags of half of the members, whose weights are averaged.

What is chosen on some examples looks better on them than elsewhere. So the whole selection is done again without each
of five folds, and scored on the fold: the difference is its optimism.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.folds import folds, shuffled
from ravine.ensembles.losses import Indices, Losses, Search

Array = NDArray[np.float64]

STEPS, BAGS = 20, 20
START = 10  # members of the sorted start, at most
_FEWEST = 5  # members of a bag, where there are so many

Select = Callable[[Losses], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimism:
    """How much better a selection looks on the examples that it was made with.

    Args:
        inside: its mean loss on them.
        outside: that of selections made without a fold, on the fold.
    """

    inside: float
    outside: float

    @property
    def gap(self) -> float:
        """Outside minus inside."""
        return self.outside - self.inside


def everyone(losses: Losses) -> Array:
    """Equal weights, (M,)."""
    return np.ones(len(losses.solo))


def top(losses: Losses, size: int) -> Array:
    """Equal weights for the members with the smallest loss alone, 0 for the others; of equals the first."""
    weights = np.zeros(len(losses.solo))
    weights[_ranked(losses)[:size]] = 1.0
    return weights


def greedy(losses: Losses, size: int | None = None, *, steps: int = STEPS, num_bags: int = BAGS) -> Array:
    """The weights that greedy selection finds, (M,), with sum 1.

    Args:
        losses: of the members on validation; a member whose loss is not finite is never picked.
        size: keep only the members with the largest weights, so many at most; None: all.
        steps: picks after the sorted start.
        num_bags: bags of half of the members.
    """
    rank = _rank(losses)
    usable = np.flatnonzero(np.isfinite(losses.solo))
    assert len(usable), "no member has a finite loss"
    bags = _bags(usable, num_bags)
    search = losses.search(bags)
    ways = [_start(losses, search, number, bag[np.argsort(rank[bag])]) for number, bag in enumerate(bags)]
    for _ in range(steps):
        found = search.candidates()
        for number, (members, values) in enumerate(found):
            way = ways[number]
            tied = members[values <= values.min() + losses.tie]
            if len(tied) > 1:
                used = np.isin(tied, way.picks)
                tied = tied[used] if used.any() else tied
            chosen = int(min(tied, key=lambda member: rank[member]))
            search.add(number, chosen)
            way.picks.append(chosen)
            way.losses.append(search.loss(number))
    weights = np.zeros(len(losses.solo))
    for way in ways:
        picks = way.picks[: way.first + first_best(way.losses, losses.tie)]
        np.add.at(weights, picks, 1.0 / len(picks))
    return _heaviest(weights / len(ways), size, rank)


def first_best(values: Sequence[float], tie: float) -> int:
    """The place of the first value that no later one is below by more than a tie.

    Example:
        >>> first_best([0.10, 0.08, 0.09], 1e-12)
        1
    """
    found = np.asarray(values)
    return int(np.argmax(found <= found.min() + tie))


def cross_fitted(losses: Losses, select: Select) -> Optimism:
    """How much a selection flatters itself.

    Args:
        losses: of the members on validation.
        select: what chooses weights, by losses on some examples.
    """
    inside = losses.each(select(losses))
    outside = np.empty_like(inside)
    for rest, fold in folds(len(inside)):
        outside[fold] = losses.take(fold).each(select(losses.take(rest)))
    return Optimism(inside=float(inside.mean()), outside=float(outside.mean()))


def heaviest(losses: Losses, weights: Array, size: int) -> Array:
    """Only so many of the largest weights, of equals the better member's, so that they sum to 1."""
    return _heaviest(weights, size, _rank(losses))


@dataclass(slots=True, kw_only=True)
class _Way:
    """How the pool of a bag grew.

    Args:
        picks: one after another; the first ones are the sorted start.
        first: how many those are.
        losses: of the pool after them, and after each pick from there on.
    """

    picks: list[int]
    first: int
    losses: list[float]


def _ranked(losses: Losses) -> Indices:
    """Members by their loss alone, the best first; of equals the first."""
    return np.argsort(np.where(np.isnan(losses.solo), np.inf, losses.solo), kind="stable")


def _rank(losses: Losses) -> Indices:
    """The place of each member among them."""
    rank = np.empty(len(losses.solo), dtype=np.int64)
    rank[_ranked(losses)] = np.arange(len(rank))
    return rank


def _bags(usable: Indices, num_bags: int) -> list[Indices]:
    """Members of each bag, rising; one bag where half of the members would be too few."""
    size = max(-(-len(usable) // 2), min(len(usable), _FEWEST))
    if size == len(usable):
        return [usable]
    return [np.sort(usable[shuffled(len(usable), number, 1)[:size]]) for number in range(num_bags)]


def _start(losses: Losses, search: Search, number: int, ranked: Indices) -> _Way:
    """The best prefix of a bag's members, sorted by their loss alone."""
    tried: list[float] = []
    for member in ranked[:START]:
        search.add(number, int(member))
        tried.append(search.loss(number))
    first = first_best(tried, losses.tie) + 1
    search.reset(number)
    for member in ranked[:first]:
        search.add(number, int(member))
    return _Way(picks=[int(member) for member in ranked[:first]], first=first, losses=[tried[first - 1]])


def _heaviest(weights: Array, size: int | None, rank: Indices) -> Array:
    """Only the largest weights, of equals the better member's, so that they sum to 1."""
    if size is not None and np.count_nonzero(weights) > size:
        order = sorted(
            np.flatnonzero(weights), key=lambda member: (-round(float(weights[member]), 12), rank[member])
        )
        kept = np.zeros_like(weights)
        kept[order[:size]] = weights[order[:size]]
        weights = kept
    found: Array = weights / weights.sum()
    return found
