"""Performance profiles: on which share of the data sets a method is within a factor of the best one.

With t[d, m] the cost of method m on data set d (the error of an accuracy, a loss), r[d, m] = t[d, m] / min over m,
and the profile of m at tau is the share of d with r[d, m] <= tau. At tau = 1 it is the share of data sets on which
the method is the best; far to the right, that on which it is not hopeless. A cost of 0 is within any factor of a best
of 0, and nothing else is. Where scores have no zero to measure from, r is the distance to the best, and tau begins at
0.

A profile is relative to the methods in the table: without one of them, the others may change places (N. Gould and J.
Scott, 2016). Source: E. D. Dolan and J. J. Moré, "Benchmarking optimization software with performance profiles", 2002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.verdict.measure import Measure

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Shares of data sets, by method.

    Args:
        of: what costs are: "error", or the name of a loss or of a score.
        factor: tau is a factor; False: a distance.
        tau: where a share changes, ascending; the first is 1, or 0 of distances.
        share: of each method, at each tau and up to the next.
    """

    of: str
    factor: bool
    tau: tuple[float, ...]
    share: Mapping[str, tuple[float, ...]]


def profile_of(scores: Array, methods: Sequence[str], measure: Measure) -> Profile:
    """The profile of each method.

    Args:
        scores: (D, M) of each data set and method, higher is better.
        methods: names, in the order of the columns.
        measure: what the scores are.

    Example:
        >>> from ravine.verdict.measure import ACCURACY
        >>> found = profile_of(np.array([[0.9, 0.8], [0.7, 0.85], [0.5, 0.25]]), ["a", "b"], ACCURACY)
        >>> found.tau, found.share["a"]
        ((1.0, 1.5, 2.0), (0.6666666666666666, 0.6666666666666666, 1.0))
    """
    costs = 1.0 - scores if measure.percent else -scores
    factor = measure.percent or (measure.loss and bool((costs >= 0.0).all()))
    least = costs.min(axis=1, keepdims=True)
    if factor:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(costs == least, 1.0, costs / least)
    else:
        ratios = costs - least
    # Two factors that are the same but for rounding are one.
    ratios = np.where(np.isfinite(ratios), np.round(ratios, 12), np.inf)
    tau = np.unique([1.0 if factor else 0.0, *ratios[np.isfinite(ratios)]])
    return Profile(
        of="error" if measure.percent else measure.name,
        factor=factor,
        tau=tuple(tau.tolist()),
        share={
            method: tuple((ratios[:, place][None] <= tau[:, None]).mean(axis=1).tolist())
            for place, method in enumerate(methods)
        },
    )
