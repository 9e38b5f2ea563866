"""What the modes of a study reach at test, for the terminal and as plain data."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from ravine.ensembles.modes import mode_grid, mode_rows
from ravine.outcomes.results import Results
from ravine.report.terminal_grid import as_rich


def modes(results: Results) -> list[RenderableType]:
    """A small table and its sentences behind an empty line; nothing for a study that asks for no mode."""
    rows = mode_rows(results)
    return ["", as_rich(mode_grid(rows, results.mode, results.noun))] if rows else []


def modes_json(results: Results) -> dict[str, Any]:
    """The rows under ``test_time``; {} for a study that asks for no mode."""
    rows = mode_rows(results)
    return {"test_time": [row.json() for row in rows]} if rows else {}
