"""Figure ``coverage``: how good the pool is where its members agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.ensembles.coverage import Level, Score, by_agreement, by_confidence, by_spread
from ravine.grid import Grid
from ravine.outcomes.results import Results
from ravine.report.chart import Json, bars, layout, line, number, percent, short
from ravine.report.palette import look
from ravine.report.pooled import Members
from ravine.report.views import Chip, Figure, View, command

AGREEMENT, CONFIDENCE = "agreement", "confidence"
_MOST = 20  # answers of an example that have a view
_LOOKS = {AGREEMENT: look(0), CONFIDENCE: look(8)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Scores of the winner's seeds as one pool, on more and more examples.

    Args:
        levels: from the examples on which members agree most; of a classification also from those of which the pool is
            surest.
        whole: the score on all examples.
    """

    levels: Mapping[str, tuple[Level, ...]]
    whole: float


def coverage_of(members: Members, answer: int = 0) -> Coverage:
    """Of all seeds.

    Args:
        members: the seeds.
        answer: which of an example's answers: members agree on each by itself.
    """
    cells = slice(answer, None, members.per)
    predicted, answers = members.pooled.predicted[cells], members.answers[cells]
    if members.pooled.log_p is None:
        assert members.pooled.spread is not None
        unit = members.cells.scale[answer] if members.cells.scale else 1.0
        found = {AGREEMENT: by_spread(unit * members.pooled.spread[cells], unit * (predicted - answers))}
    else:
        classes = [each[cells].argmax(axis=1) for each in members.of(members.seeds)]
        found = {
            AGREEMENT: by_agreement(classes, predicted, answers),
            CONFIDENCE: by_confidence(members.pooled.log_p[cells], predicted, answers),
        }
    return Coverage(levels=found, whole=found[AGREEMENT][-1].covered.value)


def draw_coverage(results: Results, members: Members) -> Figure:
    """The score on the share of examples that are covered, and the score at each level of agreement.

    Where an example has several answers, there is a view for each.
    """
    names = members.names[:_MOST] or ("",)
    found = {name: coverage_of(members, place) for place, name in enumerate(names)}
    regression = members.is_regression
    labels = {AGREEMENT: "members agree" if not regression else "small spread", CONFIDENCE: "pool is sure"}
    if regression:
        caption = (
            "Validation examples are sorted by the spread between the members' predictions into tenths. On the left,"
            " the error on the first tenth, the first two, and so on: a curve that rises says that the spread warns of"
            " large errors. On the right, the error in each tenth."
        )
    else:
        caption = (
            "When may you trust a prediction? On the left, examples are added from those on which most members choose"
            f" the pool's {'answer' if members.names else 'class'}: each circle adds those with one agreeing member"
            " less (with several less, where they are few). The dashed curve adds them by the pool's own confidence, a"
            " tenth at a time. A curve that falls to the right says that what is left out is harder. On the right, the"
            " examples with just so many agreeing members."
        )
    if members.names:
        what = "target at a time, in its own unit" if regression else "label at a time"
        some = "" if len(members.names) <= _MOST else f"; the first {_MOST} of {len(members.names)} are shown"
        caption = f"This is about one {what}: choose which{some}. {caption}"
    caption += " Bars are 95 % intervals over examples. These are validation examples; on others expect the same shape."
    return Figure(
        name="coverage",
        title="Where members agree",
        lead="" if members.names else _lead(members, found[""]),
        caption=caption,
        command=command(results, "coverage"),
        views=tuple(
            View(
                label=name or "Coverage",
                panels=(
                    _covered(each, labels, regression=regression),
                    _here(members, each, regression=regression),
                ),
                chips=tuple(
                    Chip(key=key, label=labels[key], swatch=_LOOKS[key].swatch()) for key in each.levels
                ),
                note=_lead(members, each) if name else "",
            )
            for name, each in found.items()
        ),
        select="Show" if not members.names else "Target" if regression else "Label",
        group=members.group,
        table=_table(found, regression=regression),
    )


def _lead(members: Members, found: Coverage) -> str:
    first, *rest = found.levels[AGREEMENT]
    num = len(members.seeds)
    if members.is_regression:
        return (
            f"On the tenth of the examples with the smallest spread between {num} seeds the MSE is"
            f" {number(first.here.value)}, on the tenth with the largest {number(rest[-1].here.value)}; on all it is"
            f" {number(found.whole)}."
        )
    if first.agreement[1] < num:
        return f"There is no example on which all {num} seeds agree."
    if not rest and first.agreement[0] < num:
        return (
            f"There are too few examples on which the {num} seeds do not agree to tell them from the others."
        )
    low, high = (f"{100 * end:.1f}" for end in first.here.interval)
    said = (
        f"{_agreeing(first, num)} agree on {100 * first.share:.1f} % of the examples, and are right on"
        f" {percent(first.here.value)} of those ({low} to {high})"
    )
    others = sum(each.here.examples for each in rest)
    if not others:
        return f"{said}."
    right = sum(each.here.value * each.here.examples for each in rest) / others
    return f"{said}; where they do not, the pool is right on {percent(right)}."


