"""Numbers and outcomes in plain English: accuracies in %, differences in percentage points.

Labels of rules come from users and are opaque: whoever shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ravine.verdict.outcome import Pair, RuleResult

MOST_SEEDS = "more than 1000 seeds"


def score(value: float, task: str, digits: int) -> str:
    """A score: `97.2 %`, or the mean squared error `0.312`."""
    return f"{100 * value:.{digits}f} %" if task == "classification" else f"{0.0 - value:.{digits}g}"


def gap(value: float, task: str, digits: int) -> str:
    """A difference of scores without its unit: `0.3` percentage points, or of mean squared errors."""
    text = f"{100 * value:.{digits}f}" if task == "classification" else f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) != 0.0 else text.removeprefix("-")


def unit(task: str) -> str:
    """What follows a difference."""
    return " points" if task == "classification" else ""


def digits_for(task: str, ci: tuple[float, float] | None) -> int:
    """Decimals of a percentage, or significant digits of an error, for an interval of this width."""
    if task != "classification":
        return 3
    return 2 if ci is not None and ci[1] - ci[0] < 0.005 else 1


def name(result: RuleResult) -> str:
    """`adam (lr 0.001)`."""
    return result.rule if result.lr is None else f"{result.rule} (lr {result.lr:.3g})"


def interval(ci: tuple[float, float], task: str, digits: int) -> str:
    """`96.1 to 98.0`, smaller number first."""
    if task == "classification":
        return f"{gap(ci[0], task, digits)} to {gap(ci[1], task, digits)}"
    return f"{gap(-ci[1], task, digits)} to {gap(-ci[0], task, digits)}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def many(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def difference(pair: Pair, task: str) -> str:
    """`the difference of 0.3 points has the interval -0.6 to 1.2`."""
    digits = digits_for(task, pair.ci)
    ci = f"{gap(pair.ci[0], task, digits)} to {gap(pair.ci[1], task, digits)}"
    what = "difference" if task == "classification" else "difference in squared error"
    return f"the {what} of {gap(pair.difference, task, digits)}{unit(task)} has the interval {ci}"


def more_seeds(pair: Pair, num_test: int, num_validation: int, examples_suffice: bool) -> str:
    """How many seeds would tell, or why none would."""
    if pair.seeds_needed is not None:
        return f"about {pair.seeds_needed} seeds would tell"
    if examples_suffice:
        return f"{MOST_SEEDS} would be needed for a difference this small"
    sizes = f"{num_test} test and {num_validation} validation examples"
    return f"more seeds alone would not tell, {sizes} are too few for a difference this small"


def first_sentence(best: RuleResult, second: RuleResult | None, task: str, level: str) -> str:
    """Who leads, with which result, and who follows."""
    assert best.test is not None, "the best rule has a result"
    assert best.ci is not None, "a result has an interval"
    digits = digits_for(task, best.ci)
    metric = "test accuracy" if task == "classification" else "test mean squared error"
    if task == "classification":
        reach = f"{name(best)} reaches {score(best.test, task, digits)} {metric}"
    else:
        reach = f"{name(best)} reaches a {metric} of {score(best.test, task, digits)}"
    text = f"{reach}, {level} interval {interval(best.ci, task, digits)}"
    if second is None or second.test is None:
        return text + "."
    return f"{text}; {name(second)} {score(second.test, task, digits)}."


def second_sentence(pair: Pair, pairs: Sequence[Pair], task: str, more: str) -> str:
    """Whether the first two are separable, and from whom else the best is.

    Args:
        pair: the best and the second.
        pairs: all pairs.
        task: classification or regression.
        more: what would tell, for when nothing does yet.
    """
    seeds = many(pair.num_seeds, "seed")
    correction = f" (corrected for {len(pairs)} comparisons)" if len(pairs) > 1 else ""
    others = [p for p in pairs if pair.first in (p.first, p.second) and p is not pair]
    if pair.num_seeds < 2:
        return f"They are not separable: {pair.outcome.removeprefix('not separable: ')}."
    if not pair.separable:
        text = f"They are not separable with {seeds}: {difference(pair, task)}{correction}; {more}"
        apart = [_other(p, pair.first) for p in others if p.separable]
        return f"{text}; {pair.first} is separable from {listed(apart)}." if apart else f"{text}."
    text = f"They are separable with {seeds}: {difference(pair, task)}{correction}"
    open_ones = [_other(p, pair.first) for p in others if not p.separable]
    return f"{text}; {pair.first} is not separable from {listed(open_ones)}." if open_ones else f"{text}."


def _other(pair: Pair, rule: str) -> str:
    return pair.second if pair.first == rule else pair.first
