"""How far to go along a direction: a search for a step that meets the strong Wolfe conditions.

The search does not call the function. It says where to evaluate next (`t`), and the caller passes it what was found
there: so the caller decides when the model is evaluated. `ravine.rules.masked_line_search` is the same search for many
runs at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

CLOSEST = 0.1  # share of a bracket by which a trial stays away from both of its ends
NARROWEST = 1e-9  # width of a bracket by its t, below which searching on gains nothing
SLOWEST, FASTEST = (
    1.1,
    4.0,
)  # without a bracket, t grows by this many times its last advance, at least and at most
ROUNDINGS = 10.0  # a loss that rises by so many rounding errors does not count as risen
MOST = 20  # evaluations after which the best step found is taken


class Outcome(Enum):
    """What an evaluation meant to a search."""

    ACCEPTED = "the step at t is taken"
    AGAIN = "evaluate at the new t"
    FAILED = "no step along this direction lowers the loss"


@dataclass(frozen=True, slots=True)
class Trial:
    """The loss at one step length, and its derivative by t."""

    t: float
    loss: float
    slope: float


@dataclass(slots=True, kw_only=True)
class LineSearch:
    """A search along one direction.

    A step t is accepted if ``loss(t) <= loss(0) + c1 t slope(0)`` and ``abs(slope(t)) <= c2 abs(slope(0))``. Where the
    loss changes by no more than its rounding error, the slopes decide:
    ``(2 c1 - 1) slope(0) >= slope(t) >= c2 slope(0)``.

    Args:
        loss: at t = 0.
        slope: derivative of the loss by t at t = 0; below 0.
        t: the first step length to try, above 0; then always the one to evaluate next.
        resolution: relative rounding error of a loss.
        c1: share of the promised decrease that a step must bring, in (0, c2).
        c2: share of the slope that may be left, in (c1, 1).
        most: evaluations after which the best step found is taken.

    Attributes:
        count: evaluations so far.
        settling: whether the next evaluation is only of the best step found, which is then taken.
        low: the best step so far that decreases the loss enough; t = 0 at first.
        high: the other end of the bracket; None while there is none.

    References:
        Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6; Hager and Zhang, 2005, for the
        conditions on slopes alone.

    Example:
        >>> search = LineSearch(loss=1.0, slope=-2.0, t=4.0)  # of (1 - t)^2
        >>> search.observe(9.0, 6.0), search.t
        (<Outcome.AGAIN: 'evaluate at the new t'>, 1.0)
        >>> search.observe(0.0, 0.0)
        <Outcome.ACCEPTED: 'the step at t is taken'>
    """

    loss: float
    slope: float
    t: float = 1.0
    resolution: float = 2.0**-52
    c1: float = 1e-4
    c2: float = 0.9
    most: int = MOST
    count: int = 0
    settling: bool = False
    low: Trial = field(init=False)
    high: Trial | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.low = Trial(0.0, self.loss, self.slope)

    def observe(self, loss: float, slope: float) -> Outcome:
        """Note the loss and its slope at `t`, and choose a new `t` if the search goes on.

        Args:
            loss: at `t`; infinite or NaN means that `t` was too large.
            slope: the product of gradient and direction at `t`.

        Returns:
            Whether to take the step at `t`, to evaluate at the new `t`, or to give this direction up.
        """
        if self.settling:
            return Outcome.ACCEPTED
        self.count += 1
        found = Trial(self.t, loss, slope)
        finite = math.isfinite(loss) and math.isfinite(slope)
        if finite and self._suffices(found):
            return Outcome.ACCEPTED
        before = self.low
        if not finite or loss > self.loss + self.c1 * self.t * self.slope or loss >= self.low.loss:
            self.high = found
        else:
            forward = self.high is None or self.high.t > self.low.t
            if (slope >= 0.0) == forward:
                self.high = self.low
            self.low = found
        if self.count >= self.most or self._narrow():
            return self._settle()
        self.t = _extrapolate(before, self.low) if self.high is None else _interpolate(self.low, self.high)
        return Outcome.AGAIN

    def _suffices(self, found: Trial) -> bool:
        flat = abs(found.slope) <= -self.c2 * self.slope
        if flat and found.loss <= self.loss + self.c1 * found.t * self.slope:
            return True
        level = abs(found.loss - self.loss) <= ROUNDINGS * self.resolution * abs(self.loss)
        return level and (2.0 * self.c1 - 1.0) * self.slope >= found.slope >= self.c2 * self.slope

    def _narrow(self) -> bool:
        if self.high is None:
            return False
        return abs(self.high.t - self.low.t) <= NARROWEST * max(self.high.t, self.low.t)

    def _settle(self) -> Outcome:
        """Go back to the best step found, or fail if there is none."""
        if self.low.t == 0.0:
            return Outcome.FAILED
        self.settling = True
        if self.t == self.low.t:
            return Outcome.ACCEPTED
        self.t = self.low.t
        return Outcome.AGAIN


def _interpolate(low: Trial, high: Trial) -> float:
    """A step inside a bracket: where the cubic through both ends is lowest, but not too near to either end."""
    width = high.t - low.t
    if not (math.isfinite(high.loss) and math.isfinite(high.slope)):
        return low.t + (CLOSEST if low.t == 0.0 else 0.5) * width
    least = _cubic(low, high)
    share = 0.5 if least is None else (least - low.t) / width
    return low.t + min(max(share, CLOSEST), 1.0 - CLOSEST) * width


def _extrapolate(before: Trial, last: Trial) -> float:
    """A step beyond the last one, while the loss is still falling."""
    advance = last.t - before.t
    nearest, farthest = last.t + SLOWEST * advance, last.t + FASTEST * advance
    least = _cubic(before, last)
    return farthest if least is None or least <= last.t else min(max(least, nearest), farthest)


def _cubic(a: Trial, b: Trial) -> float | None:
    """Where the cubic with these two losses and slopes has its minimum; None if it has none."""
    width = b.t - a.t
    mean = a.slope + b.slope - 3.0 * (b.loss - a.loss) / width
    square = mean * mean - a.slope * b.slope
    if not 0.0 <= square < math.inf:
        return None
    root = math.copysign(math.sqrt(square), width)
    below = b.slope - a.slope + 2.0 * root
    return None if below == 0.0 else b.t - width * (b.slope + root - mean) / below