def _agreeing(level: Level, num: int) -> str:
    """How many members agree, in words."""
    least, most = (round(end) for end in level.agreement)
    if least == num:
        return f"All {num} seeds"
    if most == num:
        return f"At least {least} of {num} seeds"
    return f"{least} of {num} seeds" if least == most else f"{least} to {most} of {num} seeds"


def _shown(score: Score, *, regression: bool) -> str:
    low, high = score.interval
    if regression:
        return f"{number(score.value)} ({number(low)} to {number(high)})"
    return f"{percent(score.value)} ({100 * low:.1f} to {100 * high:.1f})"


def _trace(
    key: str,
    x: Sequence[float],
    scores: Sequence[Score],
    hover: Sequence[str],
    *,
    scale: float,
    with_bars: bool,
) -> Json:
    middle = [scale * each.value for each in scores]
    trace = line(key, _LOOKS[key], x, middle, hover)
    if with_bars:
        low, high = ([scale * each.interval[end] for each in scores] for end in (0, 1))
        trace["error_y"] = bars(_LOOKS[key], middle, low, high)
    return trace


def _covered(found: Coverage, labels: Mapping[str, str], *, regression: bool) -> Json:
    data = []
    for name, levels in found.levels.items():
        hover = [
            f"<b>{labels[name]}</b>: {100 * each.share:.1f} % of the examples"
            f"<br>{_shown(each.covered, regression=regression)}"
            for each in levels
        ]
        x = [short(100 * each.share) or 0.0 for each in levels]
        scores = [each.covered for each in levels]
        scale = 1.0 if regression else 100.0
        data.append(_trace(name, x, scores, hover, scale=scale, with_bars=name == AGREEMENT))
    title = (
        "MSE on the examples covered (target units²)"
        if regression
        else "Accuracy on the examples covered (%)"
    )
    y: Json = {"rangemode": "tozero"} if regression else {}
    return {"data": data, "layout": layout(title, "examples covered (%)", {"range": [-2, 103]}, y)}


def _here(members: Members, found: Coverage, *, regression: bool) -> Json:
    levels = found.levels[AGREEMENT]
    num = len(members.seeds)
    hover = [
        (f"<b>spread {_span(each)}</b>" if regression else f"<b>{_agreeing(each, num)} agree</b>")
        + f"<br>{each.here.examples:,} examples<br>{_shown(each.here, regression=regression)}"
        for each in levels
    ]
    x = [short(sum(each.agreement) / 2) or 0.0 for each in levels]
    scores = [each.here for each in levels]
    trace = _trace(AGREEMENT, x, scores, hover, scale=1.0 if regression else 100.0, with_bars=True)
    if regression:
        made = layout(
            "MSE in each tenth (target units²)",
            "spread between members (target units)",
            {"rangemode": "tozero"},
            {"rangemode": "tozero"},
        )
    else:
        room = 0.04 * num + 0.1
        axis = {"range": [num + room, min(x) - room], "dtick": max(1, round((num - min(x)) / 8))}
        made = layout("Accuracy where so many agree (%)", f"members that agree, of {num}", axis, {})
    return {"data": [trace], "layout": made}


def _span(level: Level) -> str:
    return " to ".join(number(end) for end in level.agreement)


def _table(found: Mapping[str, Coverage], *, regression: bool) -> Grid:
    several = "" not in found
    score = "MSE" if regression else "accuracy"
    return Grid(
        columns=(
            *(["target" if regression else "label"] if several else []),
            "spread" if regression else "members that agree",
            "examples",
            f"{score} there",
            "covered so far",
            f"{score} so far",
        ),
        rows=tuple(
            (
                *([name] if several else []),
                _span(each)
                if regression
                else " to ".join(dict.fromkeys(f"{end:.0f}" for end in each.agreement)),
                f"{each.here.examples:,}",
                _shown(each.here, regression=regression),
                f"{100 * each.share:.1f} %",
                _shown(each.covered, regression=regression),
            )
            for name, coverage in found.items()
            for each in coverage.levels[AGREEMENT]
        ),
        left=("target", "label"),
    )
