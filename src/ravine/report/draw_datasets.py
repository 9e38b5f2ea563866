"""The figures of a verdict over data sets: pairs of methods, average ranks, profiles, and the scores on each."""

from __future__ import annotations

from dataclasses import replace

from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.datasets import Judgements, ranks_in_words
from ravine.outcomes.elsewhere import NOUN
from ravine.outcomes.words import difference
from ravine.report.chart import Json, layout, line, log_axis, number, text
from ravine.report.draw_judged import draw_scores
from ravine.report.interval_rows import BETTER, OPEN, WORSE, Row, rows_panel
from ravine.report.palette import looks
from ravine.report.views import CROWDED, Figure, View, chips_of
from ravine.verdict import Contrast, Pair, Profile

_MOST = 3.0  # times the median half width that the axis of differences shows of an interval
_WIDE = 3.0  # a factor from which its axis is logarithmic


def dataset_figures(found: Judgements) -> tuple[Figure, ...]:
    """All figures that there is something for."""
    drawn = (draw_pairs(found), draw_ranks(found), draw_profile(found), draw_each(found))
    return tuple(each for each in drawn if each.views)


def draw_pairs(found: Judgements) -> Figure:
    """A row for each pair of methods: the mean difference, its interval, and that on each data set."""
    verdict, across = found.verdict, found.across
    both = list(zip(verdict.pairs, across.contrasts, strict=True))
    best = [each for each in both if verdict.best in (each[0].first, each[0].second)]
    sets = {"With the best": best} if len(best) < len(both) else {}
    sets["All pairs"] = both
    measure = next(iter(found.datasets.values())).verdict.measure
    if across.ratio:
        title, x_title = (
            f"By how much the first's test {measure.name} is lower",
            "per cent, the first is better →",
        )
    else:
        title = f"Difference in test {measure.name}" + (", points" if measure.percent else "")
        x_title = "the first is better →"
    views = [
        View(
            label=label,
            panels=(
                rows_panel(
                    [_pair_row(found, *each) for each in some],
                    title=title,
                    x_title=x_title,
                    zero=True,
                    most=_MOST,
                ),
            ),
            chips=(),
        )
        for label, some in sets.items()
        if some
    ]
    return Figure(
        name="pairs",
        title="Pairs of methods over data sets",
        caption=(
            "To the right of the line the first method of a pair is better. Small dots are data sets. The diamond is"
            " the mean difference over them, filled where the pair is separable; the bar is the interval, for other"
            " data sets like these, at which that was decided. Intervals are corrected for"
            f" {count(len(verdict.pairs), 'comparison')}. A pair is separable only where the exact test of signs"
            " agrees."
        ),
        command="",
        views=tuple(views),
        table=Grid(
            columns=("first", "second", "difference", "interval", "better", "worse", "for sure", "outcome"),
            rows=tuple(
                (
                    pair.first,
                    pair.second,
                    shown(found, pair.difference),
                    " to ".join(shown(found, end) for end in pair.ci or ()),
                    str(each.better),
                    str(each.worse),
                    f"{each.surely[0]}, {each.surely[1]}",
                    pair.outcome,
                )
                for pair, each in both
            ),
            left=("first", "second", "outcome"),
        ),
    )


def shown(found: Judgements, value: float) -> str:
    """A difference over data sets: points, a number, or per cent of a loss."""
    measure = found.verdict.measure
    return (
        f"{difference(replace(measure, percent=True), value)} %"
        if found.across.ratio
        else difference(measure, value)
    )


def _pair_row(found: Judgements, pair: Pair, each: Contrast) -> Row:
    by = 100.0 if found.across.ratio or found.verdict.measure.percent else 1.0
    assert pair.ci is not None, "several data sets have an interval"
    said = f"{shown(found, pair.difference)} ({' to '.join(shown(found, end) for end in pair.ci)})"
    return Row(
        label=f"{pair.first} − {pair.second}",
        middle=by * pair.difference,
        low=by * pair.ci[0],
        high=by * pair.ci[1],
        dots=[(by * value, f"{name}: {shown(found, value)}") for name, value in each.differences.items()],
        said=said,
        hover=(said, f"better on {each.better}, worse on {each.worse}", pair.outcome),
        colour=OPEN if not pair.separable else BETTER if pair.difference > 0.0 else WORSE,
        filled=pair.separable,
    )


