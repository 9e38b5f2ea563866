"""Two arms of a ladder: which is better for n pictures per class, and where the answer changes.

**The band is simultaneous.** The chance that the interval of any rung misses its true difference is at most alpha,
because each has level (1 - alpha)^(1 / rungs): Šidák's inequality, which is true of any correlation between rungs. A
maximum over studentized rungs would be a little narrower if that correlation were known; three draws don't say what it
is. What is known of a rung's error is in `draws.py`.

**The crossover** n* is where the mean difference changes its sign, on a line between rungs over log n. Its confidence
set has all n at which the band contains 0, on such lines too: it misses the true crossover in at most alpha of studies.
Below `LEAST_TUNED` pictures there is no validation set, so no arm is tuned, and neither band nor set speaks of them.

Source: Z. Šidák, 1967. How often it errs was simulated: `benchmarks/calibration.py ladder`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

from ravine.errors import InputError
from ravine.verdict.comparison import width
from ravine.verdict.draws import LEAST_TUNED, Reading, errors_of, lost_of, tables_of
from ravine.verdict.measure import ACCURACY, Measure
from ravine.verdict.words import listed


class Outcome(Enum):
    """What a ladder says of two arms."""

    ALL = "{better} is better than {worse} {everywhere}"
    CROSSOVER = (
        "{few} is better with few examples per class, {many} with more: they cross near n = {at} ({set})"
    )
    SEVERAL = "{first} and {second} change places more than once: {signs}"
    SOME = "{better} is better than {worse} at n = {where}; at other n they are not separable, so no crossover is shown"
    NONE = "{first} and {second} are not separable {anywhere}"
    ONE_DRAW = "{first} and {second}: with a single draw of examples, luck cannot be told from skill"
    UNTUNED = "{first} and {second}: no n is 5 or more, so nothing is tuned and nothing is compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two arms at one rung: first minus second.

    Args:
        per_class: n.
        mean: over the draws in which both arms have a finished run.
        low, high: of the simultaneous band.
        draws: each draw's own difference.
        tuned: n is large enough for a validation set, so the rung counts.
    """

    per_class: int
    mean: float
    low: float
    high: float
    draws: Mapping[int, float]
    tuned: bool

    @property
    def sign(self) -> int:
        """1 or -1 where the band is above or below 0 for sure, else 0."""
        return (self.low > 0.0) - (self.high < 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """What a ladder says of two arms.

    Args:
        first, second: labels.
        rungs: by n, ascending; those below 5 are shown, and count for nothing.
        outcome: which of the sentences it comes to.
        at: n*, where the mean difference changes its sign; None unless they cross for sure.
        confidence: the n from 5 on at which the band contains 0, as closed intervals.
        sentence: the outcome in words.
    """

    first: str
    second: str
    rungs: tuple[Difference, ...]
    outcome: Outcome
    at: float | None
    confidence: tuple[tuple[float, float], ...]
    sentence: str

    def __repr__(self) -> str:
        ns = ", ".join(str(each.per_class) for each in self.rungs)
        return f"Crossover({self.sentence!r}, rungs at n = {ns})"

    def better(self, per_class: int) -> str | None:
        """The arm that is better at a rung for sure; None where neither is."""
        rung = next(each for each in self.rungs if each.per_class == per_class)
        return (None, self.first, self.second)[rung.sign] if rung.tuned else None


def crossover(
    readings: Sequence[Reading],
    first: str,
    second: str,
    *,
    shares: Mapping[int, float] | None = None,
    num_pairs: int = 1,
    alpha: float = 0.05,
    measure: Measure = ACCURACY,
) -> Crossover:
    """Compare two arms at all rungs together.

    Args:
        readings: of these arms and perhaps others; all were tested on the same examples.
        first, second: labels of arms.
        shares: which share of all training pictures of a class n is, by n: draws of many of them have most pictures in
            common, so their spread says less of other pictures. None: all are 0.
        num_pairs: how many pairs of arms are compared in the study.
        alpha: chance that anything is said of any pair by mistake.
        measure: what the scores measure.

    Returns:
        The outcome. Where an arm lost a run at some n it is never said to be better there.

    Raises:
        InputError: no rung has both arms, or runs were tested on different numbers of examples.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def reading(arm, n, draw, share):
        ...     return Reading(arm=arm, per_class=n, draw=draw, seed=0, scores=rng.random(1000) < share)
        >>> accuracy = {"head": {5: 0.6, 20: 0.7, 100: 0.75}, "all": {5: 0.4, 20: 0.7, 100: 0.95}}
        >>> cells = [(arm, n, draw) for arm in accuracy for n in (5, 20, 100) for draw in range(5)]
        >>> some = [reading(arm, n, draw, accuracy[arm][n]) for arm, n, draw in cells]
        >>> found = crossover(some, "head", "all")
        >>> found.outcome.name, 5 < found.at < 100
        ('CROSSOVER', True)
    """
    tables = tables_of(readings, first, second)
    if not tables:
        raise InputError(f"{first!r} and {second!r} have no finished runs at the same n and draw")
    tuned = [n for n in tables if n >= LEAST_TUNED and len(tables[n]) > 1]
    level = 1.0 - (1.0 - alpha) ** (1.0 / (max(1, len(tuned)) * num_pairs))
    stacked = {n: np.stack(list(table.values())) for n, table in tables.items()}
    errors = errors_of(stacked, shares or {}, binary=measure.binary)
    lost = {
        (arm, n): lost_of([each for each in readings if (each.arm, each.per_class) == (arm, n)])
        for arm in (first, second)
        for n in tables
    }
    rungs = []
    for n, table in tables.items():
        mean = float(stacked[n].mean())
        error = errors[n]
        half = math.inf if error is None else width(error, level)
        low, high = max(mean - half, -measure.most), min(mean + half, measure.most)
        if lost[first, n]:
            low = min(low, 0.0)
        if lost[second, n]:
            high = max(high, 0.0)
        draws = {draw: float(scores.mean()) for draw, scores in table.items()}
        rungs.append(
            Difference(per_class=n, mean=mean, low=low, high=high, draws=draws, tuned=n >= LEAST_TUNED)
        )
    counted = [each for each in rungs if each.tuned]
    outcome = _outcome(counted)
    at = _crossing(counted) if outcome is Outcome.CROSSOVER else None
    confidence = _zeros(counted)
    return Crossover(
        first=first,
        second=second,
        rungs=tuple(rungs),
        outcome=outcome,
        at=at,
        confidence=confidence,
        sentence=_sentence(outcome, counted, (first, second), at, confidence, alpha),
    )


def _outcome(rungs: Sequence[Difference]) -> Outcome:
    if not rungs:
        return Outcome.UNTUNED
    if max(len(each.draws) for each in rungs) < 2:
        return Outcome.ONE_DRAW
    signs = [each.sign for each in rungs]
    sure = [sign for sign in signs if sign]
    changes = sum(a != b for a, b in pairwise(sure))
    if not sure:
        return Outcome.NONE
    if changes:
        return Outcome.CROSSOVER if changes == 1 else Outcome.SEVERAL
    return Outcome.ALL if len(sure) == len(signs) else Outcome.SOME


def _root(n: float, value: float, m: float, other: float) -> float:
    """Where a line over log n that has these values at n and m is 0."""
    return math.exp(math.log(n) + (math.log(m) - math.log(n)) * value / (value - other))


def _crossing(rungs: Sequence[Difference]) -> float:
    """Where the mean changes its sign between the sure rungs; of three or more places the middle one."""
    sure = [i for i, each in enumerate(rungs) if each.sign]
    last = max(i for i in sure if rungs[i].sign == rungs[sure[0]].sign)
    then = next(i for i in sure if i > last)
    roots = []
    for a, b in pairwise(rungs[last : then + 1]):
        if (a.mean > 0.0) != (b.mean > 0.0):
            roots.append(_root(a.per_class, a.mean, b.per_class, b.mean))
    return roots[len(roots) // 2]


def _zeros(rungs: Sequence[Difference]) -> tuple[tuple[float, float], ...]:
    """All n at which the band contains 0, with its ends on lines over log n between rungs."""
    found: list[tuple[float, float]] = []
    for a, b in pairwise(rungs):
        ends = [float(a.per_class), float(b.per_class)]
        if a.sign and a.sign == b.sign:
            continue
        if a.sign:
            ends[0] = _edge(a, b, a.sign)
        if b.sign:
            ends[1] = _edge(a, b, b.sign)
        if found and math.isclose(found[-1][1], ends[0]):
            found[-1] = (found[-1][0], ends[1])
        else:
            found.append((ends[0], ends[1]))
    if len(rungs) == 1 and not rungs[0].sign:
        found.append((float(rungs[0].per_class), float(rungs[0].per_class)))
    return tuple(found)


def _edge(a: Difference, b: Difference, sign: int) -> float:
    """Where the bound that keeps 0 out of the band at one of two rungs reaches 0."""
    values = (a.low, b.low) if sign > 0 else (a.high, b.high)
    return _root(a.per_class, values[0], b.per_class, values[1])


def _sentence(
    outcome: Outcome,
    rungs: Sequence[Difference],
    arms: tuple[str, str],
    at: float | None,
    confidence: Sequence[tuple[float, float]],
    alpha: float,
) -> str:
    names = {1: arms[0], -1: arms[1]}
    sure = [each for each in rungs if each.sign]
    words = {"first": arms[0], "second": arms[1]}
    if rungs:
        ends = f"n from {rungs[0].per_class} to {rungs[-1].per_class}"
        alone = f"at n = {rungs[0].per_class}"
        words["everywhere"] = _everywhere(rungs)
        words["anywhere"] = f"at any {ends}" if len(rungs) > 1 else alone
    if sure:
        words["better"] = words["few"] = names[sure[0].sign]
        words["worse"] = names[-sure[0].sign]
        words["many"] = names[sure[-1].sign]
        words["where"] = ", ".join(str(each.per_class) for each in sure)
        words["signs"] = ", ".join(f"{names[each.sign]} is better at n = {each.per_class}" for each in sure)
    if at is not None:
        words["at"] = number(at)
        words["set"] = f"{100 * (1 - alpha):g} % set: {span(confidence)}"
    return outcome.value.format_map(words) + "."


def sentences_of(pairs: Sequence[Crossover]) -> list[str]:
    """What a ladder says of all pairs: who is better at every n is one sentence for all that it is better than.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def reading(arm, n, draw, share):
        ...     return Reading(arm=arm, per_class=n, draw=draw, seed=0, scores=rng.random(1000) < share)
        >>> accuracy = {"head": 0.9, "random": 0.5, "pixels": 0.5}
        >>> cells = [(arm, n, draw) for arm in accuracy for n in (5, 20) for draw in range(5)]
        >>> some = [reading(arm, n, draw, accuracy[arm]) for arm, n, draw in cells]
        >>> found = [crossover(some, a, b) for a, b in (("head", "random"), ("head", "pixels"), ("random", "pixels"))]
        >>> for sentence in sentences_of(found):
        ...     print(sentence)
        head is better than random and pixels for all n from 5 to 20.
        random and pixels are not separable at any n from 5 to 20.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for each in pairs:
        if each.outcome is Outcome.ALL:
            better, worse = (each.first, each.second)[:: each.rungs[-1].sign]
            everywhere = _everywhere([rung for rung in each.rungs if rung.tuned])
            found.setdefault((better, everywhere), []).append(worse)
        else:
            found[each.sentence, ""] = []
    whole = Outcome.ALL.value
    return [
        whole.format(better=first, worse=listed(worse), everywhere=where) + "." if worse else first
        for (first, where), worse in found.items()
    ]


def _everywhere(rungs: Sequence[Difference]) -> str:
    if len(rungs) == 1:
        return f"at n = {rungs[0].per_class}"
    return f"for all n from {rungs[0].per_class} to {rungs[-1].per_class}"


def number(n: float) -> str:
    """A number of pictures as people say it: two digits.

    Example:
        >>> number(5.0), number(7.345), number(43.8), number(123.4)
        ('5', '7.3', '44', '120')
    """
    return f"{float(f'{n:.2g}'):g}"


def span(confidence: Sequence[tuple[float, float]]) -> str:
    """A confidence set in words."""
    return " and ".join(f"{number(low)} to {number(high)}" for low, high in confidence)
