"""Draws of pictures as units: what each arm of a ladder reaches with n pictures per class, and how sure that is.

A ladder trains each arm on several draws of pictures at each rung n, and tests all of them on the same examples. The
draw matters more than most methods do: with one picture per class of CIFAR-10 a single recipe reached 45.8 to 66.1 %
(BiT). Seeds that share a draw share its luck. So seeds of a draw are averaged, and two arms are compared draw by draw,
since both saw the same pictures. The error of a mean then has three parts, as that of a rule has over seeds
(`comparison.py`): draws / D, test examples / n_test, and noise / (D n_test), the floor of the first.

**Rungs lend each other degrees of freedom.** With three draws a rung by itself has two, and a band over five rungs
would be 9.9 standard errors wide. But the spread over draws is not unrelated from one rung to the next. So it is
estimated as in a hierarchical model (a moderated t): its own mean square with its D - 1 degrees of freedom, and that of
the other rungs with `BORROWED` = 2, at most half of what they have. Between rungs the variance is taken to go with
1 / sqrt(n): it would go with 1 / n if luck came from the pictures alone, and be constant if it came from seeds alone.
Draws are nested, so the mean squares at n < m are correlated (n / m, by the pictures that they share), and count for
less.

**Draws overlap.** Two draws of a share f of all pictures have that share of their pictures in common, so their spread
shows 1 - f of the variance, and their mean has 1 + (D - 1) f of that of D separate draws.

Sources: A. Kolesnikov et al., "Big Transfer", 2020; G. K. Smyth, 2004 (moderated t).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError
from ravine.verdict.comparison import example_variance, noise_of
from ravine.verdict.measure import ACCURACY, Measure
from ravine.verdict.own_interval import mean_error, mean_interval
from ravine.verdict.student import Error
from ravine.verdict.trials import Scores

Array = NDArray[np.float64]

LEAST_TUNED = 5  # pictures per class from which on one of them is left for validation
BORROWED = 2.0  # degrees of freedom that a rung takes from the others
_WHOLE = 0.999  # a share of the pictures from which on draws are the same pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The test scores of one run of the config that validation chose for its arm, n and draw.

    Args:
        arm: label.
        per_class: n, pictures per class.
        draw: number of the draw; draws of one number are nested over n and the same for all arms.
        seed: of the run.
        scores: (n_test,) of each test example, higher is better: 1 or 0, or what it contributes to a metric; None if
            the run diverged.
    """

    arm: str
    per_class: int
    draw: int
    seed: int
    scores: Scores | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """What an arm reaches with n pictures per class.

    Args:
        arm, per_class: which.
        mean: score over draws, seeds and test examples; None if nothing finished.
        low, high: its own 95 % interval, over other draws and other test examples; not corrected.
        draws: mean of each draw.
        lost: how many runs diverged.
    """

    arm: str
    per_class: int
    mean: float | None
    low: float | None
    high: float | None
    draws: Mapping[int, float]
    lost: int


def arm_results(
    readings: Sequence[Reading],
    shares: Mapping[int, float] | None = None,
    alpha: float = 0.05,
    *,
    measure: Measure = ACCURACY,
) -> tuple[ArmResult, ...]:
    """Each arm at each rung, in the order of the readings, with an interval of its own.

    Args:
        readings: of all arms.
        shares: which share of all training pictures of a class n is, by n; none: all are 0.
        alpha: of each interval.
        measure: what the scores measure.
    """
    found = []
    for arm in dict.fromkeys(each.arm for each in readings):
        for n in sorted({each.per_class for each in readings if each.arm == arm}):
            own = [each for each in readings if (each.arm, each.per_class) == (arm, n)]
            draws = by_draw(own)
            low = high = mean = None
            if draws:
                table = np.stack(list(draws.values()))
                more = widening(len(table), (shares or {}).get(n, 0.0))
                mean = float(table.mean())
                if math.isinf(more) and not measure.percent:  # nothing is known of other draws
                    low, high = -math.inf, math.inf if measure.best is None else measure.best
                else:
                    low, high = mean_interval(
                        table,
                        alpha,
                        binary=measure.binary,
                        luck=1.0 if math.isinf(more) else math.sqrt(more - 1.0) * mean_error(table).seed,
                        share=measure.percent,
                        heaviest=measure.heaviest,
                        best=measure.best,
                        loss=measure.loss,
                    )
            found.append(
                ArmResult(
                    arm=arm,
                    per_class=n,
                    mean=mean,
                    low=low,
                    high=high,
                    draws={draw: float(scores.mean()) for draw, scores in draws.items()},
                    lost=lost_of(own),
                )
            )
    return tuple(found)


