"""By how much the weights of each step of a run count in an average, and how to make one average of others.

Everything is exact and in float64, step by step: no profile is approximated by a continuous one.

Shapes: T step, N vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.rules.averages import Average

_CHUNK = 1 << 22  # numbers of profiles at a time
_SMALLEST = 1e-10  # singular values, by the largest: below it coefficients grow and the profile gains nothing

_NOTHING = 1e-12  # what a coefficient is rounded to 0 below, by the largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How the steps of a run count in an average after one of them.

    Args:
        average: the kind of average.
        at: after which step.
    """

    average: Average
    at: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combination:
    """An average as a sum of others.

    Args:
        coefficients: of each of the others, (N,); they sum to 1, and some may be negative.
        error: how far its profile is from the one that was asked for: the L2 norm of the difference, by that of the
            profile asked for.
    """

    coefficients: np.ndarray
    error: float

    @property
    def amplification(self) -> float:
        """The sum of the coefficients without their signs: how much rounding errors of the others grow."""
        return float(np.abs(self.coefficients).sum())


def parts(profiles: Sequence[Profile], steps: int) -> Iterator[tuple[int, np.ndarray]]:
    """Profiles of a run of some length, in parts: the last steps come first.

    ``e <- e + s_t (w_t - e)`` gives step i the weight ``s_i (1 - s_(i + 1)) ... (1 - s_t)``.

    Yields:
        The first step of the part, counted from 0, and the profiles over its steps, (T, N).
    """
    at_N = np.array([profile.at for profile in profiles])
    left_N = np.ones(len(profiles))  # the product of all (1 - s) after the part
    length = max(1, _CHUNK // len(profiles))
    for start in reversed(range(0, steps, length)):
        t_T = np.arange(start, min(start + length, steps)) + 1
        shares_TN = np.stack([profile.average.share(t_T) for profile in profiles], axis=1)
        shares_TN[t_T[:, None] > at_N] = 0.0
        products_TN = np.cumprod((1.0 - shares_TN)[::-1], axis=0)[::-1]
        after_TN = np.concatenate([products_TN[1:], np.ones((1, len(profiles)))]) * left_N
        left_N = left_N * products_TN[0]
        yield start, shares_TN * after_TN


def profiles_of(profiles: Sequence[Profile], steps: int) -> np.ndarray:
    """Whole profiles, (T, N).

    Example:
        >>> from ravine.rules.averages import ema, uniform
        >>> found = profiles_of([Profile(average=uniform(2), at=3), Profile(average=ema(0.5), at=2)], 4)
        >>> found.round(3).T.tolist()
        [[0.0, 0.5, 0.5, 0.0], [0.333, 0.667, 0.0, 0.0]]
    """
    return np.concatenate([part_TN for _, part_TN in reversed(list(parts(profiles, steps)))])


def combine(vectors: Sequence[Profile], target: Average, steps: int) -> Combination:
    """The combination of vectors whose profile is closest to that of an average at the end of a run.

    Least squares over all steps of the run with coefficients that sum to 1. Of equally good ones, the smallest are
    taken.

    Args:
        vectors: profiles of what there is, at least one.
        target: the average to make.
        steps: of the run.

    References:
        Karras et al., 2024 (post-hoc EMA); there with continuous profiles, and coefficients divided by their sum.
    """
    wanted = Profile(average=target, at=steps)
    num = len(vectors)
    # Little is lost where the others are taken as differences from a vector that is flat: one whose last step counts
    # for little.
    ends = [float(each.average.share(np.array([each.at]))[0]) or 1.0 for each in vectors]
    base = int(np.argmin(ends))
    others = [i for i in range(num) if i != base]
    # sum x = 1 takes one unknown away: the others move the profile away from that of the base.
    triangle = np.zeros((0, num))
    square = 0.0
    for _, part_TN in parts([*vectors, wanted], steps):
        wanted_T, base_T1 = part_TN[:, -1], part_TN[:, [base]]
        square += float(wanted_T @ wanted_T)
        columns = np.concatenate([part_TN[:, others], wanted_T[:, None]], axis=1) - base_T1
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, columns]), mode="r"))
    left, right = triangle[:, :-1], triangle[:, -1]
    found = np.linalg.lstsq(left, right, rcond=_SMALLEST)[0] if others else np.zeros(0)
    # Alone, each of the others and then the base: what is there already is taken as it is.
    alone = np.linalg.norm(np.concatenate([left, np.zeros((len(left), 1))], axis=1) - right[:, None], axis=0)
    if alone.min() < _NOTHING * square**0.5:
        found = np.eye(num)[int(np.argmin(alone))][:-1]
    coefficients = np.zeros(num)
    coefficients[others] = found
    coefficients[base] = 1.0 - found.sum()
    coefficients[np.abs(coefficients) < _NOTHING * np.abs(coefficients).max()] = 0.0
    off = float(np.linalg.norm(left @ found - right))
    return Combination(coefficients=coefficients, error=off / square**0.5)
