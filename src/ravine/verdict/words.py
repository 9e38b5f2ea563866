"""The verdict in plain English; `measure` says how a score and a difference are said.

Labels of rules come from users and are opaque: whoever shows them escapes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.messages import count
from ravine.verdict.measure import Measure
from ravine.verdict.outcome import Pair, RuleResult

SMALLER_LR = "every run diverged: try a smaller lr"
OTHER_HYPERS = "every run diverged: try other hypers"
NO_SCORES = "the test scores of its chosen hypers are not finite: check the model and the data"
BROKEN_START = "the loss is not finite before the first step: check the model and the data"


def name(result: RuleResult) -> str:
    """`adam (lr 0.001)`."""
    lr = "" if result.lr is None else f"lr {result.lr:.3g}"
    return f"{result.rule} ({lr})" if lr and result.rule != lr else result.rule


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def answer(
    results: Sequence[RuleResult],
    pairs: Sequence[Pair],
    measure: Measure,
    alpha: float,
    sizes: tuple[int, int],
    noun: str = "rule",
) -> tuple[str, str]:
    """The verdict in two sentences: what was reached, and what that says about the rules.

    Args:
        results: all rules, best first.
        pairs: all pairs of rules that have a result.
        measure: what their scores measure.
        alpha: chance of a false "separable".
        sizes: number of test and of validation examples.
        noun: what a rule is called.
    """
    finished = [r for r in results if r.config is not None]
    if not finished:
        if any(r.outcome == NO_SCORES for r in results):
            return (
                f"No {noun} has a finite test score, so there is nothing to compare.",
                "Check the model and the data.",
            )
        runs = count(sum(r.num_runs for r in results), "run")
        return f"Every run diverged ({runs}), so there is nothing to compare.", _advice(results)
    opening = _reached(finished, measure, f"{100 * (1 - alpha):.3g} %")
    if not pairs:
        why = f"there is only one {noun}" if len(results) == 1 else f"no other {noun} has a result"
        return opening, f"Nothing is compared: {why}."
    return opening, _compared(pairs, measure, sizes)


def _advice(results: Sequence[RuleResult]) -> str:
    outcomes = {r.outcome for r in results}
    if outcomes == {BROKEN_START}:
        return f"No lr can help: {BROKEN_START}."
    return "Try smaller learning rates." if SMALLER_LR in outcomes else "Try other hypers."


def _reached(finished: Sequence[RuleResult], measure: Measure, level: str) -> str:
    """Who leads, with which result, and who follows."""
    best = finished[0]
    assert best.test is not None, "the best rule has a result"
    digits = measure.digits(best.ci)
    result = measure.shown(best.test, digits)
    what = f"{result} test {measure.name}" if measure.percent else f"a test {measure.name} of {result}"
    text = f"{name(best)} reaches {what}"
    if best.ci is not None:
        text += f" ({level} interval {measure.interval(best.ci, digits)})"
    if measure.root and best.test <= 0.0:
        text += f", an {measure.root} of {math.sqrt(0.0 - best.test):.{digits}g}"  # in the target's own unit
    if len(finished) < 2 or finished[1].test is None:
        return f"{text}."
    return f"{text}; {name(finished[1])} reaches {measure.shown(finished[1].test, digits)}."


def _compared(pairs: Sequence[Pair], measure: Measure, sizes: tuple[int, int]) -> str:
    """Whether the first two are separable, and which others are separable from the best.

    A rule that leads by its survivors only, and a single seed, have no number: neither a difference nor seeds.
    """
    pair = pairs[0]
    others = [p for p in pairs[1:] if pair.first in (p.first, p.second)]
    seeds = count(pair.num_seeds, "seed")
    correction = f", corrected for {len(pairs)} comparisons" if len(pairs) > 1 else ""
    if pair.separable:
        assert pair.ci is not None, "it excludes 0"
        first, low, high = pair.first, pair.ci[0], pair.ci[1]
        if pair.difference < 0.0:  # by the seeds they share, though not by all
            first, low, high = pair.second, -pair.ci[1], -pair.ci[0]
        digits = measure.digits(pair.ci)
        size = measure.difference(abs(pair.difference), digits) + (measure.unit or measure.gap)
        text = (
            f"They are separable with {seeds}: {first} is better by {size}"
            f" (interval {measure.difference(low, digits)} to {measure.difference(high, digits)}{correction})"
        )
        left = [_other(p, pair.first) for p in others if not p.separable]
        return f"{text}; {pair.first} is not separable from {listed(left)}." if left else f"{text}."
    if (reason := pair.outcome.removeprefix("not separable: ")) != pair.outcome:
        text = f"They are not separable: {reason}"
    else:
        text = f"They are not separable with {seeds}: {difference(pair, measure, correction)}"
        text += f"; {more_seeds(pair, *sizes)}"
    apart = [_other(p, pair.first) for p in others if p.separable]
    return f"{text}; {pair.first} is separable from {listed(apart)}." if apart else f"{text}."


def difference(pair: Pair, measure: Measure, correction: str) -> str:
    """`the difference is 0.3 points (interval -0.6 to 1.2)`."""
    digits = measure.digits(pair.ci)
    size = f"the difference{measure.gap} is {measure.difference(pair.difference, digits)}{measure.unit}"
    if pair.ci is None:
        return size
    low, high = (measure.difference(end, digits) for end in pair.ci)
    return f"{size} (interval {low} to {high}{correction})"


def more_seeds(pair: Pair, num_test: int, num_validation: int) -> str:
    """How many seeds would tell, or why no number is given."""
    if pair.seeds_needed is not None:
        return f"about {pair.seeds_needed} seeds would tell whether it is real"
    if pair.difference == 0.0:
        return "no number of seeds is advised for a difference of zero"
    if pair.examples_suffice:
        return "more than 1,000 seeds would be needed for a difference this small"
    sizes = listed(
        [
            count(number, f"{part} example")
            for number, part in ((num_test, "test"), (num_validation, "validation"))
            if number
        ]
        or ["the examples"]
    )
    return f"more seeds alone would not tell, because {sizes} are too few for a difference this small"


def _other(pair: Pair, rule: str) -> str:
    return pair.second if pair.first == rule else pair.first
