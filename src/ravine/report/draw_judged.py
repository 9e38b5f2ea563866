"""The figures of a verdict on results from elsewhere: what each method reached, pairs of methods, and configs."""

from __future__ import annotations

from statistics import fmean

from ravine.errors import with_article
from ravine.grid import Grid
from ravine.messages import count, plural
from ravine.outcomes.elsewhere import Judgement
from ravine.outcomes.words import difference, ends, interval, score
from ravine.report.draw_budget import Budgets, budget_figure
from ravine.report.interval_rows import BETTER, OPEN, WORSE, Row, rows_panel
from ravine.report.palette import looks
from ravine.report.views import Figure, View
from ravine.verdict import Measure, Pair

_MOST = 3.0  # times the median half width that the axis of differences shows of an interval


def judged_figures(found: Judgement) -> tuple[Figure, ...]:
    """All figures that there is something for."""
    drawn = (draw_scores(found), draw_differences(found), draw_configs(found), _draw_budget(found))
    return tuple(each for each in drawn if each.views)


def unit(measure: Measure) -> float:
    """What a score is multiplied by where it is drawn."""
    return 100.0 if measure.percent else 1.0


def axis_title(measure: Measure, part: str) -> str:
    """`test accuracy (%), higher is better`."""
    return f"{part} {measure.titled}, {'lower' if measure.loss else 'higher'} is better"


def draw_scores(found: Judgement) -> Figure:
    """A row for each method: its mean test score, its interval, and each seed's own score."""
    measure, verdict = found.verdict.measure, found.verdict
    look, by, rows = looks(found.methods), unit(measure), []
    for rule in verdict.rules:
        if rule.test is None:
            continue
        low, high = sorted(by * measure.readable(end) for end in rule.ci) if rule.ci else (None, None)
        said = score(measure, rule.test) + (f" ({interval(measure, rule.ci)})" if rule.ci else "")
        seeds = found.seeds(rule.rule, "test")
        rows.append(
            Row(
                label=rule.rule,
                middle=by * measure.readable(rule.test),
                low=low,
                high=high,
                dots=[
                    (by * value, f"seed {seed}: {_shown(measure, value)}") for seed, value in seeds.items()
                ],
                said=said,
                hover=(said, count(len(seeds), "seed")),
                colour=look[rule.rule].colour,
                filled=not verdict.pairs or verdict.standing(rule.rule) == "best",
            )
        )
    covers = "other seeds and other test examples" if measure.by_example else "other seeds"
    views = []
    if rows:
        title, x_title = f"Test {measure.name}", axis_title(measure, "test")
        panel = rows_panel(rows, title=title, x_title=x_title, zero=False, most=_MOST)
        views.append(View(label="Scores", panels=(panel,), chips=()))
    return Figure(
        name="scores",
        title=f"What each {found.noun} reached",
        caption=(
            f"The diamond is the mean of {with_article(found.noun)} on test ({measure.name}), the bar its"
            f" {100 * (1 - verdict.alpha):g} % interval over {covers}, small dots are its seeds. Bars may overlap where"
            f" {plural(found.noun)} are separable: compare two by the interval of their difference. A filled diamond is"
            " separable from all others."
        ),
        command="",
        views=tuple(views),
        table=Grid(
            columns=(found.noun, "seed", f"test {measure.name}"),
            rows=tuple(
                (rule.rule, str(seed), _shown(measure, value))
                for rule in verdict.rules
                for seed, value in found.seeds(rule.rule, "test").items()
            ),
            left=(found.noun,),
        ),
    )


def draw_differences(found: Judgement) -> Figure:
    """A row for each pair of methods: the difference, its interval, and that of each seed they share."""
    measure, verdict = found.verdict.measure, found.verdict
    best = [pair for pair in verdict.pairs if verdict.best in (pair.first, pair.second)]
    sets = {"With the best": best} if len(best) < len(verdict.pairs) else {}
    sets["All pairs"] = list(verdict.pairs)
    what = f"in test {measure.name}" + (", points" if measure.percent else "")
    views = [
        View(
            label=label,
            panels=(
                rows_panel(
                    [_pair_row(found, pair) for pair in pairs],
                    title=f"Difference {what}",
                    x_title="the first is better →",
                    zero=True,
                    most=_MOST,
                ),
            ),
            chips=(),
        )
        for label, pairs in sets.items()
        if pairs
    ]
    caption = (
        f"To the right of the line the first {found.noun} of a pair is better. The diamond is the mean difference,"
        " filled where the pair is separable; the bar is the interval at which that was decided; small dots are seeds,"
        " each paired with the same seed of the other."
    )
    if len(verdict.pairs) > 1:
        caption += (
            f" Intervals are corrected for {len(verdict.pairs)} comparisons: the chance of any false one is at most"
            f" {100 * verdict.alpha:g} %."
        )
    return Figure(
        name="differences",
        title=f"Pairs of {plural(found.noun)}",
        caption=caption,
        command="",
        views=tuple(views),
        table=Grid(
            columns=("first", "second", "difference", "interval", "seeds", "outcome"),
            rows=tuple(
                (
                    pair.first,
                    pair.second,
                    difference(measure, pair.difference),
                    ends(measure, pair.ci),
                    str(pair.num_seeds),
                    pair.outcome,
                )
                for pair in verdict.pairs
            ),
            left=("first", "second", "outcome"),
        ),
    )


