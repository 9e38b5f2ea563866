"""A `Grid` for the terminal: the same words and rows, wrapped as wide as it is."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ravine.grid import Grid
from ravine.report.terminal import plain_table


def as_rich(grid: Grid) -> Group:
    """A grid as a renderable, for a terminal or a pipe."""
    blocks: list[list[RenderableType]] = [
        [Text(grid.title, style="bold")] if grid.title else [],
        [Text(text) for text in grid.before],
        [_table(grid)] if grid.columns else [],
        [_below(grid)] if grid.below else [],
        [Text(text, style="dim" if text.startswith("note:") else "") for text in grid.after],
    ]
    parts: list[RenderableType] = []
    for block in filter(None, blocks):
        parts += [*([""] if parts else []), *block]
    return Group(*parts)


def _below(grid: Grid) -> RenderableType:
    """Names, and beside them, one under another, what there is no column for."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in grid.below:
        table.add_row(Text(name), Text(text))
    return table


def _table(grid: Grid) -> RenderableType:
    table = plain_table()
    for title in grid.columns:
        # In a narrow terminal a cell goes on in the next line: no digit is lost.
        table.add_column(Text(title), justify="left" if title in grid.left else "right", overflow="fold")
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return table