def draw_ranks(found: Judgements) -> Figure:
    """A row for each method: its average rank, and its rank on each data set."""
    ranks, names = found.across.ranks, [rule.rule for rule in found.verdict.rules]
    views: list[View] = []
    numbers: list[tuple[str, ...]] = []
    if ranks is not None:
        look = looks(found.methods)
        order = sorted(range(len(names)), key=lambda place: float(ranks.mean[place]))
        half = ranks.critical_distance / 2.0
        rows = []
        for place in order:
            mean, own = float(ranks.mean[place]), ranks.table[:, place].tolist()
            rows.append(
                Row(
                    label=names[place],
                    middle=mean,
                    low=mean - half,
                    high=mean + half,
                    dots=[
                        (rank, f"{name}: {rank:g}")
                        for name, rank in zip(found.across.datasets, own, strict=True)
                    ],
                    said=f"{mean:.2f}",
                    hover=(f"average rank {mean:.2f}",),
                    colour=look[names[place]].colour,
                )
            )
            numbers.append((names[place], f"{mean:.2f}", *(f"{rank:g}" for rank in own)))
        panel = rows_panel(rows, title="Average rank", x_title="← better, 1 is the best", zero=False)
        views.append(View(label="Ranks", panels=(panel,), chips=()))
    said = "" if ranks is None else ranks_in_words(found)
    return Figure(
        name="ranks",
        title="Average ranks",
        caption=(
            "The diamond is a method's average rank over the data sets, small dots are its ranks. Bars are half of"
            " Nemenyi's critical distance to either side (Demšar, 2006): where two do not overlap, that test tells"
            f" their ranks apart. {said} Ranks forget by how much one method is better than another, and whether two"
            " methods' ranks differ depends on which others are in the table."
        ),
        command="",
        views=tuple(views),
        table=Grid(columns=(NOUN, "average", *found.across.datasets), rows=tuple(numbers), left=(NOUN,)),
    )


def draw_profile(found: Judgements) -> Figure:
    """A step line for each method: the share of data sets on which it is within a factor of the best."""
    profile = found.across.profile
    views = []
    if profile is not None and len(profile.tau) > 1:
        views.append(
            View(label="Profile", panels=(_profile_panel(found, profile),), chips=chips_of(found.methods))
        )
    what = "" if profile is None else profile.of
    within = (
        f"the best method's {what} times tau"
        if profile is None or profile.factor
        else f"tau of the best {what}"
    )
    return Figure(
        name="profile",
        title="Performance profile",
        caption=(
            "How often is a method not much worse than the best? At tau, a line is the share of data sets on which"
            f" the method's {what} is within {within} (Dolan and Moré, 2002). On the left it is the share on which"
            " it is the best; a line that reaches the top early is never far from the best. The lines are relative to"
            " the methods in the table, and they know of no luck: the intervals above do."
        ),
        command="",
        views=tuple(views),
        crowded=len(found.methods) > CROWDED,
        table=None
        if profile is None
        else Grid(
            columns=(NOUN, *(f"{tau:.4g}" for tau in profile.tau)),
            rows=tuple(
                (method, *(f"{100 * each:.0f} %" for each in share))
                for method, share in profile.share.items()
            ),
            left=(NOUN,),
        ),
    )


def _profile_panel(found: Judgements, profile: Profile) -> Json:
    look, data = looks(found.methods), []
    for method in found.methods:
        share = profile.share[method]
        hover = [
            f"<b>{text(method)}</b><br>{'within' if profile.factor else 'at most'} {number(tau)}"
            f"{' times' if profile.factor else ' from'} the best on {100 * each:.0f} % of the data sets"
            for tau, each in zip(profile.tau, share, strict=True)
        ]
        drawn = line(method, look[method], profile.tau, [100 * each for each in share], hover, mode="lines")
        drawn["line"] = {**drawn["line"], "shape": "hv"}
        data.append(drawn)
    wide = profile.factor and profile.tau[-1] > _WIDE
    x = log_axis(profile.tau, pad=0.03) if wide else {}
    title = f"tau, {'a factor' if profile.factor else 'a distance'} from the best {profile.of}"
    return {
        "data": data,
        "layout": layout("Share of data sets (%)", title, x, {"range": [-3.0, 103.0]}),
    }


def draw_each(found: Judgements) -> Figure:
    """What each method reached, a view for each data set."""
    drawn = {name: draw_scores(each) for name, each in found.datasets.items()}
    views = tuple(replace(view, label=name) for name, figure in drawn.items() for view in figure.views)
    first = next(iter(drawn.values()))
    return replace(
        first,
        title="What each method reached on each data set",
        views=views,
        select="Data set",
        table=Grid(
            columns=("data set", *first.table.columns) if first.table else (),
            rows=tuple(
                (name, *row) for name, figure in drawn.items() if figure.table for row in figure.table.rows
            ),
            left=("data set", NOUN),
        ),
    )
