"""How far an arm of a ladder overfits: its training accuracy minus its test accuracy, against n.

As everywhere in a ladder, draws of pictures are the units (`draws.py`): a gap's error has a part of the draws and one
of the test examples. Training examples have none of their own: they are all that an arm learned from.

Whether a gap falls with n is asked of the smallest n that is tuned and the largest one, draw by draw: parts of one draw
are nested, and both are tested on the same examples. Rungs lend each other no degrees of freedom here, since the
difference of two rungs has no spread that goes with n. Two draws alone have one degree of freedom, and at 95 % an
interval of 12.7 standard errors either way. Where an interval is wider than an accuracy can vary at all, it excludes
nothing that anybody would have believed, and the fall counts as not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ravine.messages import count
from ravine.verdict.comparison import width
from ravine.verdict.draws import LEAST_TUNED, Array, Reading, by_draw, widening
from ravine.verdict.overfitting import gap_error
from ravine.verdict.words import listed

Trained = Mapping[tuple[str, int, int], float]
"""Training accuracy by arm, n and draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnGap:
    """By how much an arm knows its n training examples per class better than new ones.

    Args:
        arm, per_class: which.
        mean: over draws.
        low, high: its own 95 % interval, over other draws and other test examples; not corrected.
        draws: gap of each draw.
    """

    arm: str
    per_class: int
    mean: float
    low: float
    high: float
    draws: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """By how much the gap of an arm is smaller with many examples than with few.

    Args:
        arm: label.
        few, many: the smallest n that is tuned, and the largest.
        before, after: mean gap with few examples, and with many.
        low, high: interval of before minus after, over draws and test examples, corrected for the number of arms;
            within -2 and 2, since each gap is within -1 and 1.
        draws: before minus after, draw by draw.
    """

    arm: str
    few: int
    many: int
    before: float
    after: float
    low: float
    high: float
    draws: Mapping[int, float]

    @property
    def size(self) -> float:
        """Before minus after."""
        return self.before - self.after

    @property
    def sign(self) -> int:
        """1 or -1 where the gap falls or grows for sure, else 0."""
        return (self.low > 0.0) - (self.high < 0.0)

    @property
    def known(self) -> bool:
        """Whether the interval says anything: it is no wider than an accuracy can vary."""
        return self.high - self.low <= 1.0

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.known:
            return (
                f"Whether the gap of {self.arm} falls is not known from {count(len(self.draws), 'draw')}: it is "
                f"{_number(100 * self.before)} points at n = {self.few} and {_number(100 * self.after)} at n = "
                f"{self.many}."
            )
        says = {1: "falls", -1: "grows", 0: "neither falls nor grows for sure:"}[self.sign]
        low, high = sorted((self.low, self.high), key=abs) if self.sign < 0 else (self.low, self.high)
        by, low, high = (100 * (abs(x) if self.sign else x) for x in (self.size, low, high))
        return (
            f"The gap of {self.arm} {says} from {_number(100 * self.before)} points at n = {self.few} to "
            f"{_number(100 * self.after)} at n = {self.many}, by {_number(by)} ({_number(low)} to {_number(high)})."
        )


def gaps_of(
    readings: Sequence[Reading],
    trained: Trained,
    shares: Mapping[int, float] | None = None,
    alpha: float = 0.05,
) -> tuple[DrawnGap, ...]:
    """The gap of each arm at each rung, in the order of the readings.

    Args:
        readings: test scores of the chosen configs.
        trained: their training accuracies; a draw without one is left out.
        shares: which share of all training pictures of a class n is, by n; none: all are 0.
        alpha: of each interval.

    Example:
        >>> scores = np.array([1.0] * 90 + [0.0] * 10)
        >>> some = [Reading(arm="a", per_class=5, draw=draw, seed=0, scores=scores) for draw in range(3)]
        >>> (gap,) = gaps_of(some, {("a", 5, draw): 1.0 for draw in range(3)})
        >>> round(gap.mean, 3), round(gap.low, 3)
        (0.1, 0.039)
    """
    found = []
    for arm, n in _places(readings):
        tables = _table(readings, trained, arm, n)
        if tables:
            train, scores = _stacked(tables)
            half = _half(train, scores, (shares or {}).get(n, 0.0), alpha, one=True)
            mean = float(train.mean() - scores.mean())
            draws = {draw: float(known - row.mean()) for draw, (known, row) in tables.items()}
            low, high = max(mean - half, -1.0), min(mean + half, 1.0)
            found.append(DrawnGap(arm=arm, per_class=n, mean=mean, low=low, high=high, draws=draws))
    return tuple(found)


