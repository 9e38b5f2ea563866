"""Where the regions of fractional max pooling begin: all sequences that there are, as tables.

N places are cut into n regions of 1 or 2, alpha = N / n in [1, 2]. Places count from 0: a region i has the places from
s_i up to s_(i+1) - 1, and where regions overlap, s_(i+1) too; s_0 = 0, s_n = N.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from ravine import rng

_HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Cuts:
    """How N places are cut into n regions.

    Args:
        places: N.
        regions: n.
    """

    places: int
    regions: int

    @property
    def longest(self) -> Fraction:
        """The end of the interval of u in which every region has 1 or 2 places; 1 where alpha is at most 1.5.

        The paper's rule, with u up to 1, gives a first region of 3 beyond (alpha = 1.732, u = 0.8).
        """
        return min(Fraction(1), 3 * Fraction(self.regions, self.places) - 1)

    def pseudo(self, u: Fraction) -> list[int]:
        """s_0 .. s_n of the pseudo-random sequence: s_i = ceil(alpha (i + u)) - 1 between its ends."""
        alpha = Fraction(self.places, self.regions)
        inner = [math.ceil(alpha * (i + u)) - 1 for i in range(1, self.regions)]
        return [0, *inner, self.places]

    def thresholds(self) -> list[Fraction]:
        """Where in (0, `longest`) the pseudo-random sequence changes, in order: just above each of these."""
        alpha = Fraction(self.places, self.regions)
        found = set()
        for i in range(1, self.regions):
            for whole in range(math.floor(alpha * i), math.ceil(alpha * (i + 1)) + 1):
                u = Fraction(whole) / alpha - i
                if 0 < u < self.longest:
                    found.add(u)
        return sorted(found)

    def sequences(self) -> list[tuple[list[int], Fraction]]:
        """Every pseudo-random sequence, with its probability."""
        ends = [Fraction(0), *self.thresholds(), self.longest]
        return [
            (self.pseudo((low + high) / 2), (high - low) / self.longest)
            for low, high in itertools.pairwise(ends)
        ]


@lru_cache(maxsize=256)
def fixed_starts(places: int, regions: int) -> tuple[int, ...]:
    """s_0 .. s_n of the middle sequence, u = 1/2."""
    return tuple(Cuts(places, regions).pseudo(_HALF))


@lru_cache(maxsize=256)
def _steps(places: int, regions: int) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    """Each s_i at the least u, and the u above which it is larger by 1, by 2, ...; 2 where it never is."""
    cuts = Cuts(places, regions)
    sequences = [starts for starts, _ in cuts.sequences()]
    above: list[list[float]] = []
    for i in range(regions + 1):
        own: list[float] = []
        for u, one, other in zip(cuts.thresholds(), sequences, sequences[1:], strict=False):
            own += [float(u)] * (other[i] - one[i])
        above.append(own)
    most = max(map(len, above))
    table = tuple(tuple(own[k] if k < len(own) else 2.0 for own in above) for k in range(most))
    return tuple(sequences[0]), table


def pseudo_starts(words: Tensor, places: int, regions: int) -> Tensor:
    """s_0 .. s_n of pseudo-random sequences.

    Args:
        words: uniform numbers in [0, 1), of any shape; one for each sequence.
        places: N.
        regions: n.

    Returns:
        int64, (*words.shape, n + 1).

    Example:
        >>> pseudo_starts(torch.tensor([0.1, 0.9]), 5, 3).tolist()
        [[0, 1, 3, 5], [0, 2, 4, 5]]
    """
    base, table = _steps(places, regions)
    u = words.unsqueeze(-1) * float(Cuts(places, regions).longest)
    starts = torch.tensor(base, device=words.device)
    for bounds in table:
        starts = starts + (u > torch.tensor(bounds, dtype=words.dtype, device=words.device)).to(torch.int64)
    return starts.expand(*words.shape, regions + 1)


def random_starts(words: Tensor, places: int) -> Tensor:
    """s_0 .. s_n of random sequences: n - (N - n) regions of 1 and N - n of 2 places, in random order.

    Args:
        words: uniform numbers in [0, 1), (..., n): the regions with the smallest have 2 places.
        places: N.

    Example:
        >>> random_starts(torch.tensor([0.9, 0.1, 0.5]), 5).tolist()
        [0, 1, 3, 5]
    """
    regions = words.shape[-1]
    mine, other = words.unsqueeze(-1), words.unsqueeze(-2)
    place = torch.arange(regions, device=words.device)
    earlier = place[:, None] > place  # settles ties
    rank = ((other < mine) | ((other == mine) & earlier)).to(torch.int64).sum(-1)
    size = 1 + (rank < places - regions).to(torch.int64)
    ends = torch.where(place[:, None] >= place, size.unsqueeze(-2), 0).sum(-1)
    return torch.cat([torch.zeros_like(ends[..., :1]), ends], -1)


@lru_cache(maxsize=64)
def windows(places: int, regions: int, kind: str) -> tuple[list[list[tuple[int, int]]], list[list[float]]]:
    """Every place that a region may begin at and where the next then begins, with the probability of both.

    Args:
        places: N.
        regions: n.
        kind: ``"pseudo"`` or ``"random"``.

    Returns:
        K lists of the n regions' (s_i, s_(i+1)), and K lists of their probabilities; those that do not occur have 0.
    """
    found: list[dict[tuple[int, int], Fraction]] = [{} for _ in range(regions)]
    if kind == "pseudo":
        for starts, chance in Cuts(places, regions).sequences():
            for i in range(regions):
                window = (starts[i], starts[i + 1])
                found[i][window] = found[i].get(window, Fraction(0)) + chance
    else:
        twos = places - regions
        for i in range(regions):
            for before in range(max(0, twos - (regions - i)), min(i, twos) + 1):
                chance = Fraction(
                    math.comb(i, before) * math.comb(regions - i, twos - before), math.comb(regions, twos)
                )
                two = Fraction(twos - before, regions - i)
                for size, share in ((1, 1 - two), (2, two)):
                    if chance * share:
                        found[i][i + before, i + before + size] = chance * share
    most = max(map(len, found))
    each = [list(own.items()) for own in found]
    padded = [own + [(own[0][0], Fraction(0))] * (most - len(own)) for own in each]
    return (
        [[own[k][0] for own in padded] for k in range(most)],
        [[float(own[k][1]) for own in padded] for k in range(most)],
    )


def drawn_starts(
    key: Tensor, lead: tuple[int, ...], places: int, regions: int, kind: str, axis: int
) -> Tensor:
    """s_0 .. s_n by the words of a key.

    Args:
        key: 0-d int64.
        lead: shape of the sequences that are drawn, () for one.
        places: N.
        regions: n.
        kind: ``"pseudo"`` or ``"random"``.
        axis: 0 for rows, 1 for columns, which have words of their own.
    """
    if kind == "pseudo":
        return pseudo_starts(rng.uniform(key, (2, *lead))[axis], places, regions)
    return random_starts(rng.uniform(rng.key(key, f"regions/{axis}"), (*lead, regions)), places)
