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

Without this part two copies of one rule were separable in 8 to 30 % of simulated studies with 10,000 test
and 360 validation examples, with it in 0 to 5 % at five seeds (benchmarks/calibration.md).

Source of the idea that tuning is a source of variance like any other: X. Bouthillier et al., "Accounting
for Variance in Machine Learning Benchmarks", 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.comparison import difference_error
from ravine.verdict.trials import Candidate

Array = NDArray[np.float64]

NUM_RIVALS = 6  # the closest; one further off has a smaller shortfall


def tuning_error(group: Sequence[Candidate], chosen: Candidate, *, binary: bool) -> float:
    """Standard error of a rule's result that comes from choosing its configuration on validation.

    Args:
        group: all configurations of the rule.
        chosen: the one that speaks for it.
        binary: scores are 1 or 0.

    Returns:
        In the unit of the scores; 0 where there is no rival that lost as few seeds.
    """
    rivals = [c for c in group if c.config != chosen.config and c.scores and c.lost == chosen.lost]
    rivals.sort(key=lambda c: (abs(c.mean - chosen.mean), c.config))
    largest = 0.0
    for rival in rivals[:NUM_RIVALS]:
        shared = sorted(set(rival.scores) & set(chosen.scores))
        if not shared:
            continue
        first, second = (
            np.stack([c.validation[seed] for seed in shared]).astype(np.float64) for c in (chosen, rival)
        )
        error = difference_error(first, second, matched=True, binary=binary)
        most = max(float(second.mean(axis=1).max() - first.mean()), 0.0) + error.example
        lead = abs(float((first - second).mean()))
        largest = max(largest, shortfall_variance(lead, error.scale, most))
    return math.sqrt(largest)


def shortfall_variance(lead: float, scale: float, most: float = math.inf) -> float:
    """Variance of min(max(x, 0), most), x normal with mean -lead and standard deviation scale.

    Example:
        >>> round(shortfall_variance(0.0, 1.0), 3), round(shortfall_variance(3.0, 1.0), 6)
        (0.341, 0.000203)
        >>> shortfall_variance(30.0, 30.0, most=1.0) < 0.25
        True
    """
    if not scale > 0.0:
        return 0.0
    mean, square = _moments(lead, scale)
    if math.isfinite(most):
        mean_above, square_above = _moments(lead + most, scale)
        mean, square = mean - mean_above, square - square_above - 2.0 * most * mean_above
    return max(square - mean**2, 0.0)


def _moments(lead: float, scale: float) -> tuple[float, float]:
    """The first two moments of max(x, 0)."""
    z = lead / scale
    beyond = 0.5 * math.erfc(z / math.sqrt(2.0))
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return scale * density - lead * beyond, (lead**2 + scale**2) * beyond - lead * scale * density
