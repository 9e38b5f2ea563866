"""What a reader sees of a page, from its heading to its last table, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from ravine.grid import Grid
from ravine.outcomes.results import Results
from ravine.report.html import Html, Part, join, tag
from ravine.report.sentences import sentence_sections
from ravine.report.tables import page_tables
from ravine.report.views import Figure, Group, command

Table = Mapping[str, Any]

_SEGMENTS = 3  # views that a figure shows as buttons; more are a list to choose from


def report_body(results: Results, figures: Sequence[Figure]) -> Html:
    """The whole report."""
    texts = page_tables(results)
    return tag(
        "main",
        _heading(results, texts),
        _warnings(results.warnings, heading=True),
        _verdict(texts),
        sentence_sections(results),
        tag(
            "noscript",
            tag(
                "p",
                "The figures and the sorting of the table need JavaScript; nothing else on this page does.",
                class_="noscript",
            ),
        ),
        *(_figures(group, list(some)) for group, some in groupby(figures, key=lambda each: each.group)),
        _all_runs(texts),
        _made(results, texts),
    )


def _figures(group: Group | None, figures: Sequence[Figure]) -> Html:
    """Figures with a section each, or those of a group in one."""
    if group is None:
        sections = (
            tag("section", tag("h2", each.title, id=each.name), _drawing(each), aria_labelledby=each.name)
            for each in figures
        )
        return join(*sections)
    drawn = (part for each in figures for part in (tag("h3", each.title, id=each.name), _drawing(each)))
    return tag(
        "section",
        tag("h2", group.title, id=group.name),
        tag("p", _prose(group.about)),
        *drawn,
        class_="group",
        aria_labelledby=group.name,
    )


def figures_body(
    figures: Sequence[Figure], *, title: str, name: str, tables: Mapping[str, Table], warnings: Sequence[str]
) -> Html:
    """Some figures on a page of their own, each with its table if it has one."""
    parts: list[Part] = []
    for figure in figures:
        table = [_numbers(figure, tables[figure.name])] if figure.name in tables else []
        if len(figures) == 1:
            parts.append(tag("div", _drawing(figure), *table))
        else:
            heading = tag("h2", figure.title, id=figure.name)
            parts.append(tag("section", heading, _drawing(figure), *table, aria_labelledby=figure.name))
    return tag(
        "main",
        tag("header", tag("p", name, class_="eyebrow"), tag("h1", title, class_="small")),
        _warnings(warnings, heading=False),
        *parts,
    )


def _heading(results: Results, texts: Table) -> Html:
    return tag(
        "header",
        tag("p", "Study", class_="eyebrow"),
        tag("h1", results.name),
        tag("div", *(tag("p", sentence) for sentence in results.verdict.sentences), class_="lead"),
        tag("dl", *_terms(texts["facts"]), class_="facts"),
    )


def _warnings(warnings: Sequence[str], *, heading: bool) -> Html:
    if not warnings:
        return join()
    items = tag("ul", *(tag("li", warning) for warning in warnings))
    if not heading:
        return tag("section", items, class_="warnings", aria_label="warnings")
    title = tag("h2", "Before you rely on this", id="warnings")
    return tag("section", title, items, class_="warnings", aria_labelledby="warnings")


def _verdict(texts: Table) -> Html:
    title = tag("h2", "Verdict", id="verdict")
    if not texts["rules"]:
        nothing = tag("p", "No rule has a run that finished, so there is nothing to compare.")
        return tag("section", title, nothing, aria_labelledby="verdict")
    return tag(
        "section",
        title,
        _scroll(
            tag(
                "table",
                tag("thead", _verdict_columns(texts)),
                tag("tbody", *(_verdict_row(texts, rule) for rule in texts["rules"])),
                class_="verdict",
            ),
            "Verdict, one row per rule",
        ),
        tag("p", texts["to_beat"], class_="beat") if texts["to_beat"] else None,
        tag("p", texts["reading"], class_="reading"),
        _pairs(texts["pairs"]),
        aria_labelledby="verdict",
    )


def _verdict_columns(texts: Table) -> Html:
    titles, scale = texts["titles"], texts["scale"]
    axis = join()
    if scale:
        ticks = (
            tag("text", tick["text"], x=tick["x"], y=12, text_anchor="middle") for tick in scale["ticks"]
        )
        label = f"axis of the intervals: {scale['label']}"
        plot = tag("svg", *ticks, viewBox="0 0 220 16", width=220, height=16, role="img", aria_label=label)
        axis = tag("th", plot, scope="col", class_="plot")
    return tag(
        "tr",
        _column("rule", numeric=False),
        _column(titles["test"]),
        _column(titles["interval"]),
        axis,
        *map(_column, texts["errors"]),
        _column("validation"),
        _column("lr"),
        _column("seeds", title="seeds of the chosen config"),
        _column("configs", title="configs tried"),
        _column("diverged"),
    )


def _verdict_row(texts: Table, rule: Table) -> Html:
    beside = (tag("span", rule[key], class_="beside") for key in ("hypers", "beside") if rule[key])
    badge = join(" ", tag("span", rule["badge"], class_="badge")) if rule["badge"] else None
    return tag(
        "tr",
        tag("th", rule["swatch"], rule["label"], badge, *beside, scope="row"),
        _cell(rule["test"], class_="n strong"),
        _cell(rule["interval"]),
        tag("td", _bar(texts, rule), class_="plot") if texts["scale"] else None,
        *map(_cell, rule["errors"]),
        *(_cell(rule[key]) for key in ("validation", "lr", "seeds", "configs", "diverged")),
        class_="best" if rule["best"] else None,
    )


def _bar(texts: Table, rule: Table) -> Html:
    """A rule's interval on the common axis."""
    bar, colour = rule["bar"], rule["colour"]
    if not bar:
        return join()
    grid = (tag("path", class_="grid", d=f"M{tick['x']} 0V36") for tick in texts["scale"]["ticks"])
    low, high = bar["low"], bar["high"]
    span = f"M{low} 18H{high}M{low} 14V22M{high} 14V22"
    return tag(
        "svg",
        *grid,
        tag("path", d=span, stroke=colour, stroke_width=2, fill="none"),
        tag("circle", cx=bar["middle"], cy=18, r=4.2, fill=colour, stroke="#fff", stroke_width=1.2),
        viewBox="0 0 220 36",
        width=220,
        height=36,
        role="img",
        aria_label=rule["interval"],
    )


