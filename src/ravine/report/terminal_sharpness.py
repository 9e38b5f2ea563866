"""Measured sharpness for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ravine.landscapes.findings import Sharpness
from ravine.report.sharp import MEASURES, SharpPoint, correlation
from ravine.report.terminal import RULE_WIDTH, plain_table
from ravine.store import RunRecord

_LIMIT = 20
_COLUMNS: Mapping[str, Callable[[Sharpness], str]] = {
    "top": lambda each: f"{each.top[0]:.3g}",
    "lowest": lambda each: f"{each.lowest:.2g}",
    "trace": lambda each: f"{each.trace:.3g} ± {each.trace_error:.2g}",
    "rise": lambda each: f"{each.rise:.2g}",
    "adaptive": lambda each: f"{each.adaptive_rise:.2g}",
    "gradient": lambda each: f"{each.gradient_norm:.2g}",
}
_EXPENDABLE = ("gradient", "lowest", "adaptive", "rise", "trace")  # what a narrow terminal loses, in order


def sharpness(
    found: Sequence[Sharpness], records: Mapping[str, RunRecord], points: Sequence[SharpPoint], name: str
) -> Group:
    """A row per run, and how the measures go with the test gap over all runs of the study.

    Args:
        found: what was measured.
        records: the runs, by id.
        points: all measured runs of the study.
        name: of the study.
    """
    parts: list[RenderableType] = [_Rows(found[:_LIMIT], records)]
    if len(found) > _LIMIT:
        parts.append(Text(f"and {len(found) - _LIMIT:,} more", style="dim"))
    sentences = _correlated(points)
    if sentences:
        parts += ["", *sentences]
    words = f"`ravine report {name} --figure sharpness` draws all measured runs"
    return Group(*parts, "", Text(words, style="dim"))


@final
class _Rows:
    """A row per run. A narrow terminal gets fewer columns."""

    def __init__(self, found: Sequence[Sharpness], records: Mapping[str, RunRecord]) -> None:
        self._found, self._records = found, records

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(max_width=10_000)
        for dropped in range(len(_EXPENDABLE) + 1):
            rows = self._table(_EXPENDABLE[:dropped])
            if console.measure(rows, options=unbounded).maximum <= options.max_width:
                break
        yield rows

    def _table(self, dropped: Sequence[str]) -> Table:
        kept = [title for title in _COLUMNS if title not in dropped]
        rows = plain_table()
        rows.add_column("run", no_wrap=True)
        rows.add_column("rule", overflow="fold", max_width=RULE_WIDTH)
        for title in ("lr", "seed", *kept):
            rows.add_column(title, justify="right", no_wrap=True)
        for each in self._found:
            record = self._records[each.run]
            lr = f"{float(record.hypers['lr']):.3g}"
            cells = [_COLUMNS[title](each) for title in kept]
            rows.add_row(each.run[:8], Text(record.rule), lr, str(record.seed), *cells)
        return rows


def _correlated(points: Sequence[SharpPoint]) -> list[RenderableType]:
    """Rank correlations with the gaps, a row per measure; nothing where there are too few runs."""
    gaps = [gap for gap in ("accuracy", "loss") if points and gap in points[0].gaps]
    fitted = [point for point in points if point.fitted]
    groups = {
        f"all {len(points)} runs": points,
        f"the {len(fitted)} that get all training examples right": fitted,
    }
    if len(fitted) == len(points):
        groups.popitem()
    parts: list[RenderableType] = []
    for name, some in groups.items():
        cells = {(measure, gap): correlation(some, measure, gap) for measure in MEASURES for gap in gaps}
        if not any(cells.values()):
            continue
        rows = plain_table()
        rows.add_column("", no_wrap=True)
        for gap in gaps:
            rows.add_column(f"in {gap}", justify="right", no_wrap=True)
        for measure, title in MEASURES.items():
            pairs = [cells[measure, gap] for gap in gaps]
            rows.add_row(title.lower(), *("–" if pair is None else f"{pair[0]:+.2f}" for pair in pairs))
        parts += [*([""] if parts else []), Text(f"Rank correlation with the test gap, over {name}:"), rows]
    return parts
