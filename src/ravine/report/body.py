"""What a reader sees of a page, from its heading to its last table, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.ladder_words import columns, ladder_trivial, reading, rows
from ravine.outcomes.results import Results
from ravine.outcomes.trivial import Trivial
from ravine.report import elements
from ravine.report.figure_body import drawing, numbers
from ravine.report.html import Html, Part, join, tag
from ravine.report.mistakes_body import mistakes_section
from ravine.report.sentences import sentence_sections
from ravine.report.tables import page_tables
from ravine.report.verdict_body import verdict_section
from ravine.report.views import Figure, Group, command

Table = Mapping[str, Any]

NO_SCRIPT = tag(
    "noscript",
    tag(
        "p",
        "The figures and the sorting of the table need JavaScript; nothing else on this page does.",
        class_="noscript",
    ),
)
_OF_TARGETS = (
    "On the test data, each target in its own unit, of what validation chose. Over seeds, and folds, the RMSE is the"
    " root of the mean of their squared errors; MAE and R² are means of theirs."
)
_REPLAY = (
    "`ravine replay RUN` trains a run again, by itself. The first four characters of its id are enough if no other run"
    " has them."
)


def report_body(results: Results, figures: Sequence[Figure]) -> Html:
    """The whole report."""
    texts = page_tables(results)
    return tag(
        "main",
        _heading(results, texts),
        warnings_section(results.warnings, heading=True),
        verdict_section(texts) if results.ladder is None else _ladder(results.ladder, results.trivial),
        _by_target(results),
        sentence_sections(results),
        NO_SCRIPT,
        figure_sections(figures),
        mistakes_section(results),
        runs_section(texts, about=_REPLAY),
        _made(results, texts),
    )


def figure_sections(figures: Sequence[Figure]) -> Html:
    """All figures, in their sections."""
    grouped = groupby(figures, key=lambda each: each.group)
    return join(*(_figures(group, list(some)) for group, some in grouped))


def _figures(group: Group | None, figures: Sequence[Figure]) -> Html:
    """Figures with a section each, or those of a group in one."""
    if group is None:
        sections = (
            tag("section", tag("h2", each.title, id=each.name), drawing(each), aria_labelledby=each.name)
            for each in figures
        )
        return join(*sections)
    drawn = (part for each in figures for part in (tag("h3", each.title, id=each.name), drawing(each)))
    return tag(
        "section",
        tag("h2", group.title, id=group.name),
        tag("p", elements.prose(group.about)),
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
        table = [numbers(figure, tables[figure.name])] if figure.name in tables else []
        if len(figures) == 1:
            parts.append(tag("div", drawing(figure), *table))
        else:
            heading = tag("h2", figure.title, id=figure.name)
            parts.append(tag("section", heading, drawing(figure), *table, aria_labelledby=figure.name))
    return tag(
        "main",
        tag("header", tag("p", name, class_="eyebrow"), tag("h1", title, class_="small")),
        warnings_section(warnings, heading=False),
        *parts,
    )


def _heading(results: Results, texts: Table) -> Html:
    return tag(
        "header",
        tag("p", "Study", class_="eyebrow"),
        tag("h1", results.name),
        tag("div", *(tag("p", sentence) for sentence in results.verdict.sentences), class_="lead"),
        tag("dl", *elements.terms(texts["facts"]), class_="facts"),
    )


def _by_target(results: Results) -> Html:
    """Errors of each of several targets in its own unit, beside the one score that the verdict is about."""
    if results.by_target is None:
        return join()
    return tag(
        "section",
        tag("h2", "Errors of each target", id="targets"),
        elements.grid(results.by_target.grid(results.noun), "Test errors of each target"),
        tag("p", _OF_TARGETS, class_="reading"),
        aria_labelledby="targets",
    )


def warnings_section(warnings: Sequence[str], *, heading: bool) -> Html:
    """What to know before relying on a page; nothing where there is nothing."""
    if not warnings:
        return join()
    items = tag("ul", *(tag("li", warning) for warning in warnings))
    if not heading:
        return tag("section", items, class_="warnings", aria_label="warnings")
    title = tag("h2", "Before you rely on this", id="warnings")
    return tag("section", title, items, class_="warnings", aria_labelledby="warnings")


def _ladder(ladder: LadderResult, trivial: Trivial | None) -> Html:
    """A row for each number of examples."""
    titles = columns(ladder)
    return tag(
        "section",
        tag("h2", "Verdict", id="verdict"),
        elements.scroll(
            tag(
                "table",
                tag(
                    "thead",
                    tag("tr", *(elements.column(name, numeric=name != "better") for name in titles)),
                ),
                tag(
                    "tbody",
                    *(
                        tag(
                            "tr",
                            tag("th", row[0], scope="row", class_="n"),
                            *(elements.cell(each) for each in row[1:-1]),
                            tag("td", row[-1]),
                        )
                        for row in rows(ladder)
                    ),
                ),
            ),
            "Verdict, one row per number of examples per class",
        ),
        tag("p", elements.prose(ladder_trivial(trivial, ladder)), class_="reading")
        if trivial is not None
        else None,
        tag("p", reading(ladder), class_="reading"),
        aria_labelledby="verdict",
    )


def _run_cell(cell: Table) -> Html:
    return elements.cell(cell["text"], class_="n" if cell["numeric"] else None, data_v=cell["value"])


def runs_section(texts: Table, about: str | None) -> Html:
    """The table of all runs, to be sorted and filtered, with words below it."""
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
            *map(_run_cell, row["cells"]),
            data_rule=row["rule"],
            data_id=row["id"],
            class_="lost" if row["lost"] else None,
        )
        for row in texts["rows"]
    )
    last = (
        tag("tfoot", tag("tr", *map(_run_cell, texts["last"]), class_="trivial")) if texts["last"] else None
    )
    words = tag(
        "input",
        type="search",
        id="filter",
        placeholder="words, such as adam 0.001",
        autocomplete="off",
        spellcheck="false",
    )
    every = tag("option", "any", value="")
    rules = tag("select", every, *(tag("option", rule) for rule in texts["rule_names"]), id="rule")
    return tag(
        "section",
        tag("h2", "All runs", id="all-runs"),
        tag(
            "div",
            tag("label", "Filter ", words),
            " ",
            tag("label", f"{texts['noun'].capitalize()} ", rules),
            " ",
            tag("output", texts["count"], id="count", aria_live="polite"),
            class_="controls",
        ),
        elements.scroll(
            tag("table", tag("thead", tag("tr", *names)), tag("tbody", *rows), last, id="runs"),
            "All runs",
            class_="scroll tall",
        ),
        tag("p", elements.prose(about), class_="reading") if about else None,
        aria_labelledby="all-runs",
    )


def _made(results: Results, texts: Table) -> Html:
    launches = (
        tag(
            "tr",
            elements.cell(launch["started"], class_="nowrap"),
            elements.cell(launch["time"]),
            tag("td", tag("code", elements.words(launch["command"]))),
            tag("td", launch["plan"]),
        )
        for launch in texts["launches"]
    )
    columns = tag(
        "tr",
        elements.column("started", numeric=False),
        elements.column("time"),
        elements.column("command", numeric=False),
        elements.column("plan", numeric=False),
    )
    notes = results.study.notes
    return tag(
        "section",
        tag("h2", "How this was made", id="made"),
        elements.scroll(
            tag("table", tag("thead", columns), tag("tbody", *launches), class_="launches"), "Launches"
        ),
        tag("dl", *elements.terms(texts["made"]), class_="made"),
        tag("h3", "What was done with the data") if notes else None,
        tag("ul", *(tag("li", note) for note in notes)) if notes else None,
        tag("h3", "The study file"),
        tag("pre", tag("code", results.study.definition), class_="source"),
        tag("h3", "How to make this page again"),
        tag("pre", tag("code", elements.words(command(results))), class_="command"),
        aria_labelledby="made",
    )
