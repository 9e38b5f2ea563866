"""Rows of ready text under titles, as a terminal and a notebook show them."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_WIDEST = 100  # of lines of words; a row of the table is never broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A small table with words before and after it.

    Args:
        title: what it is about.
        before: sentences above the table.
        columns: titles of the columns; () for no table.
        rows: a text per column.
        left: titles of the columns of words, aligned on the left; the others are numbers, aligned on the right.
        below: names, each with more about it that has no column: a line each under the table.
        after: sentences below.

    Example:
        >>> print(Grid(columns=("rule", "lr"), rows=(("adam", "0.001"), ("momentum", "0.1")), left=("rule",)))
        rule         lr
        adam      0.001
        momentum    0.1
    """

    title: str = ""
    before: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    left: tuple[str, ...] = ()
    below: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = min(shutil.get_terminal_size().columns, _WIDEST)
        blocks = [
            [self.title] if self.title else [],
            [line for text in self.before for line in textwrap.wrap(text, width)],
            self._lines(),
            self._below(width),
            [line for text in self.after for line in textwrap.wrap(text, width, subsequent_indent="  ")],
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _lines(self) -> list[str]:
        if not self.columns:
            return []
        table = [self.columns, *self.rows]
        widths = [max(_cells(row[place]) for row in table) for place in range(len(self.columns))]
        return ["  ".join(self._padded(row, widths)).rstrip() for row in table]

    def _below(self, width: int) -> list[str]:
        widest = max((_cells(name) for name, _ in self.below), default=0)
        return [
            line
            for name, text in self.below
            for line in textwrap.wrap(
                text,
                width,
                initial_indent=name + " " * (widest - _cells(name) + 2),
                subsequent_indent=" " * (widest + 2),
            )
        ]

    def _padded(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            text + " " * (width - _cells(text)) if title in self.left else " " * (width - _cells(text)) + text
            for title, text, width in zip(self.columns, row, widths, strict=True)
        ]

    def html(self) -> str:
        """The same as HTML, every text escaped."""
        from html import escape

        def row(tag: str, texts: Sequence[str]) -> str:
            cells = (
                f'<{tag} style="text-align:{"left" if title in self.left else "right"}">{escape(text)}</{tag}>'
                for title, text in zip(self.columns, texts, strict=True)
            )
            return f"<tr>{''.join(cells)}</tr>"

        head = f"<strong>{escape(self.title)}</strong>" if self.title else ""
        table = ""
        if self.columns:
            body = "".join(row("td", texts) for texts in self.rows)
            table = f"<table><thead>{row('th', self.columns)}</thead><tbody>{body}</tbody></table>"
        before = "".join(f"<p>{escape(text)}</p>" for text in self.before)
        below = "".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in self.below)
        after = "".join(f"<li>{escape(text)}</li>" for text in self.after)
        return f"<div>{head}{before}{table}{_listed(below)}{_listed(after)}</div>"


def _listed(items: str) -> str:
    return f"<ul>{items}</ul>" if items else ""


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
