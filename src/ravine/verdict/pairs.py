"""Every two rules compared on the test set, and decided together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ravine.verdict import comparison, planning
from ravine.verdict.measure import Measure
from ravine.verdict.multiplicity import Decision, decide
from ravine.verdict.outcome import Gain, Pair, RuleResult
from ravine.verdict.own_interval import has_spread
from ravine.verdict.student import KNOWN, Error
from ravine.verdict.tuning import Luck

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Two rules before the decision; `leads` is the rule whose surviving runs lead, where that counts for nothing.

    `same`: runs of one are runs of the other too. `known`: something is known of the error, which nothing is of two
    single scores, nor of seeds that are all alike.
    """

    first: RuleResult
    second: RuleResult
    difference: float
    num_seeds: int
    error: Error  # without the luck of tuning
    luck: Callable[[float], float]
    leads: RuleResult | None
    same: bool
    known: bool

    @property
    def whole(self) -> Error:
        """The law of the error with the luck of tuning."""
        return replace(self.error, example=math.hypot(self.error.example, self.luck(1.0)))

    @property
    def p(self) -> float:
        return (
            1.0
            if self.leads or self.same or not self.known
            else comparison.p_value(self.whole, self.difference)
        )

    @property
    def undecided(self) -> str:
        """Why nothing can be said of the two, whatever the numbers; empty where something can."""
        if self.same:
            return "their chosen runs are the same"
        if self.leads:
            return f"{self.leads.rule} leads only by its surviving runs ({self.leads.outcome})"
        if self.num_seeds < 2:
            return "with a single seed, luck cannot be told from skill"
        return "" if self.known else "the seeds of each are all alike, so nothing is known of luck"


def all_pairs(
    results: Sequence[RuleResult],
    scores: Mapping[str, Mapping[int, Array]],
    lucks: Mapping[str, Luck],
    *,
    measure: Measure,
    alpha: float,
) -> tuple[Pair, ...]:
    """All pairs of rules that have a result.

    Args:
        results: best first.
        scores: test scores by rule and seed.
        lucks: of each rule's tuning.
        measure: what the scores measure.
        alpha: chance of any false "separable".

    Returns:
        In the order of the rules.
    """
    if len(results) < 2:
        return ()
    compared = {
        (a.rule, b.rule): _compare(a, b, scores, lucks, measure=measure) for a, b in combinations(results, 2)
    }
    p_values = {names: pair.p for names, pair in compared.items()}
    best = results[0].rule
    lead = max(p_values[n] if c.difference > 0.0 else 1.0 for n, c in compared.items() if best in n)
    decisions = decide(p_values, best, lead, len(results), alpha)
    return tuple(
        _decided(compared[names], decision, alpha, measure.most) for names, decision in decisions.items()
    )


def gains_over(
    baseline: str,
    results: Sequence[RuleResult],
    scores: Mapping[str, Mapping[int, Array]],
    lucks: Mapping[str, Luck],
    *,
    measure: Measure,
    alpha: float,
) -> tuple[Gain, ...]:
    """What all others gained over one rule: a question of its own, with as many comparisons as there are others.

    Args:
        baseline: the one.
        results, scores, lucks, measure: as in `all_pairs`.
        alpha: chance of any false gain or loss.

    Returns:
        The largest gain first; () where the baseline has no result.
    """
    base = next((each for each in results if each.rule == baseline), None)
    others = [each for each in results if each.rule != baseline]
    if base is None:
        return ()
    found = []
    for each in others:
        pair = _compare(each, base, scores, lucks, measure=measure)
        half = comparison.width(pair.whole, alpha / len(others))
        low, high = _interval(pair, half, measure.most) or (None, None)
        own = scores[each.rule], scores[baseline]
        found.append(
            Gain(
                level=each.rule,
                baseline=baseline,
                difference=pair.difference,
                low=low,
                high=high,
                seeds={
                    seed: float((own[0][seed] - own[1][seed]).mean())
                    for seed in sorted(own[0].keys() & own[1].keys())
                },
            )
        )
    return tuple(sorted(found, key=lambda gain: (-gain.difference, gain.level)))


