"""The verdict: from finished runs to "this rule is better", or "they are not separable"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError, choices
from ravine.verdict import budget, cautions, comparison, words
from ravine.verdict.multiplicity import Decision, decide
from ravine.verdict.outcome import Pair, RuleResult, Verdict
from ravine.verdict.selection import median_rank, ranked
from ravine.verdict.student import Error
from ravine.verdict.trials import Candidate, Scores, Trial, gather
from ravine.verdict.tuning import tuning_error

Array = NDArray[np.float64]
TASKS = ("classification", "regression")
SMALLER_LR = "every run diverged: try a smaller lr"
BROKEN_START = "the loss is not finite before the first step: look at model and data"


def judge(
    trials: Sequence[Trial],
    test: Callable[[str], Scores],
    *,
    task: Literal["classification", "regression"] | str,
    alpha: float = 0.05,
) -> Verdict:
    """Choose hypers on validation, read the test set for the chosen only, and say what can be said.

    Nothing is drawn at random, and the order of the trials plays no part: the same runs give the same
    verdict.

    Args:
        trials: all runs of the study that finished or diverged.
        test: maps a run id to its (n_test,) score per test example, higher is better; called once for each
            run of
            the chosen configurations and for no other.
        task: "classification" (scores 1 or 0) or "regression" (minus squared errors).
        alpha: chance of any false "separable" in the study, in (0, 0.5].

    Returns:
        The verdict; no number in it is NaN.

    Raises:
        InputError: no trials, a run twice, sets of different sizes, an unknown task or an alpha out of
            range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> right = lambda share: (rng.random(500) < share).astype(float)
        >>> def trial(rule, seed, share):
        ...     return Trial(rule=rule, config=rule, hypers={"lr": 0.1}, seed=seed, run=f"{rule}-{seed}",
        ...                  diverged=False, validation=right(share))
        >>> trials = [trial("sgd", s, 0.7) for s in range(5)] + [trial("adam", s, 0.9) for s in range(5)]
        >>> verdict = judge(trials, lambda run: right(0.9 if "adam" in run else 0.7), task="classification")
        >>> verdict.best, verdict.separable
        ('adam', True)
    """
    if task not in TASKS:
        raise InputError(f"task: {task!r} is unknown; {choices(task, TASKS)}")
    if not 0.0 < alpha <= 0.5:
        raise InputError(f"alpha: {alpha!r} is out of range; allowed: 0 < alpha <= 0.5")
    binary = task == "classification"
    candidates = gather(trials)
    finished = [group for group in candidates.values() if any(c.scores for c in group)]
    num_configs = min((len(group) for group in finished), default=0)
    chosen = {group[0].rule: _represented(group, num_configs) for group in finished}
    scores = _read_test(chosen, test)
    results = [
        _result(rule, group, chosen.get(rule), scores.get(rule, {}), alpha, binary)
        for rule, group in candidates.items()
    ]
    results.sort(key=_standing)
    luck = {
        rule: tuning_error(candidates[rule], c, binary=binary) for rule, c in chosen.items() if rule in scores
    }
    pairs = _pairs([r for r in results if r.config is not None], scores, luck, task, alpha)
    num_validation = next((np.shape(t.validation)[0] for t in trials if t.validation is not None), 0)
    num_test = next((len(s) for by_seed in scores.values() for s in by_seed.values()), 0)
    best = results[0] if results[0].config is not None else None
    # What a second stage tried was not drawn beside the first: it follows from its best.
    drawn = budget.curves({r.rule: [c for c in candidates[r.rule] if c.stage == 1] for r in results})
    return Verdict(
        task=task,
        alpha=alpha,
        rules=tuple(results),
        pairs=pairs,
        best=best.rule if best else None,
        separable=bool(pairs) and pairs[0].separable and pairs[0].difference > 0.0,
        num_configs=num_configs,
        num_validation=num_validation,
        num_test=num_test,
        sentences=_sentences(results, pairs, task, alpha, (num_test, num_validation)),
        warnings=tuple(
            cautions.diverged(results)
            + cautions.seeds(pairs, results, task)
            + cautions.budgets(results, num_configs)
            + cautions.edges(candidates)
            + cautions.validation(candidates, pairs, num_validation, task)
        ),
        budget=drawn,
        leaders=budget.leaders(drawn),
    )


def _represented(group: Sequence[Candidate], num_configs: int) -> Candidate:
    """The configuration that speaks for a rule; if the median search only diverged, the last that did not."""
    order = [c for c in ranked(group) if c.scores]
    return order[min(median_rank(len(group), num_configs), len(order)) - 1]


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
            if math.isfinite(float(read.sum())):
                scores.setdefault(rule, {})[seed] = read
    return scores


def _result(
    rule: str,
    group: Sequence[Candidate],
    candidate: Candidate | None,
    scores: Mapping[int, Array],
    alpha: float,
    binary: bool,
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
            outcome=BROKEN_START if _broken_at_start(group) else SMALLER_LR,
        )
    order = ranked(group)
    table = np.stack([scores[seed] for seed in sorted(scores)])
    lost = candidate.diverged + len(candidate.scores) - len(scores)
    return RuleResult(
        rule=rule,
        config=candidate.config,
        hypers=candidate.hypers,
        lr=candidate.lr,
        validation=candidate.mean,
        test=float(table.mean()),
        ci=comparison.mean_interval(table, alpha, binary=binary),
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


def _broken_at_start(group: Sequence[Candidate]) -> bool:
    """Whether every run of a rule had no finite loss before its first step: no lr has played a part then."""
    return all(c.broken_at_start and c.broken_at_start == c.diverged and not c.scores for c in group)


def _standing(result: RuleResult) -> tuple[bool, bool, float, float, str]:
    """Sort key, best first: a rule whose chosen hypers lost a run stands below those whose did not."""
    return (
        result.config is None,
        bool(result.outcome),
        -(result.test or 0.0),
        -(result.validation or 0.0),
        result.rule,
    )


def _pairs(
    results: Sequence[RuleResult],
    scores: Mapping[str, Mapping[int, Array]],
    luck: Mapping[str, float],
    task: str,
    alpha: float,
) -> tuple[Pair, ...]:
    """All pairs, in the order of the rules."""
    errors: dict[tuple[str, str], tuple[float, int, Error]] = {}
    p_values: dict[tuple[str, str], float] = {}
    for a, b in combinations(results, 2):
        shared = sorted(set(a.seeds) & set(b.seeds))
        matched = len(shared) > 1
        first = np.stack([scores[a.rule][seed] for seed in (shared if matched else a.seeds)])
        second = np.stack([scores[b.rule][seed] for seed in (shared if matched else b.seeds)])
        error = comparison.difference_error(first, second, matched=matched, binary=task == "classification")
        error = replace(error, example=math.hypot(error.example, luck[a.rule], luck[b.rule]))
        difference = float((first.mean(axis=0) - second.mean(axis=0)).mean())
        flattered = bool(a.outcome and difference > 0.0) or bool(b.outcome and difference < 0.0)
        p_values[a.rule, b.rule] = 1.0 if flattered else comparison.p_value(error, difference)
        errors[a.rule, b.rule] = difference, min(len(first), len(second)), error
    if not errors:
        return ()
    by_rule, best = {r.rule: r for r in results}, results[0].rule
    lead = max(p_values[best, r.rule] if errors[best, r.rule][0] > 0.0 else 1.0 for r in results[1:])
    return tuple(
        _pair(by_rule[a], by_rule[b], *errors[a, b], p_values[a, b], decision, alpha, task)
        for (a, b), decision in decide(p_values, best, lead, len(results), alpha).items()
    )


def _pair(
    first: RuleResult,
    second: RuleResult,
    difference: float,
    num_seeds: int,
    error: Error,
    p: float,
    decision: Decision,
    alpha: float,
    task: str,
) -> Pair:
    level = alpha / decision.factor
    half = comparison.width(error, level)
    most = 1.0 if task == "classification" else math.inf  # no two accuracies are further apart
    needed = None
    if not decision.separable and difference != 0.0:
        needed = comparison.seeds_needed(error, difference, num_seeds, alpha / decision.reach)
    if decision.separable:
        outcome = f"separable: {(first if difference > 0.0 else second).rule} is better"
    elif num_seeds < 2:
        outcome = "not separable: with a single seed luck cannot be told from skill"
    elif p == 1.0 and (first.outcome or second.outcome):
        lossy = first if first.outcome else second
        outcome = f"not separable: {lossy.rule} leads only by its surviving runs ({lossy.outcome})"
    else:
        outcome = f"not separable with {num_seeds} seeds"
    return Pair(
        first=first.rule,
        second=second.rule,
        difference=difference,
        ci=(max(difference - half, -most), min(difference + half, most)),
        p=p,
        p_corrected=decision.p_corrected,
        separable=decision.separable,
        num_seeds=num_seeds,
        seed_error=max(error.seed, error.floor),
        example_error=error.example,
        seeds_needed=needed,
        outcome=outcome,
    )


def _sentences(
    results: Sequence[RuleResult], pairs: Sequence[Pair], task: str, alpha: float, sizes: tuple[int, int]
) -> tuple[str, str]:
    finished = [r for r in results if r.config is not None]
    if not finished:
        runs = words.many(sum(r.num_runs for r in results), "run")
        opening = f"Every run diverged ({runs}), so there is no result to compare."
        if all(r.outcome == BROKEN_START for r in results):
            return opening, f"No lr can help: {BROKEN_START}."
        return opening, "Try smaller learning rates."
    level = f"{100 * (1 - alpha):.3g} %"
    second = finished[1] if len(finished) > 1 else None
    opening = words.first_sentence(finished[0], second, task, level)
    if not pairs:
        why = "it is the only rule" if len(results) == 1 else "every run of every other rule diverged"
        return opening, f"Nothing is compared: {why}."
    top = pairs[0]
    z = comparison.width(Error(seed=1.0, df=math.inf, floor=0.0, example=0.0), alpha)
    enough = (z + comparison.POWER_Z) * top.example_error < abs(top.difference) or top.difference == 0.0
    return opening, words.second_sentence(top, pairs, task, words.more_seeds(top, *sizes, enough))
