"""The verdict: from finished runs to "this rule is better", or "they are not separable"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError
from ravine.verdict import budget, cautions, words
from ravine.verdict.measure import Measure
from ravine.verdict.outcome import RuleResult, Verdict
from ravine.verdict.own_interval import has_spread, mean_interval
from ravine.verdict.pairs import all_pairs, gains_over
from ravine.verdict.selection import ranked, represented
from ravine.verdict.trials import Candidate, Scores, Trial, gather
from ravine.verdict.tuning import Luck, luck_of

Array = NDArray[np.float64]


def judge(
    trials: Sequence[Trial],
    test: Callable[[str], Scores],
    *,
    measure: Measure,
    validated: Measure | None = None,
    tuned: bool = True,
    alpha: float = 0.05,
    noun: str = "rule",
    baseline: str | None = None,
) -> Verdict:
    """Choose hypers on validation, read the test set for the chosen only, and say what can be said.

    Nothing is drawn at random, and the order of the trials plays no part: the same runs give the same
    verdict.

    Args:
        trials: all runs of the study that finished or diverged.
        test: maps a run id to its (n_test,) score per test example, higher is better; called once for each
            run of the chosen configurations and for no other.
        measure: what the scores measure.
        validated: what validation scores measure, if not the same.
        tuned: validation scores are known; False: they are placeholders, and each rule has one configuration.
        alpha: chance of any false "separable" in the study, in (0, 0.5].
        noun: what a trial's `rule` is called in words: "rule", or where something else is compared "model" or "level".
        baseline: the rule that all others are to be compared with too; None: none.

    Returns:
        The verdict; no number in it is NaN.

    Raises:
        InputError: no trials, a run twice, sets of different sizes, or an alpha out of range.

    Example:
        >>> from ravine.verdict.measure import ACCURACY
        >>> rng = np.random.default_rng(0)
        >>> right = lambda share: (rng.random(500) < share).astype(float)
        >>> def trial(rule, seed, share):
        ...     return Trial(rule=rule, config=rule, hypers={"lr": 0.1}, seed=seed, run=f"{rule}-{seed}",
        ...                  diverged=False, validation=right(share))
        >>> trials = [trial("sgd", s, 0.7) for s in range(5)] + [trial("adam", s, 0.9) for s in range(5)]
        >>> verdict = judge(trials, lambda run: right(0.9 if "adam" in run else 0.7), measure=ACCURACY)
        >>> verdict.best, verdict.separable
        ('adam', True)
    """
    if not 0.0 < alpha <= 0.5:
        raise InputError(f"alpha: {alpha!r} is out of range; allowed: 0 < alpha <= 0.5")
    candidates = gather(trials)
    alive = [group for group in candidates.values() if any(c.scores for c in group)]
    num_configs = min((len(group) for group in alive), default=0)
    chosen = {group[0].rule: represented(group, num_configs) for group in alive}
    scores = _read_test(chosen, test)
    by_validation = validated or measure
    lucks = {rule: luck_of(candidates[rule], c, by_validation) for rule, c in chosen.items()}
    results = [
        _result(rule, group, chosen.get(rule), scores.get(rule, {}), lucks.get(rule, Luck()), alpha, measure)
        for rule, group in candidates.items()
    ]
    if not tuned:
        results = [replace(each, validation=None, best_validation=None) for each in results]
    results.sort(key=_standing)
    finished = [r for r in results if r.config is not None]
    pairs = all_pairs(finished, scores, lucks, measure=measure, alpha=alpha)
    num_validation = next((np.shape(t.validation)[0] for t in trials if t.validation is not None), 0)
    num_validation = num_validation if tuned and by_validation.by_example else 0
    num_test = next((len(s) for by_seed in scores.values() for s in by_seed.values()), 0)
    num_test = num_test if measure.by_example else 0
    # What a second stage tried was not drawn beside the first: it follows from its best.
    drawn = budget.curves({r.rule: [c for c in candidates[r.rule] if c.stage == 1] for r in results})
    return Verdict(
        measure=measure,
        alpha=alpha,
        noun=noun,
        rules=tuple(results),
        pairs=pairs,
        best=finished[0].rule if finished else None,
        separable=bool(pairs) and pairs[0].separable and pairs[0].difference > 0.0,
        num_configs=num_configs,
        num_validation=num_validation,
        num_test=num_test,
        sentences=words.answer(results, pairs, measure, alpha, (num_test, num_validation), noun),
        warnings=tuple(
            cautions.examples(measure)
            + cautions.diverged(results)
            + cautions.seeds(pairs, results, measure, noun)
            + cautions.leader(results, pairs, lucks.get(results[0].rule, Luck()).num_close, noun)
            + cautions.budgets(results, num_configs, noun)
            + cautions.edges(candidates)
            + (cautions.validation(candidates, pairs, num_validation, measure, noun) if tuned else [])
        ),
        budget=drawn,
        leaders=budget.leaders(drawn),
        gains=()
        if baseline is None
        else gains_over(baseline, finished, scores, lucks, measure=measure, alpha=alpha),
    )


def _read_test(chosen: Mapping[str, Candidate], test: Callable[[str], Scores]) -> dict[str, dict[int, Array]]:
    """Test scores of the chosen configurations by rule and seed; runs with scores not finite left out."""
    scores: dict[str, dict[int, Array]] = {}
    size: tuple[str, int] | None = None
    for rule, candidate in chosen.items():
        for seed, run in sorted(candidate.runs.items()):
            read = np.asarray(test(run), dtype=np.float64)
            if read.ndim != 1 or len(read) == 0:
                raise InputError(
                    f"test: run {run!r} has scores of shape {read.shape}; allowed: (n_test,), n >= 1"
                )
            size = size or (run, len(read))
            if len(read) != size[1]:
                both = f"{size[0]!r} and {run!r} were tested on {size[1]} and {len(read)}"
                raise InputError(f"test: runs {both} examples; one set is needed")
            if bool(np.isfinite(read).all()):
                scores.setdefault(rule, {})[seed] = read
    return scores


def _result(
    rule: str,
    group: Sequence[Candidate],
    candidate: Candidate | None,
    scores: Mapping[int, Array],
    luck: Luck,
    alpha: float,
    measure: Measure,
) -> RuleResult:
    num_runs = sum(len(c.scores) + c.diverged for c in group)
    num_diverged = sum(c.diverged for c in group)
    if candidate is None or not scores:
        return RuleResult(
            rule=rule,
            config=None,
            hypers={},
            lr=None,
            validation=None,
            test=None,
            ci=None,
            num_configs=len(group),
            num_runs=num_runs,
            num_diverged=num_diverged if candidate is None else num_diverged + len(candidate.scores),
            seeds=(),
            runs=(),
            rank=0,
            best_config=None,
            best_validation=None,
            outcome=words.NO_SCORES if candidate else _why_lost(group),
        )
    order = ranked(group)
    table = np.stack([scores[seed] for seed in sorted(scores)])
    lost = candidate.diverged + len(candidate.scores) - len(scores)
    known = has_spread(table, by_example=measure.by_example)
    return RuleResult(
        rule=rule,
        config=candidate.config,
        hypers=candidate.hypers,
        lr=candidate.lr,
        validation=candidate.mean,
        test=float(table.mean()),
        ci=mean_interval(
            table,
            alpha,
            binary=measure.binary,
            by_example=measure.by_example,
            luck=luck.error(),
            share=measure.percent,
            heaviest=measure.heaviest,
            best=measure.best,
            loss=measure.loss,
        )
        if known
        else None,
        num_configs=len(group),
        num_runs=num_runs,
        num_diverged=num_diverged + len(candidate.scores) - len(scores),
        seeds=tuple(sorted(scores)),
        runs=tuple(candidate.runs[seed] for seed in sorted(scores)),
        rank=order.index(candidate) + 1,
        best_config=order[0].config,
        best_validation=order[0].mean,
        outcome=f"{lost} of {lost + len(scores)} seeds diverged with the chosen hypers" if lost else "",
    )


def _why_lost(group: Sequence[Candidate]) -> str:
    """What to do about a rule of which no run finished."""
    if all(c.broken_at_start and c.broken_at_start == c.diverged and not c.scores for c in group):
        return words.BROKEN_START  # no lr has played a part
    return words.SMALLER_LR if any(c.lr is not None for c in group) else words.OTHER_HYPERS


def _standing(result: RuleResult) -> tuple[bool, bool, float, float, str]:
    """Sort key, best first: a rule whose chosen hypers lost a run comes after those whose did not."""
    return (
        result.config is None,
        bool(result.outcome),
        -(result.test or 0.0),
        -(result.validation or 0.0),
        result.rule,
    )
