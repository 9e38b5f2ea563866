"""How much luck there was in the choice of a rule's configuration.

Two copies of one rule, tuned each by itself, can end up with different learning rates, one truly better
than the other by a little; and with enough test examples that little becomes "significant". It is true of
the two configurations and false of the rules. So the verdict counts it as noise.

How much there is shows in validation alone. The chosen configuration leads a rival by d, with standard
error s: truly the rival is better by x, a normal of mean -d and standard deviation s, and the choice fell
short by r = max(x, 0), but by no more than c, what the rival's best seed is above the chosen mean: a rival that
lost itself in one seed of three has an enormous s, and still cannot be truly better than its good runs. With
z = d / s, Phi the normal distribution and phi its density,

    g1(d) = E max(x, 0)   = s phi(z) - d Phi(-z)
    g2(d) = E max(x, 0)^2 = (d^2 + s^2) Phi(-z) - d s phi(z)
    E r   = g1(d) - g1(d + c)
    E r^2 = g2(d) - g2(d + c) - 2 c g1(d + c)

and what enters the error is the variance of r for the rival where it is largest. It is next to nothing for
a clear winner and, without the limit, (0.58 s)^2 for a tie. Shortfalls are positive for every rule, so their
means cancel in a difference and are left out.

More seeds make s smaller, but only its seed part: the validation examples stay the same ones. So the luck is kept
as what it is made of, and computed for any number of seeds.

Without this part two copies of one rule were separable in 8 to 30 % of simulated studies with 10,000 test
and 360 validation examples, with it in 0 to 5 % at five seeds (benchmarks/calibration.md).

Source of the idea that tuning is a source of variance like any other: X. Bouthillier et al., "Accounting
for Variance in Machine Learning Benchmarks", 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.comparison import difference_error
from ravine.verdict.measure import Measure
from ravine.verdict.trials import Candidate

Array = NDArray[np.float64]

NUM_RIVALS = 6  # the closest; one further off has a smaller shortfall


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A configuration that might truly be better than the chosen one.

    Args:
        lead: how far the chosen one is ahead on validation.
        seed: standard error of the lead from the choice of seeds.
        example: standard error of the lead from the choice of validation examples.
        most: by how much the rival can be better at most.
        shared: the part of `seed` that test scores share: without the noise of single examples.
    """

    lead: float
    seed: float
    example: float
    most: float
    shared: float = 0.0

    @property
    def scale(self) -> float:
        """Standard error of the lead."""
        return math.hypot(self.seed, self.example)


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """How far a rule's result may lie from its best configuration's, because validation chose.

    Example:
        >>> luck = Luck(rivals=(Rival(lead=0.0, seed=0.3, example=0.4, most=math.inf),))
        >>> [round(luck.error(more_seeds), 3) for more_seeds in (1.0, 4.0, math.inf)]
        [0.292, 0.249, 0.234]
    """

    rivals: tuple[Rival, ...] = ()

    @property
    def num_close(self) -> int:
        """How many of the closest six the chosen configuration leads by less than a standard error of lucky seeds.

        Only where those are most of what validation does not know. Lucky seeds are lucky on the test set too, and so
        flatter the chosen one's result there; examples that happened to suit it on validation do not.
        """
        return sum(r.lead < r.scale and r.shared**2 > 0.5 * r.scale**2 for r in self.rivals)

    def error(self, more_seeds: float = 1.0) -> float:
        """Standard error that tuning adds to the rule's result, with `more_seeds` times as many seeds."""
        shrunk = 1.0 / math.sqrt(more_seeds)
        return max(
            (shortfall_error(r.lead, math.hypot(r.seed * shrunk, r.example), r.most) for r in self.rivals),
            default=0.0,
        )


def luck_of(group: Sequence[Candidate], chosen: Candidate, measure: Measure) -> Luck:
    """The luck in choosing a rule's configuration on validation.

    Args:
        group: all configurations of the rule.
        chosen: the one that speaks for it.
        measure: what the scores measure.

    Returns:
        Without any rival where none lost as few seeds.
    """
    close = [c for c in group if c.config != chosen.config and c.scores and c.lost == chosen.lost]
    close.sort(key=lambda c: (abs(c.mean - chosen.mean), c.config))
    rivals = []
    for rival in close[:NUM_RIVALS]:
        shared = sorted(set(rival.scores) & set(chosen.scores))
        if not shared:
            continue
        first, second = (
            np.stack([c.validation[seed] for seed in shared]).astype(np.float64) for c in (chosen, rival)
        )
        error = difference_error(
            first, second, matched=True, binary=measure.binary, by_example=measure.by_example
        )
        rivals.append(
            Rival(
                lead=abs(float((first - second).mean())),
                seed=max(error.seed, error.floor),
                example=error.example,
                most=max(float(second.mean(axis=1).max() - first.mean()), 0.0) + error.example,
                shared=math.sqrt(max(error.seed**2 - error.floor**2, 0.0)),
            )
        )
    return Luck(rivals=tuple(rivals))


def shortfall_error(lead: float, scale: float, most: float = math.inf) -> float:
    """Standard deviation of min(max(x, 0), most), x normal with mean -lead and standard deviation scale.

    Example:
        >>> round(shortfall_error(0.0, 1.0), 3), round(shortfall_error(3.0, 1.0), 3)
        (0.584, 0.014)
        >>> shortfall_error(30.0, 30.0, most=1.0) < 0.5
        True
    """
    if not scale > 0.0:
        return 0.0
    z, limit = lead / scale, most / scale
    mean, square = _moments(z)
    if math.isfinite(limit):
        mean_above, square_above = _moments(z + limit)
        mean, square = mean - mean_above, square - square_above - 2.0 * limit * mean_above
    return scale * math.sqrt(max(square - mean * mean, 0.0))


def _moments(z: float) -> tuple[float, float]:
    """The first two moments of max(x, 0), x normal with mean -z and standard deviation 1."""
    if z > 40.0:  # far below the least float
        return 0.0, 0.0
    beyond = 0.5 * math.erfc(z / math.sqrt(2.0))
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return density - z * beyond, (z * z + 1.0) * beyond - z * density
