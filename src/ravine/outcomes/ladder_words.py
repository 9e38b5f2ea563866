"""A ladder in words: its sentences, what to know before believing them, and its table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ravine.messages import count
from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.words import NOTHING, signed
from ravine.verdict import ACCURACY, ArmResult, Measure, Outcome, Verdict
from ravine.verdict.crossover import Difference, sentences_of
from ravine.verdict.draws import LEAST_TUNED
from ravine.verdict.words import listed

if TYPE_CHECKING:
    from ravine.outcomes.trivial import Trivial
    from ravine.store import Labels

NOT_KNOWN = "interval not known"
FALLS = ("arm", "gap with few examples", "gap with many", "fall", "95 % interval")
FEW_DRAWS = 3
LARGE_SHARE = 0.25  # of all training examples of a class, from which on draws have much in common


def reading(ladder: LadderResult) -> str:
    """What the numbers of its table are."""
    measure = ladder.measure
    what = f"Test {measure.name}{' in %' if measure.percent else ''}"
    unit = "in percentage points" if measure.percent else "above 0 where the first one is better"
    return (
        f"{what}, with its 95 % interval over draws and test examples. A difference is paired by draw, {unit}, with a "
        "band that is simultaneous over all n."
    )


def ladder_verdict(ladder: LadderResult, labels: Labels, noun: str) -> Verdict:
    """The verdict of a study that has a ladder: its words alone, since no arm has one config for all rungs."""
    return Verdict(
        measure=ladder.measure,
        alpha=0.05,
        noun=noun,
        rules=(),
        pairs=(),
        best=None,
        separable=False,
        num_configs=0,
        num_validation=0,
        num_test=len(labels.test),
        sentences=tuple(sentences(ladder)),
        warnings=tuple(warnings(ladder, labels)),
        budget=(),
        leaders=(),
    )


def sentences(ladder: LadderResult) -> list[str]:
    """What the ladder says of each two arms, and what they reach at the largest n."""
    found = sentences_of(ladder.pairs)
    most = [each for each in ladder.rungs if each.per_class == ladder.per_class[-1] and each.mean is not None]
    measure = ladder.measure
    reached = [f"{each.arm} reaches {arm_shown(each, measure)}" for each in most]
    if reached:
        by = "" if measure.metric == ACCURACY.metric else f" by {measure.name}"
        found.append(
            f"With {count(ladder.per_class[-1], 'example')} per class {listed(reached)} on the test data{by}."
        )
    return found


def _shown(score: float | None, measure: Measure) -> str:
    return measure.shown(score or 0.0, measure.digits(None))


def arm_shown(rung: ArmResult, measure: Measure) -> str:
    """What an arm with a finished run reaches at a rung, with the interval."""
    return f"{_shown(rung.mean, measure)} ({_interval(rung, measure)})"


def _interval(rung: ArmResult, measure: Measure) -> str:
    """That of an arm with a finished run."""
    low, high = rung.low or 0.0, rung.high or 0.0
    if not math.isfinite(low):
        return NOT_KNOWN
    return measure.interval((low, high), measure.digits(None))


def warnings(ladder: LadderResult, labels: Labels) -> list[str]:
    """What a reader should know first, most serious first."""
    found = []
    for arm in ladder.arms:
        lost = {each.per_class: each.lost for each in ladder.rungs if each.arm == arm and each.lost}
        if lost:
            where = listed([str(n) for n in lost])
            runs = count(sum(lost.values()), "chosen run")
            found.append(
                f"{arm}: {runs} diverged at n = {where}, so it is not called better there; try a smaller lr."
            )
    draws = max((len(each.draws) for each in ladder.rungs), default=0)
    if ladder.pairs and draws < FEW_DRAWS and ladder.pairs[0].outcome is not Outcome.ONE_DRAW:
        found.append("Two draws say little about others: the band is wide. Use three or more.")
    untuned = [n for n in ladder.per_class if n < LEAST_TUNED]
    if untuned:
        where = listed([str(n) for n in untuned])
        found.append(
            f"n = {where}: fewer than {LEAST_TUNED} examples per class leave none for validation, so the hypers are "
            "those of ladder.default, untuned; the comparison does not count these."
        )
    num = len(labels.classes)
    large = [n for n in ladder.per_class if n * num > LARGE_SHARE * labels.sizes[0]]
    if large:
        where = listed([str(n) for n in large])
        found.append(
            f"n = {where}: more than {LARGE_SHARE:.0%} of all training examples, so draws have many in common and "
            "their spread says less; the bands are widened for it."
        )
    return found


def ladder_trivial(trivial: Trivial, ladder: LadderResult) -> str:
    """What no input says, which is the same with any number of examples."""
    reached = _shown(trivial.scores["test"], ladder.measure)
    return f"Always predicting {trivial.phrase} ({trivial.answer}) reaches {reached}."


def columns(ladder: LadderResult) -> tuple[str, ...]:
    """Titles of the table: n, each arm, of two arms their difference, and which one is better."""
    difference = ("difference",) if len(ladder.pairs) == 1 else ()
    return ("n", *ladder.arms, *difference, "better")


def rows(ladder: LadderResult) -> tuple[tuple[str, ...], ...]:
    """A row for each rung."""
    return tuple(_row(ladder, n) for n in ladder.per_class)


def fall_rows(ladder: LadderResult) -> tuple[tuple[str, ...], ...]:
    """By how much the gap between training and test falls: a row for each arm."""
    return tuple(
        (
            each.arm,
            f"{_points(each.before)} at n = {each.few}",
            f"{_points(each.after)} at n = {each.many}",
            _points(each.size),
            f"{_points(each.low)} to {_points(each.high)}" if each.known else "not known",
        )
        for each in ladder.falls
    )


def _row(ladder: LadderResult, n: int) -> tuple[str, ...]:
    cells = [str(n)]
    for arm in ladder.arms:
        rung = ladder.rung(arm, n)
        if rung is None or rung.mean is None:
            cells.append(NOTHING)
        else:
            cells.append(arm_shown(rung, ladder.measure).replace(" %", ""))
    if len(ladder.pairs) == 1:
        found = next((each for each in ladder.pairs[0].rungs if each.per_class == n), None)
        cells.append(NOTHING if found is None else difference_shown(found, ladder.measure))
    cells.append("untuned" if n < LEAST_TUNED else ladder.best(n) or "")
    return tuple(cells)


def difference_shown(found: Difference, measure: Measure) -> str:
    """Two arms at one rung, with the interval: above 0 where the first one is better."""
    mean, low, high = (
        measure.difference(each, measure.digits(None)) for each in (found.mean, found.low, found.high)
    )
    return f"{mean} ({low} to {high})" if math.isfinite(found.low) else f"{mean} ({NOT_KNOWN})"


def _points(share: float) -> str:
    return signed(f"{100 * share:.1f}")
