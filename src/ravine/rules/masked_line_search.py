"""Line searches of many runs at once: `ravine.second.line_search` with a mask in place of each branch.

That file is the slow, obvious form of one search, for `ravine.optim`; this one advances every run of a cohort by one
evaluation, without a branch on a value. A test compares the two.

Shapes: G runs. All numbers are (G, 1) in float64; a flag is 0 or 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ravine.rules.base import State
from ravine.second.line_search import CLOSEST, FASTEST, MOST, NARROWEST, ROUNDINGS, SLOWEST

if TYPE_CHECKING:
    from torch import Tensor

NAMES = (
    "start_loss", "start_slope", "t", "low_t", "low_loss", "low_slope",
    "high_t", "high_loss", "high_slope", "has_high", "count", "settling",
)  # fmt: skip
"""The numbers that describe a search; they are slots of a rule that searches."""


class Observed(NamedTuple):
    """What an evaluation meant to each search.

    Args:
        search: the numbers after the evaluation, by `NAMES`.
        accepted: true where the step at t is taken, (G, 1).
        failed: true where no step along this direction lowers the loss, (G, 1).
    """

    search: State
    accepted: Tensor
    failed: Tensor


class _Trial(NamedTuple):
    t: Tensor
    loss: Tensor
    slope: Tensor


def begun(loss: Tensor, slope: Tensor, first: Tensor) -> State:
    """The numbers of searches before their first evaluation.

    Args:
        loss: at t = 0.
        slope: along the direction at t = 0; below 0.
        first: the first t to try, above 0.

    Returns:
        Tensors (G, 1) by `NAMES`.
    """
    none = loss * 0.0
    return {
        "start_loss": loss, "start_slope": slope, "t": first, "low_t": none, "low_loss": loss, "low_slope": slope,
        "high_t": none, "high_loss": none, "high_slope": none, "has_high": none, "count": none, "settling": none,
    }  # fmt: skip


def finite(x: Tensor) -> Tensor:
    """Where x is finite: in two operations, where `isfinite` takes four."""
    return x.abs() < math.inf


def observe(search: State, loss: Tensor, slope: Tensor, *, c1: Tensor, c2: Tensor, eps: float) -> Observed:
    """Note the loss and its slope along the direction at t, and choose a new t where the search goes on.

    A step is accepted by the strong Wolfe conditions, or by its slope alone where two losses differ by no more than
    rounding. The formulas are those of `ravine.second.line_search.LineSearch`.

    Args:
        search: tensors (G, 1) by `NAMES`.
        loss: at t, (G, 1); infinite or NaN means that t was too large.
        slope: the product of gradient and direction at t, (G, 1).
        c1: share of the promised decrease that a step must bring, in (0, c2).
        c2: share of the slope that may be left, in (c1, 1).
        eps: relative rounding error of a loss.

    References:
        Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6; Hager and Zhang, 2005, for the
        conditions on slopes alone.
    """
    t, begin_loss, begin_slope = search["t"], search["start_loss"], search["start_slope"]
    found = _Trial(t, loss, slope)
    known = finite(loss) & finite(slope)
    falls = loss <= begin_loss + c1 * t * begin_slope
    strong = falls & (slope.abs() <= -c2 * begin_slope)
    level = (loss - begin_loss).abs() <= ROUNDINGS * eps * begin_loss.abs()
    by_slopes = ((2.0 * c1 - 1.0) * begin_slope >= slope) & (slope >= c2 * begin_slope)
    settled = search["settling"] > 0.0
    accepted = settled | (known & (strong | (level & by_slopes)))

    before = _Trial(search["low_t"], search["low_loss"], search["low_slope"])
    ceiling = _Trial(search["high_t"], search["high_loss"], search["high_slope"])
    has_high = search["has_high"] > 0.0
    worse = ~known | ~falls | (loss >= before.loss)
    forward = ~has_high | (ceiling.t > before.t)
    turned = ~worse & ((slope >= 0.0) == forward)
    high = _chosen(worse, found, _chosen(turned, before, ceiling))
    low = _chosen(worse, before, found)
    has_high = has_high | worse | turned
    count = search["count"] + 1.0
    narrow = has_high & ((high.t - low.t).abs() <= NARROWEST * high.t.maximum(low.t))
    ends = (count >= MOST) | narrow
    lost = low.t == 0.0
    failed = ~accepted & ends & lost
    accepted = accepted | (ends & ~lost & (t == low.t))
    settling = ends & ~lost & ~accepted
    goes_on = _interpolated(low, high).where(has_high, _extrapolated(before, low))
    return Observed(
        search={
            **search,
            "t": low.t.where(settling, goes_on),
            "low_t": low.t, "low_loss": low.loss, "low_slope": low.slope,
            "high_t": high.t, "high_loss": high.loss, "high_slope": high.slope,
            "has_high": has_high.to(t.dtype), "count": count, "settling": settling.to(t.dtype),
        },
        accepted=accepted,
        failed=failed,
    )  # fmt: skip


def _chosen(condition: Tensor, one: _Trial, other: _Trial) -> _Trial:
    return _Trial(*(a.where(condition, b) for a, b in zip(one, other, strict=True)))


def _interpolated(low: _Trial, high: _Trial) -> Tensor:
    """A step inside a bracket: where the cubic through both ends is lowest, but not too near to either end."""
    width = high.t - low.t
    least, there = _cubic(low, high)
    share = ((least - low.t) / width).where(there, 0.5).clamp(CLOSEST, 1.0 - CLOSEST)
    blind = (low.t * 0.0 + CLOSEST).where(low.t == 0.0, 0.5)
    seen = finite(high.loss) & finite(high.slope)
    return low.t + share.where(seen, blind) * width


def _extrapolated(before: _Trial, last: _Trial) -> Tensor:
    """A step beyond the last one, while the loss is still falling."""
    advance = last.t - before.t
    farthest = last.t + FASTEST * advance
    least, there = _cubic(before, last)
    inside = least.maximum(last.t + SLOWEST * advance).minimum(farthest)
    return inside.where(there & (least > last.t), farthest)


def _cubic(a: _Trial, b: _Trial) -> tuple[Tensor, Tensor]:
    """Where the cubic with these two losses and slopes has its minimum, and whether it has one."""
    width = b.t - a.t
    mean = a.slope + b.slope - 3.0 * (b.loss - a.loss) / width
    square = mean * mean - a.slope * b.slope
    root = square.clamp(min=0.0).sqrt().copysign(width)
    below = b.slope - a.slope + 2.0 * root
    there = (square >= 0.0) & (square < math.inf) & (below != 0.0)
    return b.t - width * (b.slope + root - mean) / below, there
