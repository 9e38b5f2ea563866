"""A figure on a page, as HTML: its panels, what chooses its views, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ravine.grid import Grid
from ravine.report import elements
from ravine.report.html import Html, join, tag
from ravine.report.views import Figure

_SEGMENTS = 3  # views that a figure shows as buttons; more are a list to choose from


def drawing(figure: Figure) -> Html:
    """A figure with its words: the script draws into its panels."""
    caption = tag("figcaption", elements.prose(figure.caption))
    if not figure.views:
        return tag("figure", caption, id=f"figure-{figure.name}", data_figure=figure.name)
    panels = figure.views[0].panels
    titles = (f"{figure.title}: {panel['layout']['title']['text']}" for panel in panels)
    return tag(
        "figure",
        tag("p", elements.prose(figure.lead), class_="seen") if figure.lead else None,
        _selector(figure),
        tag(
            "div",
            class_="chips",
            role="group",
            aria_label="Legend: press an entry to see it alone, press others to compare",
        ),
        tag(
            "div",
            *(tag("div", class_="panel", role="img", aria_label=title) for title in titles),
            class_=f"panels panels-{len(panels)}",
        ),
        tag("p", class_="note", aria_live="polite"),
        caption,
        tag("pre", tag("code", elements.words(figure.command)), class_="command") if figure.command else None,
        _grid(figure.title, figure.table) if figure.table else None,
        id=f"figure-{figure.name}",
        data_figure=figure.name,
    )


def _selector(figure: Figure) -> Html:
    """What chooses between the views of a figure."""
    labels = [view.label for view in figure.views]
    if len(labels) == 1:
        return join()
    if len(labels) > _SEGMENTS:
        options = (tag("option", label, value=place) for place, label in enumerate(labels))
        chosen = tag("label", figure.select, " ", tag("select", *options, data_views=True))
        return tag("div", chosen, class_="selector")
    buttons = (
        tag("button", label, type="button", data_view=place, aria_pressed="false" if place else "true")
        for place, label in enumerate(labels)
    )
    group = tag("div", *buttons, class_="segments", role="group", aria_label=figure.select)
    return tag("div", group, class_="selector")


def numbers(figure: Figure, table: Mapping[str, Any]) -> Html:
    """The table below a figure: names in the first column, numbers in the others."""
    names = [elements.column(name, numeric=place > 0) for place, name in enumerate(table["columns"])]
    rows = (
        tag("tr", *(elements.cell(cell, class_="n" if place else None) for place, cell in enumerate(row)))
        for row in table["rows"]
    )
    whole = tag("table", tag("thead", tag("tr", *names)), tag("tbody", *rows))
    return elements.scroll(whole, f"{figure.title}: numbers")


def _grid(title: str, grid: Grid) -> Html:
    """The numbers of a figure, folded away but on paper."""
    return tag(
        "details",
        tag("summary", "Numbers"),
        *(tag("p", words, class_="reading") for words in grid.before),
        elements.grid(grid, f"{title}: numbers"),
        class_="numbers",
    )
