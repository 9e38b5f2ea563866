"""A verdict as ready texts and places: the table of the report, and the axis of its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ravine.outcomes import words
from ravine.outcomes.trivial import Trivial
from ravine.report.html import Html
from ravine.report.palette import Look
from ravine.verdict import RuleResult, Verdict

_TITLES = {"difference": "test: first − second", "seeds": "seeds"}  # of the table of pairs
WIDTH, MARGIN = 220, 16  # of the interval plot, in px


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of numbers beside the test score.

    Args:
        title: over it.
        cells: a text per row of the verdict.
        about: what the title means, where it says too little.
    """

    title: str
    cells: Sequence[str]
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a reader is shown of a verdict beside the numbers that every one has.

    Args:
        looks: of each rule.
        before: columns between the interval and the others, such as further errors.
        after: the other columns.
        below: of each row, the lines under its name.
        titles: of columns, where they are not the usual ones.
        reading: how to read the table.
        trivial: the predictor without inputs, for which columns have a last cell; None: there is none.
    """

    looks: Mapping[str, Look]
    after: Sequence[Column]
    reading: str
    before: Sequence[Column] = ()
    below: Sequence[Sequence[str]] = field(default=())
    titles: Mapping[str, str] = field(default_factory=dict)
    trivial: Trivial | None = None


def verdict_texts(verdict: Verdict, beside: Beside) -> dict[str, Any]:
    """A verdict as `verdict_body` wants it."""
    measure = verdict.measure
    columns = words.rule_columns(verdict)
    scale = interval_scale(verdict)
    return {
        "noun": verdict.noun,
        "titles": {**_TITLES, **words.column_titles(verdict), **beside.titles},
        "before": [(each.title, each.about) for each in beside.before],
        "after": [(each.title, each.about) for each in beside.after],
        "trivial": _trivial(verdict, beside, scale),
        "scale": scale,
        "rules": [
            {
                "label": rule.rule,
                "best": rule.rule == verdict.best,
                "badge": columns["standing"][place],
                "swatch": Html(beside.looks[rule.rule].swatch()),
                "colour": beside.looks[rule.rule].colour,
                "test": columns["test"][place],
                "interval": columns["interval"][place],
                "before": [each.cells[place] for each in beside.before],
                "after": [each.cells[place] for each in beside.after],
                "bar": _bar(verdict, rule, scale),
                "below": list(beside.below[place]) if beside.below else [],
            }
            for place, rule in enumerate(verdict.rules)
        ],
        "reading": beside.reading,
        "pairs": [
            {
                "better": pair.first,
                "worse": pair.second,
                "difference": words.difference(measure, pair.difference),
                "interval": words.ends(measure, pair.ci),
                "seeds": pair.num_seeds,
                "outcome": pair.outcome,
            }
            for pair in verdict.pairs
        ],
    }


def _trivial(verdict: Verdict, beside: Beside, scale: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The predictor without inputs as a last row; None: there is none."""
    trivial, measure = beside.trivial, verdict.measure
    if trivial is None or not verdict.rules:
        return None
    at = (100.0 if measure.percent else 1.0) * measure.readable(trivial.scores["test"])
    inside = scale is not None and scale["low"] <= at <= scale["high"]
    return {
        "label": trivial.name,
        "about": trivial.about.replace(" %", "\u00a0%"),  # a number and its sign stay on one line
        "test": words.score(measure, trivial.scores["test"]),
        "interval": words.NOTHING,
        "before": [each.cells[-1] for each in beside.before],
        "after": [each.cells[-1] for each in beside.after],
        "at": _place(at, scale["low"], scale["high"]) if scale is not None and inside else None,
    }


def interval_scale(verdict: Verdict) -> dict[str, Any] | None:
    """The common axis of all interval plots: where its ticks lie; None where there is no interval."""
    measure = verdict.measure
    ends = [end for result in verdict.rules for end in _ends(verdict, result) or ()]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    least = 0.0 if low >= 0.0 else -math.inf  # the margin has no numbers to show
    # Where numbers differ by a millionth or less there is nothing to tell apart; nor among floats near the least.
    apart = high - low > 1e-6 * abs(high)
    room = max(0.05 * (high - low) if apart else 0.02 * abs(high), 1e-300)
    low, high = low - room, high + room
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2, 5) if (high - low) / (step * part) <= 6)
    values = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return {
        "low": low,
        "high": high,
        "label": f"test {measure.name}, %" if measure.percent else f"test {measure.name}",
        "ticks": [
            {"x": _place(value, low, high), "text": _tick(value, step)}
            for value in values
            if least <= value <= (100.0 if measure.percent else math.inf)
        ],
    }


def _ends(verdict: Verdict, result: RuleResult) -> tuple[float, float, float] | None:
    """Low, middle and high of a rule's interval as drawn: in per cent, or as people know the number."""
    if result.ci is None or result.test is None:
        return None
    measure = verdict.measure
    factor = 100.0 if measure.percent else 1.0
    low, high = sorted(factor * measure.readable(bound) for bound in result.ci)
    return low, factor * measure.readable(result.test), high


def _bar(verdict: Verdict, rule: RuleResult, scale: Mapping[str, Any] | None) -> dict[str, float] | None:
    ends = _ends(verdict, rule)
    if scale is None or ends is None:
        return None
    low, middle, high = (_place(end, scale["low"], scale["high"]) for end in ends)
    return {"low": low, "high": high, "middle": middle}


def _tick(value: float, step: float) -> str:
    """A multiple of the step between ticks, with the digits that tell it from its neighbours."""
    if value == 0:
        return "0"
    if step >= 1e-4 and abs(value) < 1e6:
        return f"{value:.{max(0, -math.floor(math.log10(step)))}f}"
    return f"{value:.{max(0, math.floor(math.log10(abs(value))) - math.floor(math.log10(step)))}e}"


def _place(value: float, low: float, high: float) -> float:
    return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)
