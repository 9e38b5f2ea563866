"""Figure ``forest``: what each level gained in test error over the first, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.results import Results
from ravine.report.chart import INK, MUTED, Json, layout, number, text
from ravine.report.views import Figure, View, command
from ravine.verdict import Gain

_ROW = 42  # px of a level
_BETTER, _WORSE, _OPEN = "#0072B2", "#D55E00", "#5c6670"  # for sure, for sure, and neither


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
    what = "squared error" if results.is_regression else "test accuracy"
    caption = (
        f"Each {noun} against {base}, the first one of the study: to the right of the line it is better. The diamond is"
        f" the mean gain in {what}, the bar its interval over seeds and test examples, with the luck of tuning; small"
        " dots are the seeds, each paired with the same seed of the other. Runs of one seed share batch order,"
        " and initial weights where the model is the same. Filled diamonds are gains or losses for sure."
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
    better = [gain.level for gain in gains if gain.low > 0.0]
    worse = [gain.level for gain in gains if gain.high < 0.0]
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
        columns=(results.noun, "gain", "interval", "seeds", "for sure"),
        rows=tuple(
            (
                gain.level,
                shown(results, gain.difference),
                f"{shown(results, gain.low)} to {shown(results, gain.high)}",
                str(len(gain.seeds)),
                "better" if gain.low > 0.0 else "worse" if gain.high < 0.0 else "no",
            )
            for gain in results.verdict.gains
        ),
        left=(results.noun, "for sure"),
    )


def shown(results: Results, difference: float) -> str:
    """A gain with its sign: points of accuracy, or of squared error."""
    value = difference if results.is_regression else 100.0 * difference
    words = number(abs(value)) if results.is_regression else f"{abs(value):.{1 if abs(value) >= 10 else 2}f}"
    return ("+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "") + words


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _panel(results: Results, gains: Sequence[Gain]) -> Json:
    scale = 1.0 if results.is_regression else 100.0
    rows = list(range(len(gains) - 1, -1, -1))  # the best at the top
    data: list[Json] = []
    for y, gain in zip(rows, gains, strict=True):
        colour = _BETTER if gain.low > 0.0 else _WORSE if gain.high < 0.0 else _OPEN
        said = f"<b>{text(gain.level)}</b><br>{shown(results, gain.difference)}"
        said += f"<br>interval {shown(results, gain.low)} to {shown(results, gain.high)}"
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": [scale * gain.low, scale * gain.high], "y": [y, y],
                "line": {"color": colour, "width": 3}, "hoverinfo": "text", "hovertext": [said, said],
                "meta": "ground",
            }
        )  # fmt: skip
        if gain.seeds:
            data.append(
                {
                    "type": "scatter", "mode": "markers", "x": [scale * value for value in gain.seeds.values()],
                    "y": [y - 0.28] * len(gain.seeds), "hoverinfo": "text", "meta": "ground",
                    "marker": {"symbol": "circle", "size": 4.5, "color": colour, "opacity": 0.45},
                    "hovertext": [
                        f"<b>{text(gain.level)}</b>, seed {seed}: {shown(results, value)}"
                        for seed, value in gain.seeds.items()
                    ],
                }
            )  # fmt: skip
        sure = colour != _OPEN
        data.append(
            {
                "type": "scatter", "mode": "markers", "x": [scale * gain.difference], "y": [y],
                "marker": {
                    "symbol": "diamond", "size": 12, "color": colour if sure else "#fff",
                    "line": {"color": colour, "width": 2},
                },
                "hoverinfo": "text", "hovertext": [said], "meta": "ground",
            }
        )  # fmt: skip
    if results.is_regression:
        title, x_title = f"Gain over {gains[0].baseline}, in test squared error", "less squared error →"
    else:
        title, x_title = (
            f"Gain over {gains[0].baseline}, in test accuracy",
            "points of accuracy, better →",
        )
    reach = _reach(gains)
    return {
        "data": data,
        "layout": layout(
            title,
            x_title,
            {
                "zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.2, "showgrid": True, "fixedrange": True,
                "range": [scale * end for end in reach], "tickangle": 0, "nticks": 7,
            },
            {
                "tickvals": rows, "ticktext": [_ticks(results, gain) for gain in gains], "showgrid": False,
                "range": [-0.7, len(gains) - 0.4], "fixedrange": True, "tickfont": {"size": 13, "color": INK},
            },
            height=100 + _ROW * len(gains),
        ),
    }  # fmt: skip


def _ticks(results: Results, gain: Gain) -> str:
    """A level with its numbers below it, which fits a telephone too."""
    numbers = f"{shown(results, gain.difference)} ({shown(results, gain.low)} to {shown(results, gain.high)})"
    small = f'<span style="font-size:11px;color:{MUTED}">{numbers}</span>'
    return f"{text(gain.level)}<br>{small}"


def _reach(gains: Sequence[Gain]) -> tuple[float, float]:
    """The ends of the axis: an interval that is far wider than most is cut off, or it would flatten all others."""
    halves = sorted((gain.high - gain.low) / 2 for gain in gains)
    most = 3.0 * halves[len(halves) // 2]
    points = [value for gain in gains for value in (gain.difference, *gain.seeds.values())]
    ends = [
        end
        for gain in gains
        for end in (max(gain.low, gain.difference - most), min(gain.high, gain.difference + most))
    ]
    low, high = min(0.0, *points, *ends), max(0.0, *points, *ends)
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room
