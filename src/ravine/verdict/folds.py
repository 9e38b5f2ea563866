"""Procedures compared over folds: each fold tunes anew, and is tested on examples that no other fold of its repeat is.

For fold j, d_j is the difference of the two mean test scores, over the seeds that both finished. The d_j are not
independent: any two folds learn from mostly the same examples, so the variance of their mean is larger than S^2 / J.
Nadeau and Bengio put the correlation at n_test / (n_test + n_train), and then

    variance = (1 / J + n_test / n_train) S^2,    t = mean d / sqrt(variance),    J - 1 degrees of freedom,

where n_train counts all that a procedure sees outside the test fold, what it validates on as well. Folds that agree by
luck have a tiny S^2; but the variance of the mean cannot truly be below what single examples make of it, and where it
is, that takes its place. The degrees of freedom then grow by the factor by which the variance does, as in
`comparison.pooled`.

Sources: C. Nadeau and Y. Bengio, "Inference for the generalization error", 2003; R. R. Bouckaert and E. Frank,
"Evaluating the replicability of significance tests for comparing learning algorithms", 2004 (repeated folds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ravine.verdict import planning
from ravine.verdict.comparison import MOST_DF, example_variance, unit_of
from ravine.verdict.measure import Measure
from ravine.verdict.multiplicity import decide
from ravine.verdict.outcome import Pair, RuleResult
from ravine.verdict.own_interval import accuracy_interval, interval_of_shares
from ravine.verdict.student import Error, half_width, tail

Array = NDArray[np.float64]
Fold = tuple[int, int]  # repeat, fold


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


def corrected_error(differences: Array, ratio: float, floor: float = 0.0) -> Error:
    """The law of the error of a mean over folds.

    Args:
        differences: (J,) one number for each fold, J >= 2.
        ratio: n_test / n_train.
        floor: what its standard error cannot truly be below.

    Example:
        >>> error = corrected_error(np.array([0.01, 0.03, 0.02, 0.0, 0.04]), ratio=0.25)
        >>> round(float(error.seed**2 / np.var([1, 3, 2, 0, 4], ddof=1) * 1e4), 6), error.df
        (0.45, 4.0)
    """
    num = len(differences)
    variance = (1.0 / num + ratio) * float(np.var(differences, ddof=1))
    df = num - 1.0
    scale = max(math.sqrt(variance), floor)
    if 0.0 < variance < scale**2:
        df = min(df * scale**2 / variance, MOST_DF)
    elif not variance > 0.0:
        df = MOST_DF
    return Error(seed=scale, df=df, floor=0.0, example=0.0)


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


def _tables(done: Mapping[Fold, OnFold]) -> dict[Fold, Array]:
    return {at: np.stack(list(each.scores.values())) for at, each in done.items()}


def mean_interval_over_folds(
    scores: Mapping[Fold, Array], ratio: float, measure: Measure, alpha: float, mean: float | None = None
) -> tuple[float, float]:
    """The interval of a mean over folds, over training sets and test examples.

    Args:
        scores: of two folds or more, (S, n) by seed and test example; higher is better.
        ratio: n_test / n_train.
        measure: what the scores measure.
        alpha: the interval has level 1 - alpha.
        mean: what it is the interval of, where folds do not count alike; None: the mean of the folds' means.
    """
    by_example = [each.mean(axis=0) for each in scores.values()]
    means = np.array([each.mean() for each in by_example])
    mean, repeats = float(means.mean()) if mean is None else mean, len({repeat for repeat, _ in scores})
    num = max(1, sum(map(len, by_example)) // repeats)
    floor = math.sqrt(float(np.concatenate(by_example).var()) / num)
    half = half_width(corrected_error(means, ratio, floor), alpha)
    if measure.binary:
        return accuracy_interval(mean, half, num, alpha)
    if measure.heaviest is not None:
        return accuracy_interval(min(max(mean, 0.0), 1.0), half, num / measure.heaviest, alpha)
    if measure.percent:
        return interval_of_shares(mean, half, alpha)
    known = math.inf if measure.best is None else measure.best
    top = 0.0 if all(bool((each <= 0.0).all()) for each in by_example) else known
    return mean - half, max(min(mean + half, top), mean)


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
        half = half_width(each.error, level)
        low, high = max(each.mean - half, -measure.most), min(each.mean + half, measure.most)
        if each.leads:  # nobody knows how far lost runs would have taken it back
            low, high = min(low, 0.0), max(high, 0.0)
        better = names[0] if each.mean > 0.0 else names[1]
        outcome = f"not separable over {each.num} test splits"
        if decision.separable:
            outcome = f"separable: {better} is better"
        elif each.leads:
            outcome = f"not separable: {better} leads only by its surviving runs"
        pairs.append(
            Pair(
                first=names[0],
                second=names[1],
                difference=each.mean,
                ci=(low, high),
                p=each.p,
                p_corrected=decision.p_corrected,
                separable=decision.separable,
                num_seeds=each.num_seeds,
                seed_error=each.error.seed,
                example_error=each.floor,
                reach=half,
                detectable=planning.detectable(each.error, level),
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

    @staticmethod
    def of(
        first: RuleResult,
        second: RuleResult,
        a: Mapping[Fold, OnFold],
        b: Mapping[Fold, OnFold],
        ratio: float,
        measure: Measure,
    ) -> _Difference:
        by_fold = {
            at: _paired(a[at], b[at]) for at in sorted(a.keys() & b.keys()) if a[at].scores and b[at].scores
        }
        if len(by_fold) < 2:
            return _Difference(
                mean=(first.test or 0.0) - (second.test or 0.0),
                error=Error(seed=measure.most if measure.percent else 1e300, df=1.0, floor=0.0, example=0.0),
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
            floor=_floor(by_fold, num_seeds, binary=measure.binary),
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


def error_over_folds(
    differences: Mapping[Fold, Array], ratio: float, num_seeds: int, *, binary: bool
) -> Error:
    """The law of the error of a mean difference over folds.

    Args:
        differences: of two folds or more, (n_test,) that of each example.
        ratio: n_test / n_train.
        num_seeds: how many runs each is a mean over.
        binary: the scores are 1 or 0.
    """
    means = np.array([each.mean() for each in differences.values()])
    return corrected_error(means, ratio, _floor(differences, num_seeds, binary=binary))


def _floor(by_fold: Mapping[Fold, Array], num_seeds: int, *, binary: bool) -> float:
    """Standard error from the choice of examples alone, each of which a repeat tests once."""
    of_repeat = {}
    for repeat in {at[0] for at in by_fold}:
        scores = np.concatenate([each for at, each in by_fold.items() if at[0] == repeat])
        unit = unit_of(scores)
        variance = example_variance(scores / unit, 0.0, num_seeds, binary=binary)
        of_repeat[repeat] = unit * math.sqrt(variance)
    return min(of_repeat.values())


def _mean(each: OnFold) -> float:
    return float(np.mean([scores.mean() for scores in each.scores.values()]))