def by_draw(readings: Sequence[Reading]) -> dict[int, Array]:
    """By draw, the scores of one arm at one rung, averaged over its finished seeds."""
    found: dict[int, list[Array]] = {}
    for each in sorted(readings, key=lambda each: (each.draw, each.seed)):
        if each.scores is not None:
            found.setdefault(each.draw, []).append(np.asarray(each.scores, dtype=np.float64))
    return {draw: np.mean(some, axis=0) for draw, some in found.items()}


def tables_of(readings: Sequence[Reading], first: str, second: str) -> dict[int, dict[int, Array]]:
    """By n, ascending, and draw: the paired difference of each test example.

    Raises:
        InputError: runs were tested on different numbers of examples.
    """
    sizes = {len(each.scores) for each in readings if each.scores is not None}
    if len(sizes) > 1:
        words = f"readings: runs were tested on {min(sizes)} and {max(sizes)} examples; one set is needed"
        raise InputError(words)
    found: dict[int, dict[int, Array]] = {}
    for n in sorted({each.per_class for each in readings}):
        a, b = (
            by_draw([each for each in readings if (each.arm, each.per_class) == (arm, n)])
            for arm in (first, second)
        )
        shared = {draw: a[draw] - b[draw] for draw in a if draw in b}
        if shared:
            found[n] = shared
    return found


def lost_of(readings: Sequence[Reading]) -> int:
    """How many runs diverged."""
    return sum(each.scores is None for each in readings)


def widening(num_draws: int, share: float) -> float:
    """Variance of the mean over draws by its naive estimate, where draws share pictures.

    Two draws of a share f of all pictures have that share of their pictures in common, hence correlation f: the mean
    square over draws is (1 - f) of the variance V, and their mean has V (1 + (D - 1) f) / D.
    """
    return math.inf if share >= _WHOLE else (1.0 + (num_draws - 1) * share) / (1.0 - share)


def errors_of(
    tables: Mapping[int, Array], shares: Mapping[int, float], *, binary: bool = True
) -> dict[int, Error | None]:
    """The law of each rung's error; None where nothing is known of other draws."""
    some = {n: table for n, table in tables.items() if len(table) > 1}
    df = {n: len(table) - 1.0 for n, table in some.items()}
    square = {n: float(table.mean(axis=1).var(ddof=1)) for n, table in some.items()}
    found: dict[int, Error | None] = dict.fromkeys(tables)
    for n, table in some.items():
        more = widening(len(table), shares.get(n, 0.0))
        if math.isinf(more):
            continue
        # Untuned rungs lend nothing: their spread has no luck of tuning in it.
        others = [m for m in some if m != n and m >= LEAST_TUNED]
        lent, prior = 0.0, 0.0
        if others:
            total = sum(df[m] for m in others)
            prior = sum(df[m] * square[m] * math.sqrt(m / n) for m in others) / total
            shared = sum(math.sqrt(df[m] * df[k]) * min(m, k) / max(m, k) for m in others for k in others)
            lent = min(BORROWED, 0.5 * total**2 / shared)
        variance = (df[n] * square[n] + lent * prior) / (df[n] + lent)
        per_example, noise = table.mean(axis=0), noise_of(table)
        found[n] = Error(
            seed=math.sqrt(more * variance / len(table)),
            df=df[n] + lent,
            floor=math.sqrt(noise),
            example=math.sqrt(example_variance(per_example, noise, len(table), binary=binary)),
        )
    return found
