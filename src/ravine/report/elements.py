"""Small parts that the tables and texts of a page are put together from."""

from __future__ import annotations

from collections.abc import Iterable

from ravine.grid import Grid
from ravine.report.html import Html, Part, join, tag


def prose(text: str) -> Html:
    """Words in which commands are between backticks; a number and its sign of per cent stay on one line."""
    parts = text.replace(" %", "\u00a0%").split("`")
    return join(*(tag("code", words(part)) if place % 2 else part for place, part in enumerate(parts)))


def words(text: str) -> Html:
    """A command whose words are not broken at the end of a line."""
    return join(*[part for word in text.split(" ") for part in (" ", tag("span", word, class_="word"))][1:])


def terms(pairs: Iterable[tuple[str, str]]) -> Iterable[Html]:
    """Terms with what they mean, each pair in an element of its own."""
    return (tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs)


def scroll(inside: Html, label: str, class_: str = "scroll") -> Html:
    """What may be wider than the page, with a bar of its own to scroll it."""
    return tag("div", inside, class_=class_, tabindex=0, role="region", aria_label=label)


def column(name: str, *, numeric: bool = True, title: str | None = None) -> Html:
    """The head of a column."""
    return tag("th", name, scope="col", class_="n" if numeric else None, title=title)


def cell(content: Part, *, class_: str | None = "n", data_v: float | None = None) -> Html:
    """A cell of a table: a number, unless it has another class."""
    return tag("td", content, class_=class_, data_v=data_v)


def grid(table: Grid, label: str, class_: str = "scroll") -> Html:
    """Rows of ready text; what is said around them is left to the page."""
    words = [name in table.left for name in table.columns]
    head = tag(
        "tr", *(column(name, numeric=not left) for name, left in zip(table.columns, words, strict=True))
    )
    rows = (
        tag("tr", *(cell(text, class_=None if left else "n") for text, left in zip(row, words, strict=True)))
        for row in table.rows
    )
    return scroll(tag("table", tag("thead", head), tag("tbody", *rows)), label, class_)
