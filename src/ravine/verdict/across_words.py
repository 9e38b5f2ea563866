"""A verdict over data sets in plain English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.messages import count
from ravine.verdict.measure import Measure
from ravine.verdict.outcome import Pair, RuleResult
from ravine.verdict.words import listed

HEAVY = 0.5  # of the sum of squares: more than all other data sets together


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What there is to say; `across.Across` says what the parts are.

    Args:
        measure: of the scores on each data set.
        failed: methods all of whose runs diverged on a data set.
        lost: of each method the data sets on which it lost a run.
        least: data sets without which nothing can be separable.
        tallies: of each pair, on how many data sets the first is better, and worse.
        weights: of each pair, the data set with the largest share of the sum of squares, and that share.
    """

    measure: Measure
    alpha: float
    ratio: bool
    datasets: Sequence[str]
    left_out: Mapping[str, Sequence[str]]
    failed: Sequence[str]
    lost: Mapping[str, Sequence[str]]
    least: int
    rules: Sequence[RuleResult]
    pairs: Sequence[Pair]
    tallies: Sequence[tuple[int, int]]
    weights: Sequence[tuple[str, float]]


def answer(about: About) -> tuple[str, str]:
    """The verdict in two sentences: what was reached, and what that says about the methods."""
    num = len(about.datasets)
    if not num:
        return "No data set has a result of every method.", "Nothing is compared over data sets."
    reached = _reached(about)
    if len(about.rules) < 2:
        return reached, "Nothing is compared: there is only one method."
    if num < 2:
        return (
            reached,
            f"Nothing is compared over data sets: {about.datasets[0]} alone has a result of every method.",
        )
    return reached, _compared(about)


def _reached(about: About) -> str:
    measure, best = about.measure, about.rules[0]
    assert best.test is not None, "there is a data set"
    over = f"over {count(len(about.datasets), 'data set')}"
    following = about.rules[1] if len(about.rules) > 1 else None
    level = f"{100 * (1 - about.alpha):.3g} %"
    if about.ratio:
        text = f"In the geometric mean {over}, {best.rule} has {_times(best.test)} the test {measure.name} of"
        text += " the best method on each"
        if best.ci is not None:
            text += f" ({level} interval {_factor(best.ci[1])} to {_factor(best.ci[0])})"
        if following is not None and following.test is not None:
            text += f"; {following.rule} has {_times(following.test)}"
        return f"{text}."
    digits = measure.digits(best.ci)
    shown = measure.shown(best.test, digits)
    what = f"{shown} test {measure.name}" if measure.percent else f"a test {measure.name} of {shown}"
    text = f"In the mean {over}, {best.rule} reaches {what}"
    if best.ci is not None:
        text += f" ({level} interval {measure.interval(best.ci, digits)})"
    if following is not None and following.test is not None:
        text += f"; {following.rule} reaches {measure.shown(following.test, digits)}"
    return f"{text}."


def _factor(score: float) -> str:
    return f"{-score:.2f}" if score > -10.0 else f"{-score:.3g}"


def _times(score: float) -> str:
    return f"{_factor(score)} times"


def _compared(about: About) -> str:
    pair, (better, worse) = about.pairs[0], about.tallies[0]
    over = f"over {count(len(about.datasets), 'data set')}"
    correction = f", corrected for {len(about.pairs)} comparisons" if len(about.pairs) > 1 else ""
    others = [p for p in about.pairs[1:] if p.first == pair.first]
    size, interval = _size(about, pair)
    if pair.separable:
        text = (
            f"They are separable {over}: {size} (interval {interval}{correction}), and {pair.first} is better on"
            f" {better} of them"
        )
        left = [p.second for p in others if not p.separable]
        return f"{text}; {pair.first} is not separable from {listed(left)}." if left else f"{text}."
    if pair.first in about.failed:
        text = f"They are not separable: {pair.first} leads where it finished, and has no result on another data set"
    else:
        text = f"They are not separable {over}: {size} (interval {interval}{correction}); {pair.first} is better on"
        text += f" {better} and worse on {worse}; {_more(about, pair)}"
    apart = [p.second for p in others if p.separable]
    return f"{text}; {pair.first} is separable from {listed(apart)}." if apart else f"{text}."


def _size(about: About, pair: Pair) -> tuple[str, str]:
    """How large a difference is, as a clause, and its interval."""
    measure = about.measure
    assert pair.ci is not None, "several data sets have an interval"
    if about.ratio:
        low, high = (f"{100 * end:.3g}".replace("-", "−") for end in pair.ci)
        verb = "lower" if pair.difference >= 0.0 else "higher"
        size = f"the {measure.name} of {pair.first} is {100 * abs(pair.difference):.3g} % {verb}"
        return size, f"{low} to {high} %"
    digits = measure.digits(pair.ci)
    low, high = (measure.difference(end, digits) for end in pair.ci)
    size = measure.difference(pair.difference, digits) + measure.unit
    if pair.separable:
        return f"{pair.first} is better by {size}{'' if measure.unit else measure.gap}", f"{low} to {high}"
    return f"the difference{measure.gap} is {size}", f"{low} to {high}"


def _more(about: About, pair: Pair) -> str:
    """Why it is not separable, or how many data sets would tell."""
    num = len(about.datasets)
    if num < about.least:
        chance = 100 * 2.0 ** (1 - num)
        return (
            f"{num} are too few: of two equal methods one leads on all of them in {chance:.3g} % of cases, and"
            f" nothing can be separable with fewer than {about.least}"
        )
    if pair.seeds_needed is not None:
        return f"about {pair.seeds_needed} data sets like these would tell whether it is real"
    if pair.difference == 0.0:
        return "no number of data sets is advised for a difference of zero"
    return "more than 1,000 data sets would be needed for a difference this small beside such a spread"


def cautions(about: About) -> list[str]:
    """What a reader should know before believing it, most serious first."""
    notes = []
    if about.left_out:
        lacking = "; ".join(f"{name} lacks {listed(some)}" for name, some in about.left_out.items())
        notes.append(
            f"Left out of the verdict over data sets, which needs a result of every method: {lacking}."
        )
    if about.failed:
        notes.append(
            f"{listed(about.failed)}: no run finished on one of the data sets left out, so it is called better than no"
            " other over data sets."
        )
    for method, some in about.lost.items():
        if some:
            notes.append(
                f"{method}: lost runs on {listed(some)}; where its surviving runs lead there, that counts as no lead."
            )
    if about.pairs and len(about.datasets) >= about.least:
        name, share = about.weights[0]
        if share > HEAVY:
            first, second = about.pairs[0].first, about.pairs[0].second
            notes.append(
                f"{name} alone makes up {100 * share:.0f} % of the squared differences between {first} and {second}:"
                " the mean says little of the other data sets."
            )
    return notes


def outcome(first: str, second: str, mean: float, num: int, separable: bool) -> str:
    """A pair in a few words."""
    if separable:
        return f"separable: {first if mean > 0.0 else second} is better"
    return f"not separable over {count(num, 'data set')}"