def _pairs(pairs: Sequence[Table]) -> Html:
    if not pairs:
        return join()
    numeric = {"difference": "test: first − second", "interval": "interval, corrected", "seeds": "seeds"}
    table = tag(
        "table",
        tag(
            "thead",
            tag(
                "tr",
                _column("first", numeric=False),
                _column("second", numeric=False),
                *map(_column, numeric.values()),
                _column("outcome", numeric=False),
            ),
        ),
        tag(
            "tbody",
            *(
                tag(
                    "tr",
                    tag("td", pair["better"]),
                    tag("td", pair["worse"]),
                    *(_cell(pair[key]) for key in numeric),
                    tag("td", pair["outcome"]),
                )
                for pair in pairs
            ),
        ),
    )
    title = "The pair of rules" if len(pairs) == 1 else f"All {len(pairs)} pairs of rules"
    return tag("details", tag("summary", title), _scroll(table, "Differences between pairs of rules"))


def _drawing(figure: Figure) -> Html:
    caption = tag("figcaption", _prose(figure.caption))
    if not figure.views:
        return tag("figure", caption, id=f"figure-{figure.name}", data_figure=figure.name)
    panels = figure.views[0].panels
    titles = (f"{figure.title}: {panel['layout']['title']['text']}" for panel in panels)
    return tag(
        "figure",
        tag("p", _prose(figure.lead), class_="seen") if figure.lead else None,
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
        tag("pre", tag("code", _words(figure.command)), class_="command"),
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


def _numbers(figure: Figure, table: Table) -> Html:
    """The table below a figure: names in the first column, numbers in the others."""
    names = [_column(name, numeric=place > 0) for place, name in enumerate(table["columns"])]
    rows = (
        tag("tr", *(_cell(cell, class_="n" if place else None) for place, cell in enumerate(row)))
        for row in table["rows"]
    )
    whole = tag("table", tag("thead", tag("tr", *names)), tag("tbody", *rows))
    return _scroll(whole, f"{figure.title}: numbers")


def _grid(title: str, grid: Grid) -> Html:
    """The numbers of a figure, folded away but on paper."""
    left = [name in grid.left for name in grid.columns]
    head = tag(
        "tr", *(_column(name, numeric=not words) for name, words in zip(grid.columns, left, strict=True))
    )
    rows = (
        tag(
            "tr", *(_cell(cell, class_=None if words else "n") for cell, words in zip(row, left, strict=True))
        )
        for row in grid.rows
    )
    return tag(
        "details",
        tag("summary", "Numbers"),
        *(tag("p", words, class_="reading") for words in grid.before),
        _scroll(tag("table", tag("thead", head), tag("tbody", *rows)), f"{title}: numbers"),
        class_="numbers",
    )


def _all_runs(texts: Table) -> Html:
    names = (
        tag(
            "th",
            tag("button", column["label"], type="button"),
            scope="col",
            aria_sort="none",
            class_="n" if column["numeric"] else None,
        )
        for column in texts["columns"]
    )
    rows = (
        tag(
            "tr",
            *(
                _cell(cell["text"], class_="n" if cell["numeric"] else None, data_v=cell["value"])
                for cell in row["cells"]
            ),
            data_rule=row["rule"],
            data_id=row["id"],
            class_="lost" if row["lost"] else None,
        )
        for row in texts["rows"]
    )
    words = tag(
        "input",
        type="search",
        id="filter",
        placeholder="words, such as adam 0.001",
        autocomplete="off",
        spellcheck="false",
    )
    every = tag("option", "all", value="")
    rules = tag("select", every, *(tag("option", rule) for rule in texts["rule_names"]), id="rule")
    return tag(
        "section",
        tag("h2", "All runs", id="all-runs"),
        tag(
            "div",
            tag("label", "Filter ", words),
            " ",
            tag("label", "Rule ", rules),
            " ",
            tag("output", texts["count"], id="count", aria_live="polite"),
            class_="controls",
        ),
        _scroll(
            tag("table", tag("thead", tag("tr", *names)), tag("tbody", *rows), id="runs"),
            "All runs",
            class_="scroll tall",
        ),
        tag(
            "p",
            tag("code", "ravine replay RUN"),
            " trains a run again, by itself. The first four characters of its id are enough if no other run has them.",
            class_="reading",
        ),
        aria_labelledby="all-runs",
    )


def _made(results: Results, texts: Table) -> Html:
    launches = (
        tag(
            "tr",
            _cell(launch["started"], class_="nowrap"),
            _cell(launch["time"]),
            tag("td", tag("code", _words(launch["command"]))),
            tag("td", launch["plan"]),
        )
        for launch in texts["launches"]
    )
    columns = tag(
        "tr",
        _column("started", numeric=False),
        _column("time"),
        _column("command", numeric=False),
        _column("plan", numeric=False),
    )
    notes = results.study.notes
    return tag(
        "section",
        tag("h2", "How this was made", id="made"),
        _scroll(tag("table", tag("thead", columns), tag("tbody", *launches), class_="launches"), "Launches"),
        tag("dl", *_terms(texts["made"]), class_="made"),
        tag("h3", "What was done with the data") if notes else None,
        tag("ul", *(tag("li", note) for note in notes)) if notes else None,
        tag("h3", "The study file"),
        tag("pre", tag("code", results.study.definition), class_="source"),
        tag("h3", "How to make this page again"),
        tag("pre", tag("code", _words(command(results))), class_="command"),
        aria_labelledby="made",
    )


def _prose(text: str) -> Html:
    """Words in which commands are between backticks; a number and its sign of per cent stay on one line."""
    parts = text.replace(" %", "\u00a0%").split("`")
    return join(*(tag("code", _words(part)) if place % 2 else part for place, part in enumerate(parts)))


def _words(text: str) -> Html:
    """A command whose words are not broken at the end of a line."""
    return join(*[part for word in text.split(" ") for part in (" ", tag("span", word, class_="word"))][1:])


def _terms(pairs: Iterable[tuple[str, str]]) -> Iterable[Html]:
    return (tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs)


def _scroll(inside: Html, label: str, class_: str = "scroll") -> Html:
    return tag("div", inside, class_=class_, tabindex=0, role="region", aria_label=label)


def _column(name: str, *, numeric: bool = True, title: str | None = None) -> Html:
    return tag("th", name, scope="col", class_="n" if numeric else None, title=title)


def _cell(content: Part, *, class_: str | None = "n", data_v: float | None = None) -> Html:
    return tag("td", content, class_=class_, data_v=data_v)
