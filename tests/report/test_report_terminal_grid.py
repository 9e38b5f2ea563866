"""A grid in terminals of any width: nothing that it says is lost."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from ravine.grid import Grid
from ravine.report.terminal_grid import as_rich

GRID = Grid(
    title="a study",
    before=("A sentence above it.",),
    columns=("", "members", "NLL", "from, to"),
    rows=(("best run", "1", "0.09179", "0.05051 to 0.1386"), ("ensemble [5]", "5", "0.08309", "–")),
    left=("",),
    below=(("best run", "more about it"),),
    after=("note: and below",),
)


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_nothing_is_lost(width: int) -> None:
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(as_rich(GRID))
    printed = captured.get()
    assert max(map(len, printed.splitlines())) <= width
    letters = sorted(re.sub(r"\s", "", printed))
    words = [GRID.title, *GRID.before, *GRID.columns, *(cell for row in GRID.rows for cell in row)]
    words += [text for pair in GRID.below for text in pair] + list(GRID.after)
    assert letters == sorted(re.sub(r"\s", "", "".join(words)))


def test_names_below_are_one_under_another() -> None:
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        console.print(as_rich(Grid(below=(("108", "the first"), ("9", "the second")))))
    assert [line.rstrip() for line in captured.get().splitlines()] == ["108  the first", "9    the second"]


def test_where_there_is_room_a_row_is_a_line() -> None:
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        console.print(as_rich(GRID))
    assert "best run            1  0.09179  0.05051 to 0.1386" in captured.get()