def _interval(pair: _Compared, half: float, most: float) -> tuple[float, float] | None:
    """An interval, extended to zero where nobody knows how far lost runs, or other seeds, would have taken it back."""
    if not pair.known:
        return None
    low, high = max(pair.difference - half, -most), min(pair.difference + half, most)
    return (min(low, 0.0), max(high, 0.0)) if pair.undecided else (low, high)


def _compare(
    first: RuleResult,
    second: RuleResult,
    scores: Mapping[str, Mapping[int, Array]],
    lucks: Mapping[str, Luck],
    *,
    measure: Measure,
) -> _Compared:
    """On the seeds that both finished; on all seeds of each, unpaired, where they share none or one."""
    shared = sorted(set(first.seeds) & set(second.seeds))
    matched = len(shared) > 1
    a, b = (
        np.stack([scores[r.rule][seed] for seed in (shared if matched else r.seeds)]) for r in (first, second)
    )
    difference = float((a.mean(axis=0) - b.mean(axis=0)).mean())
    ahead = first if difference > 0.0 else second if difference < 0.0 else None
    return _Compared(
        first=first,
        second=second,
        difference=difference,
        num_seeds=min(len(a), len(b)),
        error=comparison.difference_error(
            a, b, matched=matched, binary=measure.binary, by_example=measure.by_example
        ),
        known=has_spread(a, b, by_example=measure.by_example),
        luck=lambda more: math.hypot(lucks[first.rule].error(more), lucks[second.rule].error(more)),
        leads=ahead if ahead is not None and ahead.outcome else None,
        same=not set(first.runs).isdisjoint(second.runs),
    )


def _decided(pair: _Compared, decision: Decision, alpha: float, most: float) -> Pair:
    half = comparison.width(pair.whole, alpha / decision.factor)
    open_question = not (decision.separable or pair.undecided)
    return Pair(
        first=pair.first.rule,
        second=pair.second.rule,
        difference=pair.difference,
        ci=_interval(pair, half, most),
        p=pair.p,
        p_corrected=decision.p_corrected,
        separable=decision.separable,
        num_seeds=pair.num_seeds,
        seed_error=max(pair.error.seed, pair.error.floor),
        example_error=pair.whole.example,
        reach=half,
        detectable=planning.detectable(pair.whole, alpha / decision.factor) if pair.num_seeds > 1 else None,
        seeds_needed=_seeds_needed(pair, decision, alpha) if open_question else None,
        examples_suffice=abs(pair.difference) > _limit(pair, alpha / decision.reach),
        outcome=_outcome(pair, decision),
    )


def _seeds_needed(pair: _Compared, decision: Decision, alpha: float) -> int | None:
    """More than there were: where the most lenient level needs no more, the one at which the pair was decided does."""
    if pair.difference == 0.0:
        return None
    levels = (alpha / decision.reach, alpha / decision.factor)
    for level in levels:
        needed = planning.seeds_needed(pair.error, pair.luck, pair.difference, pair.num_seeds, level)
        if needed is None or needed > pair.num_seeds:
            return needed
    return None


def _limit(pair: _Compared, alpha: float) -> float:
    """The least true difference that any number of seeds would find four times in five."""
    error = math.hypot(pair.error.example, pair.luck(math.inf))
    return (comparison.width(KNOWN, alpha) + planning.POWER_Z) * error


def _outcome(pair: _Compared, decision: Decision) -> str:
    if decision.separable:
        return f"separable: {(pair.first if pair.difference > 0.0 else pair.second).rule} is better"
    if pair.undecided:
        return f"not separable: {pair.undecided}"
    return f"not separable with {pair.num_seeds} seeds"
