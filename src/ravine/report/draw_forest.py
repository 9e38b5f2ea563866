"""Figure ``forest``: what each level gained in test error over the first, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.data.deal_folds import FoldOf
from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.results import Results
from ravine.outcomes.words import NOTHING
from ravine.report.chart import Json, number
from ravine.report.interval_rows import BETTER, OPEN, WORSE, Row, rows_panel
from ravine.report.views import Figure, View, command
from ravine.verdict import Gain

_MOST = 3.0  # times the median half width: an interval that is far wider than most would flatten all others
_READING = (
    "the bar its interval over seeds and test examples, with the luck of tuning; small dots are the seeds, each paired "
    "with the same seed of the other. Runs of one seed share batch order, and initial weights where the model is the "
    "same."
)
_READING_FOLDS = (
    "the bar its interval over training sets and test examples, which counts that the folds' training sets have most "
    "examples in common; small dots are the folds, in each of which both were tuned anew."
)


def draw_forest(results: Results) -> Figure:
    """A row for each level: the gain over the first one of the study, its interval, and each seed's own gain."""
    gains = results.verdict.gains
    if not gains:
        return Figure(
            name="forest",
            title="What each one gained",
            caption="Nothing to draw: the study compares its rules, or has nothing beside its first level.",
            command=command(results, "forest"),
            views=(),
        )
    base, noun = gains[0].baseline, results.noun
    measure = results.verdict.measure
    what = measure.gap.removeprefix(" in ") if measure.gap else f"test {measure.name}"
    caption = (
        f"Each {noun} against {base}, the first one of the study: to the right of the line it is better. The diamond is"
        f" the mean gain in {what}, {_READING_FOLDS if results.folds is not None else _READING} Filled diamonds are"
        " gains or losses for sure."
    )
    if len(gains) > 1:
        caption += (
            f" Intervals are corrected for {len(gains)} comparisons with {base}: the chance of any false one is at most"
            f" {100 * results.verdict.alpha:g} %. The verdict above corrects for all pairs, and so asks for more."
        )
    return Figure(
        name="forest",
        title=f"What each {noun} gained",
        lead=lead(results),
        caption=caption,
        command=command(results, "forest"),
        views=(View(label=noun.capitalize(), panels=(_panel(results, gains),), chips=()),),
        table=gains_grid(results),
    )


def lead(results: Results) -> str:
    """Which levels gained and which lost for sure."""
    gains = results.verdict.gains
    better = [gain.level for gain in gains if gain.sign > 0]
    worse = [gain.level for gain in gains if gain.sign < 0]
    parts = []
    if better:
        parts.append(
            f"{_listed(better)} {'gains' if len(better) == 1 else 'gain'} over {gains[0].baseline} for sure"
        )
    if worse:
        parts.append(f"{_listed(worse)} {'loses' if len(worse) == 1 else 'lose'} for sure")
    rest = len(gains) - len(better) - len(worse)
    if rest:
        are = f"{'is' if rest == 1 else 'are'} not separable from {gains[0].baseline}"
        parts.append(f"{rest if parts else count(rest, results.noun)} {are}")
    return f"{'; '.join(parts)}."


def gains_grid(results: Results) -> Grid:
    """The numbers of the figure."""
    return Grid(
        before=(f"Against {results.verdict.gains[0].baseline}, the best first.",)
        if results.verdict.gains
        else (),
        columns=(results.noun, "gain", "interval", "seeds" if results.folds is None else "folds", "for sure"),
        rows=tuple(
            (
                gain.level,
                shown(results, gain.difference),
                _interval(results, gain),
                str(len(gain.folds or gain.seeds)),
                {1: "better", -1: "worse", 0: "no"}[gain.sign],
            )
            for gain in results.verdict.gains
        ),
        left=(results.noun, "for sure"),
    )


def shown(results: Results, difference: float) -> str:
    """A gain with its sign: points of accuracy, or of squared error."""
    percent = results.verdict.measure.percent
    value = 100.0 * difference if percent else difference
    words = f"{abs(value):.{1 if abs(value) >= 10 else 2}f}" if percent else number(abs(value))
    return ("+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "") + words


def _interval(results: Results, gain: Gain) -> str:
    if gain.low is None or gain.high is None:
        return NOTHING
    return f"{shown(results, gain.low)} to {shown(results, gain.high)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _panel(results: Results, gains: Sequence[Gain]) -> Json:
    base = gains[0].baseline
    measure = results.verdict.measure
    what = measure.gap.removeprefix(" in ") or measure.name
    title = f"Gain over {base}, in test {what}"
    x_title = f"less {what} →" if measure.loss else f"{'points of ' * measure.percent}{what}, better →"
    rows = [_row(results, gain) for gain in gains]
    return rows_panel(rows, title=title, x_title=x_title, zero=True, most=_MOST)


def _row(results: Results, gain: Gain) -> Row:
    """A level with its numbers below it, the best at the top."""
    scale = 100.0 if results.verdict.measure.percent else 1.0
    colour = {1: BETTER, -1: WORSE, 0: OPEN}[gain.sign]
    mean, interval = shown(results, gain.difference), _interval(results, gain)
    return Row(
        label=gain.level,
        middle=scale * gain.difference,
        low=None if gain.low is None else scale * gain.low,
        high=None if gain.high is None else scale * gain.high,
        dots=[(scale * value, f"{name}: {shown(results, value)}") for name, value in _units(gain)],
        said=f"{mean} ({interval})",
        hover=(mean, f"interval {interval}"),
        colour=colour,
        filled=colour != OPEN,
    )


def _units(gain: Gain) -> list[tuple[str, float]]:
    """The differences that a gain is the mean of, with their names: of seeds, or of folds."""
    if gain.folds:
        return [
            (FoldOf(repeat=repeat, fold=fold).words, value) for (repeat, fold), value in gain.folds.items()
        ]
    return [(f"seed {seed}", value) for seed, value in gain.seeds.items()]
