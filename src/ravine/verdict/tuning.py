"""How much luck there was in the choice of a rule's configuration.

Two copies of one rule, tuned each by itself, can end up with different learning rates, one truly better
than the other by a little; and with enough test examples that little becomes "significant". It is true of
the two configurations and false of the rules. So the verdict counts it as noise: had validation been drawn
anew, near-ties would have gone the other way.

How near is near is measured on validation alone. A configuration that trails the chosen one by d, with
standard error s, would have been chosen instead with a chance of about Phi(-d / s), and would have changed
the result by about d. The variance of that change, over the chosen one and its closest rivals, is the
tuning part of the error. It is halved: among near-ties d is itself noise as much as truth. Without this
part two copies of one rule were separable in 15 % of simulated studies with 10,000 test examples, with it
in 2 to 4 % (benchmarks/calibration.md).

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

NUM_RIVALS = 12
TRUTH = 0.5  # share of the variance of the gaps between near-ties that is not validation noise


def tuning_error(group: Sequence[Candidate], chosen: Candidate, *, binary: bool) -> float:
    """Standard error of a rule's result that comes from choosing its configuration on validation.

    Args:
        group: all configurations of the rule.
        chosen: the one that speaks for it.
        binary: scores are 1 or 0.

    Returns:
        In the unit of the scores; 0 where there is no rival that lost as few seeds.
    """
    rivals = [c for c in group if c is not chosen and c.scores and c.lost == chosen.lost]
    rivals.sort(key=lambda c: (abs(c.mean - chosen.mean), c.config))
    gaps, weights = [0.0], [0.5]
    for rival in rivals[:NUM_RIVALS]:
        shared = sorted(set(rival.scores) & set(chosen.scores))
        if not shared:
            continue
        first = np.stack([np.asarray(chosen.validation[seed], dtype=np.float64) for seed in shared])
        second = np.stack([np.asarray(rival.validation[seed], dtype=np.float64) for seed in shared])
        gap = float((first - second).mean())
        scale = difference_error(first, second, matched=True, binary=binary).scale
        gaps.append(gap)
        weights.append(0.5 * math.erfc(abs(gap) / (scale * math.sqrt(2.0))) if scale > 0.0 else 0.0)
    share = np.array(weights) / sum(weights)
    values = np.array(gaps)
    return math.sqrt(TRUTH * max(float(share @ values**2) - float(share @ values) ** 2, 0.0))
