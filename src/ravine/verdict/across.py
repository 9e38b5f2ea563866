"""A verdict over several data sets: would one method be better on others like them?

The data sets are the population, so a data set counts once, however many seeds and examples it has. Let d[k] be the
difference of two methods on data set k: of their mean scores, or where scores are losses above zero the logarithm of
their ratio, since the loss of one data set has another unit than that of the next. The spread of the d[k] contains
all that makes them differ, seeds and test examples included; it is never taken to be smaller than what the verdicts on
single data sets know of these. Two tests must agree before anything is called better over data sets:

- a t of the mean of the d[k], which gives the interval;
- the exact test of signs (`flips.py`), which needs no normal distribution. Few data sets cannot pass it, and that is as
  it should be: a difference that goes one way on all of three data sets does so by chance in one case of four.

Pairs are decided together as rules are (`multiplicity.py`). Ranks and profiles describe; nothing is decided by them.

A method's lead on a data set where it lost a run counts as none. Data sets on which a method has no result are left
out, and a method all of whose runs diverged on one of them is called better than no other.

Sources: W. S. Gosset, 1908; R. A. Fisher, 1935; J. Demšar, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ravine.verdict import across_words as words
from ravine.verdict import planning
from ravine.verdict.comparison import p_value, width
from ravine.verdict.flips import flip_p, least_num
from ravine.verdict.measure import Measure
from ravine.verdict.multiplicity import Decision, decide
from ravine.verdict.outcome import Pair, RuleResult, Verdict
from ravine.verdict.own_interval import mean_interval
from ravine.verdict.profile import Profile, profile_of
from ravine.verdict.ranks import Ranks, ranks_of
from ravine.verdict.student import Error

Array = NDArray[np.float64]
_MOST = 700.0  # of a logarithm: exp of more is beyond floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two methods on each data set, beside what `Pair` says of them.

    Args:
        first, second: names.
        differences: first minus second, by data set; of losses the share by which the first's is lower.
        flips: p-value of the exact test of signs; None with more than 20 data sets.
        better, worse: on how many data sets the first is.
        surely: on how many data sets, by their own verdicts, the first is better for sure, and worse for sure.
    """

    first: str
    second: str
    differences: Mapping[str, float]
    flips: float | None
    better: int
    worse: int
    surely: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Across:
    """What several data sets say together.

    Args:
        verdict: over data sets: of each method its mean and the interval of that, of each pair its mean difference.
            What counts seeds elsewhere (`num_seeds`, `seeds_needed`) counts data sets. Of losses a method's score
            is how many times the loss of the best method it has, in the geometric mean over data sets, and a
            difference is the share by which the first's loss is lower.
        datasets: those that count: all methods have a result on them.
        left_out: the others, each with the methods that it lacks.
        scores: mean test score, higher is better, by data set and method.
        contrasts: of the pairs of the verdict, in the same order.
        ratio: differences are those of losses by their ratio.
        ranks: of the methods in the order of the verdict; None for fewer than two data sets or methods.
        profile: performance profiles; None where there are no ranks.
    """

    verdict: Verdict
    datasets: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]
    scores: Mapping[str, Mapping[str, float]]
    contrasts: tuple[Contrast, ...]
    ratio: bool
    ranks: Ranks | None
    profile: Profile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Two methods before the decision; differences on the scale on which they are averaged."""

    first: str
    second: str
    differences: Array
    mean: float
    error: Error
    flips: float | None
    leads: bool  # it is the first's lead, or the second's, that counts for nothing

    @property
    def p(self) -> float:
        return 1.0 if self.leads else max(p_value(self.error, self.mean), self.flips or 0.0)


def judge_across(verdicts: Mapping[str, Verdict], *, measure: Measure, alpha: float) -> Across:
    """Judge methods over data sets.

    Args:
        verdicts: of each data set, on the same methods.
        measure: what all scores measure.
        alpha: chance of any false "separable".
    """
    results = {name: {rule.rule: rule for rule in each.rules} for name, each in verdicts.items()}
    methods = sorted({method for rules in results.values() for method in rules})
    left_out = {
        name: tuple(m for m in methods if m not in rules or rules[m].test is None)
        for name, rules in results.items()
    }
    left_out = {name: lacking for name, lacking in left_out.items() if lacking}
    datasets = tuple(name for name in results if name not in left_out)
    failed = {m for name, some in left_out.items() for m in some if m in results[name]}
    table = np.array([[results[d][m].test for m in methods] for d in datasets]).reshape(-1, len(methods))
    ratio = measure.loss and len(datasets) > 0 and bool((table < 0.0).all())
    values = -np.log(-table) if ratio else table
    mean = values.mean(axis=0) if len(datasets) else np.zeros(len(methods))
    order = sorted(range(len(methods)), key=lambda m: (methods[m] in failed, -mean[m], methods[m]))
    table, values, mean = table[:, order], values[:, order], mean[order]
    methods = [methods[place] for place in order]
    shown = replace(
        measure,
        name=f"{measure.name}, as a multiple of the best" if ratio else measure.name,
        short="× the best" if ratio else measure.short,
        by_example=False,
        binary=False,
    )
    compared = []
    if len(datasets) > 1:
        compared = [
            _compare((a, b), datasets, verdicts, values, methods, ratio=ratio, failed=failed)
            for a, b in combinations(range(len(methods)), 2)
        ]
    pairs = _decided(compared, methods, alpha, math.inf if ratio else measure.most, ratio=ratio)
    rules = tuple(
        _method(method, values[:, place], values, shown, alpha, [results[d] for d in results], ratio=ratio)
        for place, method in enumerate(methods)
    )
    contrasts = tuple(_contrast(each, datasets, verdicts, ratio=ratio) for each in compared)
    ranked = len(datasets) > 1 and len(methods) > 1
    about = words.About(
        measure=measure,
        alpha=alpha,
        ratio=ratio,
        datasets=datasets,
        left_out=left_out,
        failed=tuple(sorted(failed)),
        lost={m: tuple(d for d in datasets if results[d][m].outcome) for m in methods},
        least=least_num(alpha / (1 if len(methods) < 3 else 2)),
        rules=rules,
        pairs=pairs,
        tallies=tuple((each.better, each.worse) for each in contrasts),
        weights=tuple(_heaviest(each.differences, datasets) for each in compared),
    )
    return Across(
        verdict=Verdict(
            measure=shown,
            alpha=alpha,
            noun=next(iter(verdicts.values())).noun,
            rules=rules,
            pairs=pairs,
            best=methods[0] if len(datasets) else None,
            separable=bool(pairs) and pairs[0].separable and pairs[0].difference > 0.0,
            num_configs=1,
            num_validation=0,
            num_test=0,
            sentences=words.answer(about),
            warnings=tuple(words.cautions(about)),
            budget=(),
            leaders=(),
        ),
        datasets=datasets,
        left_out=left_out,
        scores={
            d: {m: float(rule.test) for m, rule in rules_of.items() if rule.test is not None}
            for d, rules_of in results.items()
        },
        contrasts=contrasts,
        ratio=ratio,
        ranks=ranks_of(table, alpha) if ranked else None,
        profile=profile_of(table, methods, measure) if ranked else None,
    )


def _compare(
    places: tuple[int, int],
    datasets: Sequence[str],
    verdicts: Mapping[str, Verdict],
    values: Array,
    methods: Sequence[str],
    *,
    ratio: bool,
    failed: set[str],
) -> _Compared:
    first, second = (methods[place] for place in places)
    differences = values[:, places[0]] - values[:, places[1]]
    known = []
    for k, name in enumerate(datasets):
        outcomes = {rule.rule: rule.outcome for rule in verdicts[name].rules}
        ahead = first if differences[k] > 0.0 else second
        if outcomes[ahead]:
            differences[k] = 0.0  # a lead of the surviving runs
        pair = verdicts[name].pair(first, second)
        assert pair is not None, "both have a result on this data set"
        unit = math.exp(-0.5 * float(values[k, places[0]] + values[k, places[1]])) if ratio else 1.0
        known.append(math.hypot(pair.seed_error, pair.example_error) / unit)
    num = len(datasets)
    mean = float(differences.mean())
    return _Compared(
        first=first,
        second=second,
        differences=differences,
        mean=mean,
        error=Error(
            seed=float(differences.std(ddof=1)) / math.sqrt(num),
            df=num - 1.0,
            floor=math.hypot(*known) / num,
            example=0.0,
        ),
        flips=flip_p(differences),
        leads=(first if mean > 0.0 else second) in failed,
    )


def _decided(
    compared: Sequence[_Compared], methods: Sequence[str], alpha: float, most: float, *, ratio: bool
) -> tuple[Pair, ...]:
    if not compared:
        return ()
    p_values = {(each.first, each.second): each.p for each in compared}
    leads = [each.p if each.mean > 0.0 else 1.0 for each in compared if each.first == methods[0]]
    decisions = decide(p_values, methods[0], max(leads), len(methods), alpha)
    return tuple(
        _pair(each, decisions[each.first, each.second], alpha, most, ratio=ratio) for each in compared
    )


def _pair(each: _Compared, decision: Decision, alpha: float, most: float, *, ratio: bool) -> Pair:
    half = width(each.error, alpha / decision.factor)
    low, high = max(each.mean - half, -most), min(each.mean + half, most)
    if not decision.separable:  # the exact test may see less than the t
        low, high = min(low, 0.0), max(high, 0.0)
    shown = _lower if ratio else float
    return Pair(
        first=each.first,
        second=each.second,
        difference=shown(each.mean),
        ci=(shown(low), shown(high)),
        p=each.p,
        p_corrected=decision.p_corrected,
        separable=decision.separable,
        num_seeds=len(each.differences),
        seed_error=max(each.error.seed, each.error.floor),
        example_error=0.0,
        reach=half,
        detectable=planning.detectable(each.error, alpha / decision.factor),
        seeds_needed=None if decision.separable or each.leads else _needed(each, decision, alpha),
        examples_suffice=True,
        outcome=words.outcome(each.first, each.second, each.mean, len(each.differences), decision.separable),
    )


def _needed(each: _Compared, decision: Decision, alpha: float) -> int | None:
    """Data sets at which a true difference as large as this one would be found four times in five."""
    if each.mean == 0.0:
        return None
    num = len(each.differences)
    for factor in (decision.reach, decision.factor):
        level = alpha / factor
        needed = planning.seeds_needed(each.error, lambda _: 0.0, each.mean, num, level)
        if needed is None:
            return None
        needed = max(needed, least_num(level))
        if needed > num:
            return needed
    return None


def _contrast(
    each: _Compared, datasets: Sequence[str], verdicts: Mapping[str, Verdict], *, ratio: bool
) -> Contrast:
    sure = [0, 0]
    for name in datasets:
        pair = verdicts[name].pair(each.first, each.second)
        if pair is not None and pair.separable:
            ahead = pair.first if pair.difference > 0.0 else pair.second
            sure[ahead != each.first] += 1
    shown = _lower if ratio else float
    return Contrast(
        first=each.first,
        second=each.second,
        differences={d: shown(value) for d, value in zip(datasets, each.differences.tolist(), strict=True)},
        flips=each.flips,
        better=int((each.differences > 0.0).sum()),
        worse=int((each.differences < 0.0).sum()),
        surely=(sure[0], sure[1]),
    )


def _method(
    method: str,
    own: Array,
    values: Array,
    measure: Measure,
    alpha: float,
    results: Sequence[Mapping[str, RuleResult]],
    *,
    ratio: bool,
) -> RuleResult:
    """A method's mean over data sets; of losses how many times the least one it has."""
    there = [rules[method] for rules in results if method in rules]
    if ratio:
        own = own - values.max(axis=1)
    test: float | None = None
    ci: tuple[float, float] | None = None
    if len(own):
        mean = float(own.mean())
        low = high = mean
        if len(own) > 1:
            low, high = mean_interval(
                own[:, None],
                alpha,
                binary=False,
                by_example=False,
                share=measure.percent,
                loss=ratio or measure.loss,
            )
        test = -math.exp(-mean) if ratio else mean
        ci = (-math.exp(min(-low, _MOST)), -math.exp(-min(high, 0.0))) if ratio else (low, high)
    return RuleResult(
        rule=method,
        config="" if len(own) else None,
        hypers={},
        lr=None,
        validation=None,
        test=test,
        ci=ci if len(own) > 1 else None,
        num_configs=max((rule.num_configs for rule in there), default=0),
        num_runs=sum(rule.num_runs for rule in there),
        num_diverged=sum(rule.num_diverged for rule in there),
        seeds=(),
        runs=(),
        rank=0,
        best_config=None,
        best_validation=None,
        outcome="",
    )


def _heaviest(differences: Array, datasets: Sequence[str]) -> tuple[str, float]:
    """The data set with the largest share of the sum of squares, and that share."""
    squares = differences**2
    place = int(squares.argmax())
    total = float(squares.sum())
    return datasets[place], float(squares[place]) / total if total > 0.0 else 0.0


def _lower(difference: float) -> float:
    """A difference of logarithms as the share by which the first's loss is lower."""
    return -math.expm1(min(-difference, _MOST))
