"""Procedures compared over folds: each fold tunes anew, and is tested on examples that no other fold of its repeat is.

A rule's result on a fold is its mean test score over seeds; two rules are paired by fold and seed. How the error of a
mean over folds comes about is in `fold_errors.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ravine.verdict import planning
from ravine.verdict.fold_errors import (
    Array,
    Fold,
    error_over_folds,
    floor_over_folds,
    mean_interval_over_folds,
)
from ravine.verdict.measure import Measure
from ravine.verdict.multiplicity import decide
from ravine.verdict.outcome import Gain, Pair, RuleResult
from ravine.verdict.student import Error, half_width, tail


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnFold:
    """What a rule reached on one fold, with the configuration that this fold's validation chose.

    Args:
        rule: label.
        repeat, fold: which fold.
        scores: by seed, (n_test,) score per test example of the fold, whose mean is its result; higher is better.
        validation: mean validation score; None where no run finished.
        lost: how many of its chosen runs diverged.
    """

    rule: str
    repeat: int
    fold: int
    scores: Mapping[int, Array]
    validation: float | None
    lost: int = 0


def over_folds(
    tested: Sequence[OnFold], ratio: float, measure: Measure, alpha: float
) -> tuple[tuple[RuleResult, ...], tuple[Pair, ...]]:
    """Each rule's result over all folds, best first, and all pairs, decided together.

    Args:
        tested: rules on folds.
        ratio: n_test / n_train.
        measure: what the scores measure.
        alpha: chance of any false "separable".
    """
    by_rule: dict[str, dict[Fold, OnFold]] = {}
    for each in tested:
        by_rule.setdefault(each.rule, {})[each.repeat, each.fold] = each
    most = max(len(folds) for folds in by_rule.values())
    results = [_result(rule, folds, most, ratio, measure, alpha) for rule, folds in sorted(by_rule.items())]
    results.sort(key=lambda each: (each.config is None, bool(each.outcome), -(each.test or 0.0), each.rule))
    finished = [each for each in results if each.config is not None]
    return tuple(results), _pairs(finished, by_rule, ratio, measure, alpha)


def _result(
    rule: str, folds: Mapping[Fold, OnFold], most: int, ratio: float, measure: Measure, alpha: float
) -> RuleResult:
    done = {at: each for at, each in folds.items() if each.scores}
    lost = sum(each.lost for each in folds.values())
    runs = lost + sum(len(each.scores) for each in folds.values())
    means = np.array([_mean(each) for each in done.values()])
    seeds = sorted(set.intersection(*(set(each.scores) for each in done.values()))) if done else []
    outcome = f"{lost} of {runs} chosen runs diverged" if lost else ""
    if done and len(done) < most:
        outcome = f"no run finished in {most - len(done)} of {most} folds"
    validation = [each.validation for each in done.values() if each.validation is not None]
    return RuleResult(
        rule=rule,
        config=f"folds of {rule}" if done else None,
        hypers={},
        lr=None,
        validation=sum(validation) / len(validation) if validation else None,
        test=float(means.mean()) if done else None,
        ci=mean_interval_over_folds(_tables(done), ratio, measure, alpha) if len(done) > 1 else None,
        num_configs=0,
        num_runs=runs,
        num_diverged=lost,
        seeds=tuple(seeds),
        runs=(),
        rank=1 if done else 0,
        best_config=None,
        best_validation=None,
        outcome=outcome if done else "every chosen run diverged",
    )


def gains_over_folds(
    baseline: str,
    results: Sequence[RuleResult],
    tested: Sequence[OnFold],
    ratio: float,
    measure: Measure,
    alpha: float,
) -> tuple[Gain, ...]:
    """What all others gained over one rule: a question of its own, with as many comparisons as there are others.

    Args:
        baseline: the one.
        results: of `over_folds`.
        tested, ratio, measure: as there.
        alpha: chance of any false gain or loss.

    Returns:
        The largest gain first; () where the baseline has no result.
    """
    by_rule: dict[str, dict[Fold, OnFold]] = {}
    for on in tested:
        by_rule.setdefault(on.rule, {})[on.repeat, on.fold] = on
    finished = {each.rule: each for each in results if each.config is not None}
    base = finished.pop(baseline, None)
    if base is None:
        return ()
    found = []
    for each in finished.values():
        own = by_rule[each.rule], by_rule[baseline]
        difference = _Difference.of(each, base, *own, ratio, measure)
        half = difference.half(alpha / len(finished))
        low, high = difference.interval(half, measure.most) or (None, None)
        found.append(
            Gain(
                level=each.rule,
                baseline=baseline,
                difference=difference.mean,
                low=low,
                high=high,
                seeds={},
                folds={at: float(one.mean()) for at, one in _by_fold(*own).items()},
            )
        )
    return tuple(sorted(found, key=lambda gain: (-gain.difference, gain.level)))


def _by_fold(a: Mapping[Fold, OnFold], b: Mapping[Fold, OnFold]) -> dict[Fold, Array]:
    """The mean difference of each example of the folds in which both have a run that finished."""
    return {at: _paired(a[at], b[at]) for at in sorted(a.keys() & b.keys()) if a[at].scores and b[at].scores}


def _tables(done: Mapping[Fold, OnFold]) -> dict[Fold, Array]:
    return {at: np.stack(list(each.scores.values())) for at, each in done.items()}


def _pairs(
    results: Sequence[RuleResult],
    by_rule: Mapping[str, Mapping[Fold, OnFold]],
    ratio: float,
    measure: Measure,
    alpha: float,
) -> tuple[Pair, ...]:
    if len(results) < 2:
        return ()
    found = {
        (a.rule, b.rule): _Difference.of(a, b, by_rule[a.rule], by_rule[b.rule], ratio, measure)
        for a, b in combinations(results, 2)
    }
    p_values = {names: each.p for names, each in found.items()}
    best = results[0].rule
    lead = max(p_values[names] if each.mean > 0.0 else 1.0 for names, each in found.items() if best in names)
    decisions = decide(p_values, best, lead, len(results), alpha)
    pairs = []
    for names, decision in decisions.items():
        each, level = found[names], alpha / decision.factor
        half = each.half(level)
        better = names[0] if each.mean > 0.0 else names[1]
        outcome = f"not separable over {each.num} test splits"
        if each.num < 2:
            outcome = "not separable: fewer than two folds have runs of both"
        elif decision.separable:
            outcome = f"separable: {better} is better"
        elif each.leads:
            outcome = f"not separable: {better} leads only by its surviving runs"
        pairs.append(
            Pair(
                first=names[0],
                second=names[1],
                difference=each.mean,
                ci=each.interval(half, measure.most),
                p=each.p,
                p_corrected=decision.p_corrected,
                separable=decision.separable,
                num_seeds=each.num_seeds,
                seed_error=each.error.seed,
                example_error=each.floor,
                reach=half,
                detectable=planning.detectable(each.error, level) if each.num > 1 else None,
                seeds_needed=None,
                examples_suffice=False,
                outcome=outcome,
            )
        )
    return tuple(pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """Two rules over the folds that both have."""

    mean: float
    error: Error
    floor: float
    num: int
    num_seeds: int
    leads: bool  # the one ahead has lost runs

    @property
    def p(self) -> float:
        return 1.0 if self.leads else min(tail(self.error, self.mean), 1.0)

    def half(self, alpha: float) -> float:
        """Half the width of the interval at level 1 - alpha."""
        return half_width(self.error, alpha) if self.num > 1 else math.inf

    def interval(self, half: float, most: float) -> tuple[float, float] | None:
        """Of the mean; None where fewer than two folds have both.

        Args:
            half: half of its width.
            most: no two results are further apart.
        """
        if self.num < 2:
            return None
        low, high = max(self.mean - half, -most), min(self.mean + half, most)
        # Nobody knows how far lost runs would have taken it back.
        return (min(low, 0.0), max(high, 0.0)) if self.leads else (low, high)

    @staticmethod
    def of(
        first: RuleResult,
        second: RuleResult,
        a: Mapping[Fold, OnFold],
        b: Mapping[Fold, OnFold],
        ratio: float,
        measure: Measure,
    ) -> _Difference:
        by_fold = _by_fold(a, b)
        if len(by_fold) < 2:
            return _Difference(
                mean=(first.test or 0.0) - (second.test or 0.0),
                error=Error(seed=math.inf, df=1.0, floor=0.0, example=0.0),
                floor=0.0,
                num=len(by_fold),
                num_seeds=1,
                leads=True,
            )
        means = np.array([each.mean() for each in by_fold.values()])
        num_seeds = min(len(a[at].scores.keys() & b[at].scores.keys()) or 1 for at in by_fold)
        mean = float(means.mean())
        ahead = first if mean > 0.0 else second if mean < 0.0 else None
        return _Difference(
            mean=mean,
            error=error_over_folds(by_fold, ratio, num_seeds, binary=measure.binary),
            floor=floor_over_folds(by_fold, num_seeds, binary=measure.binary),
            num=len(by_fold),
            num_seeds=num_seeds,
            leads=ahead is not None and bool(ahead.outcome),
        )


def _paired(a: OnFold, b: OnFold) -> Array:
    """(n_test,) mean difference of each example: over the seeds that both finished; over all, where they share none."""
    shared = a.scores.keys() & b.scores.keys()
    first, second = (
        np.mean([each.scores[seed] for seed in sorted(shared or each.scores)], axis=0) for each in (a, b)
    )
    found: Array = first - second
    return found


def _mean(each: OnFold) -> float:
    return float(np.mean([scores.mean() for scores in each.scores.values()]))