def _pair_row(found: Judgement, pair: Pair) -> Row:
    measure = found.verdict.measure
    by, sign = unit(measure), -1.0 if measure.loss else 1.0
    first, second = found.seeds(pair.first, "test"), found.seeds(pair.second, "test")
    own = {seed: sign * (first[seed] - second[seed]) for seed in first if seed in second}
    between = f" ({ends(measure, pair.ci)})" if pair.ci is not None else ""
    said = f"{difference(measure, pair.difference)}{between}"
    return Row(
        label=f"{pair.first} − {pair.second}",
        middle=by * pair.difference,
        low=None if pair.ci is None else by * pair.ci[0],
        high=None if pair.ci is None else by * pair.ci[1],
        dots=[(by * value, f"seed {seed}: {difference(measure, value)}") for seed, value in own.items()],
        said=said,
        hover=(said, pair.outcome),
        colour=OPEN if not pair.separable else BETTER if pair.difference > 0.0 else WORSE,
        filled=pair.separable,
    )


def draw_configs(found: Judgement) -> Figure:
    """For each method that had a choice, a row for each config: its validation scores."""
    measure = found.validated
    chosen = {rule.rule: rule.hypers.get("config") for rule in found.verdict.rules}
    views, numbers = [], []
    for method in found.methods:
        scored = {config: found.seeds(method, "validation", config) for config in found.configs(method)}
        scored = {config: seeds for config, seeds in scored.items() if seeds}
        if len(scored) < 2:
            continue
        order = sorted(
            scored,
            key=lambda config: fmean(scored[config].values()) * (1.0 if measure.loss else -1.0),
        )
        rows = [_config_row(measure, config, scored[config], config == chosen[method]) for config in order]
        title = f"Validation {measure.name} of {method}"
        panel = rows_panel(rows, title=title, x_title=axis_title(measure, "validation"), zero=False)
        views.append(View(label=method, panels=(panel,), chips=()))
        numbers += [
            (method, row.label, row.said, str(len(row.dots)), "chosen" if row.filled else "") for row in rows
        ]
    return Figure(
        name="configs",
        title="What the configs were chosen by",
        caption=(
            "The diamond is a config's mean validation score, filled for the one that was chosen; small dots are its"
            " seeds. Where several configs are close, luck has chosen between them, and the intervals above know of"
            " that. Test scores of the other configs play no part."
        ),
        command="",
        views=tuple(views),
        select=found.noun.capitalize(),
        table=Grid(
            columns=(found.noun, "config", f"validation {measure.name}", "seeds", ""),
            rows=tuple(numbers),
            left=(found.noun, "config", ""),
        ),
    )


def _config_row(measure: Measure, config: str, seeds: dict[int, float], chosen: bool) -> Row:
    by, mean = unit(measure), fmean(seeds.values())
    return Row(
        label=config,
        middle=by * mean,
        low=None,
        high=None,
        dots=[(by * value, f"seed {seed}: {_shown(measure, value)}") for seed, value in seeds.items()],
        said=_shown(measure, mean),
        hover=(_shown(measure, mean), "chosen" if chosen else "not chosen"),
        colour=BETTER if chosen else OPEN,
        filled=chosen,
    )


def _draw_budget(found: Judgement) -> Figure:
    measure = found.validated
    return budget_figure(
        Budgets(
            verdict=found.verdict,
            rules=found.methods,
            floor=50.0 / max(1, found.verdict.num_validation or 1000),
            score=measure.titled,
        )
    )


def _shown(measure: Measure, value: float) -> str:
    """A number that people know: a loss has no minus any more."""
    return score(measure, measure.readable(value))
