"""Figure ``folds``: what each rule reached on each fold, and by how much the best is ahead on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ravine.grid import Grid
from ravine.outcomes import words
from ravine.outcomes.fold_words import READING
from ravine.outcomes.folds import FoldsResult
from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe
from ravine.report.chart import Json
from ravine.report.draw_forest import shown
from ravine.report.interval_rows import BETTER, OPEN, WORSE, Row, rows_panel
from ravine.report.palette import looks
from ravine.report.views import Figure, View, command
from ravine.study.folds import FOLD, REPEAT


def draw_folds(results: Results) -> Figure:
    """A row for each rule, with a dot for each fold; and one for each pair, with the difference on each fold."""
    found = results.folds
    if found is None or not found.chosen:
        why = "the study has no folds" if found is None else "no run has finished"
        caption = f"Nothing to draw: {why}."
        return Figure(
            name="folds", title="Folds", caption=caption, command=command(results, "folds"), views=()
        )
    panels = [_reached(results, found)]
    if found.pairs:
        panels.append(_apart(results, found))
    return Figure(
        name="folds",
        title="Fold by fold",
        caption=f"{READING} A diamond is the mean over all folds, the bar its interval, small dots are the folds.",
        command=command(results, "folds"),
        views=(View(label="Folds", panels=tuple(panels), chips=()),),
        table=_table(results, found),
    )


def _reached(results: Results, found: FoldsResult) -> Json:
    measure = results.verdict.measure
    scale = 100.0 if measure.percent else 1.0
    look = looks(results.rules)
    rows = []
    for rule in results.verdict.rules:
        if rule.test is None:
            continue
        low, high = sorted(scale * measure.readable(end) for end in rule.ci) if rule.ci else (None, None)
        rows.append(
            Row(
                label=rule.rule,
                middle=scale * measure.readable(rule.test),
                low=low,
                high=high,
                dots=[
                    (
                        scale * measure.readable(each.test),
                        f"{each.part.words}: {words.score(measure, each.test)}",
                    )
                    for each in found.of(rule.rule)
                ],
                said=f"{words.score(measure, rule.test)} ({words.interval(measure, rule.ci)})",
                hover=(words.score(measure, rule.test), f"interval {words.interval(measure, rule.ci)}"),
                colour=look[rule.rule].colour,
            )
        )
    unit = ", %" if measure.percent else ""
    return rows_panel(rows, title=f"Test {measure.name}", x_title=f"test {measure.name}{unit}", zero=False)


def _apart(results: Results, found: FoldsResult) -> Json:
    """The pairs of the best rule: by how much it is ahead."""
    scale = 100.0 if results.verdict.measure.percent else 1.0
    best = found.rules[0].rule
    rows = []
    for pair in found.pairs:
        if pair.first != best:
            continue
        colour = OPEN if not pair.separable else BETTER if pair.difference > 0.0 else WORSE
        ends = () if pair.ci is None else tuple(scale * end for end in pair.ci)
        said = " to ".join(shown(results, end) for end in pair.ci or ()) or words.NOTHING
        rows.append(
            Row(
                label=f"{pair.first} − {pair.second}",
                middle=scale * pair.difference,
                low=ends[0] if ends else None,
                high=ends[1] if ends else None,
                dots=[
                    (scale * value, f"{name}: {shown(results, value)}")
                    for name, value in _differences(found, pair.first, pair.second)
                ],
                said=f"{shown(results, pair.difference)} ({said})",
                hover=(shown(results, pair.difference), f"interval {said}"),
                colour=colour,
                filled=pair.separable,
            )
        )
    measure = results.verdict.measure
    what = measure.gap.removeprefix(" in ") or measure.name
    x_title = f"less {what} →" if measure.loss else f"{'points of ' * measure.percent}{what}, better →"
    return rows_panel(rows, title=f"{best} ahead of the others, fold by fold", x_title=x_title, zero=True)


def _differences(found: FoldsResult, first: str, second: str) -> Sequence[tuple[str, float]]:
    other = {each.part: each.test for each in found.of(second)}
    return [(each.part.words, each.test - other[each.part]) for each in found.of(first) if each.part in other]


def _table(results: Results, found: FoldsResult) -> Grid:
    """What was chosen in each fold, and what it reached."""
    measure = results.verdict.measure
    return Grid(
        columns=("repeat", "fold", results.noun, "chosen", "validation", "test"),
        rows=tuple(
            (
                str(each.part.repeat),
                str(each.part.fold),
                each.rule,
                _hypers(each.hypers),
                words.score(measure, each.validation),
                words.score(measure, each.test),
            )
            for each in found.chosen
        ),
        left=(results.noun, "chosen"),
    )


def _hypers(hypers: Mapping[str, float | str]) -> str:
    return describe(hypers, [name for name in hypers if name not in (FOLD, REPEAT)])