def falls_of(
    readings: Sequence[Reading],
    trained: Trained,
    shares: Mapping[int, float] | None = None,
    alpha: float = 0.05,
) -> tuple[Fall, ...]:
    """Whether the gap of each arm falls between its smallest tuned n and its largest.

    Args:
        readings: test scores of the chosen configs; of an arm that lost a run at either n nothing is said for sure.
        trained: their training accuracies.
        shares: as for `gaps_of`; that of the larger n counts for both.
        alpha: chance that anything is said of any arm by mistake.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def reading(n, draw, share):
        ...     return Reading(arm="a", per_class=n, draw=draw, seed=0, scores=rng.random(1000) < share)
        >>> some = [reading(n, draw, share) for n, share in ((5, 0.5), (50, 0.8)) for draw in range(4)]
        >>> (fall,) = falls_of(some, {("a", n, draw): 1.0 for n in (5, 50) for draw in range(4)})
        >>> fall.sign, round(fall.size, 1)
        (1, 0.3)
    """
    arms = dict.fromkeys(each.arm for each in readings)
    level = 1.0 - (1.0 - alpha) ** (1.0 / max(1, len(arms)))
    found = (_fall(readings, trained, arm, shares or {}, level) for arm in arms)
    return tuple(each for each in found if each is not None)


def summary_of(falls: Sequence[Fall]) -> str:
    """Of which arms the gap falls, in one sentence.

    Example:
        >>> draws = {0: 0.2, 1: 0.3}
        >>> some = [
        ...     Fall(arm=arm, few=5, many=20, before=0.4, after=0.15, low=low, high=high, draws=draws)
        ...     for arm, low, high in (("head", 0.1, 0.4), ("all", -1.0, 1.5))
        ... ]
        >>> summary_of(some)
        'From few examples to many, the gap falls for sure for head and is not known from these draws for all.'
    """
    if len(falls) < 2:
        return "".join(each.sentence for each in falls)
    says = {
        "falls for sure": 1,
        "grows for sure": -1,
        "neither falls nor grows for sure": 0,
        "is not known from these draws": None,
    }
    found = []
    for words, sign in says.items():
        arms = [each.arm for each in falls if (each.sign if each.known else None) == sign]
        if arms:
            found.append(f"{words} for {listed(arms)}")
    return f"From few examples to many, the gap {listed(found)}."


def _fall(
    readings: Sequence[Reading], trained: Trained, arm: str, shares: Mapping[int, float], alpha: float
) -> Fall | None:
    tables = {
        n: table
        for other, n in _places(readings)
        if other == arm and n >= LEAST_TUNED and (table := _table(readings, trained, arm, n))
    }
    if len(tables) < 2:
        return None
    few, many = min(tables), max(tables)
    both = [draw for draw in tables[few] if draw in tables[many]]
    if not both:
        return None
    (less, first), (more, second) = (_stacked({draw: tables[n][draw] for draw in both}) for n in (few, many))
    half = _half(less - more, first - second, shares.get(many, 0.0), alpha, one=False)
    before, after = float(less.mean() - first.mean()), float(more.mean() - second.mean())
    low, high = max(before - after - half, -2.0), min(before - after + half, 2.0)
    if any(each.arm == arm and each.per_class in (few, many) and each.scores is None for each in readings):
        low, high = min(low, 0.0), max(high, 0.0)
    gaps = (less - first.mean(axis=1)) - (more - second.mean(axis=1))
    draws = {draw: float(gap) for draw, gap in zip(both, gaps, strict=True)}
    return Fall(arm=arm, few=few, many=many, before=before, after=after, low=low, high=high, draws=draws)


def _half(train: Array, scores: Array, share: float, alpha: float, *, one: bool) -> float:
    """Half the width of an interval; of one draw, that over test examples if ``one``, else nothing is known."""
    if len(train) < 2:
        return width(gap_error(train, scores), alpha) if one else 4.0
    more = widening(len(train), share)
    if math.isinf(more):
        return 4.0
    error = gap_error(train, scores)
    return width(replace(error, seed=error.seed * math.sqrt(more)), alpha)


def _places(readings: Sequence[Reading]) -> list[tuple[str, int]]:
    arms = list(dict.fromkeys(each.arm for each in readings))
    return sorted(
        {(each.arm, each.per_class) for each in readings}, key=lambda at: (arms.index(at[0]), at[1])
    )


def _table(
    readings: Sequence[Reading], trained: Trained, arm: str, per_class: int
) -> dict[int, tuple[float, Array]]:
    """By draw: training accuracy, and the score of each test example."""
    own = by_draw([each for each in readings if (each.arm, each.per_class) == (arm, per_class)])
    known = {draw: trained.get((arm, per_class, draw), math.nan) for draw in own}
    return {draw: (known[draw], row) for draw, row in own.items() if math.isfinite(known[draw])}


def _stacked(table: Mapping[int, tuple[float, Array]]) -> tuple[Array, Array]:
    return np.array([known for known, _ in table.values()]), np.stack([row for _, row in table.values()])


def _number(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")
