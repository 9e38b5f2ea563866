"""A verdict as HTML: its table with an interval in each row, and its pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.messages import plural
from ravine.report import elements
from ravine.report.html import Html, join, tag

Table = Mapping[str, Any]


def verdict_section(texts: Table) -> Html:
    """The section of a verdict.

    Args:
        texts: of `verdict_texts`.
    """
    title = tag("h2", "Verdict", id="verdict")
    if not texts["rules"]:
        nothing = tag("p", f"No {texts['noun']} has a run that finished, so there is nothing to compare.")
        return tag("section", title, nothing, aria_labelledby="verdict")
    return tag("section", title, *verdict_parts(texts), aria_labelledby="verdict")


def verdict_parts(texts: Table) -> tuple[Html | None, ...]:
    """The table of a verdict, how to read it, and its pairs."""
    return (
        elements.scroll(
            tag(
                "table",
                tag("thead", _columns(texts)),
                tag("tbody", *(_row(texts, rule) for rule in texts["rules"])),
                tag("tfoot", _trivial(texts, texts["trivial"])) if texts["trivial"] else None,
                class_="verdict",
            ),
            f"Verdict, one row per {texts['noun']}",
        ),
        tag("p", texts["reading"], class_="reading") if texts["reading"] else None,
        _pairs(texts["pairs"], texts["noun"], texts["titles"]),
    )


def _columns(texts: Table) -> Html:
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
        elements.column(texts["noun"], numeric=False),
        elements.column(titles["test"]),
        elements.column(titles["interval"]),
        axis,
        *(elements.column(name, title=about) for name, about in (*texts["before"], *texts["after"])),
    )


def _row(texts: Table, rule: Table) -> Html:
    below = (tag("span", line, class_="beside") for line in rule["below"] if line)
    badge = join(" ", tag("span", rule["badge"], class_="badge")) if rule["badge"] else None
    return tag(
        "tr",
        tag("th", rule["swatch"], rule["label"], badge, *below, scope="row"),
        elements.cell(rule["test"], class_="n strong"),
        elements.cell(rule["interval"]),
        tag("td", _bar(texts, rule), class_="plot") if texts["scale"] else None,
        *map(elements.cell, (*rule["before"], *rule["after"])),
        class_="best" if rule["best"] else None,
    )


def _trivial(texts: Table, row: Table) -> Html:
    """The predictor without inputs: no method, so it has no interval."""
    plot = join()
    if texts["scale"] and row["at"] is not None:
        line = tag("path", class_="trivial", d=f"M{row['at']} 4V32")
        label = f"{row['label']}: {row['test']}"
        plot = tag("svg", line, viewBox="0 0 220 36", width=220, height=36, role="img", aria_label=label)
    return tag(
        "tr",
        tag("th", row["label"], tag("span", row["about"], class_="beside"), scope="row"),
        elements.cell(row["test"]),
        elements.cell(row["interval"]),
        tag("td", plot, class_="plot") if texts["scale"] else None,
        *map(elements.cell, (*row["before"], *row["after"])),
        class_="trivial",
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


def _pairs(pairs: Sequence[Table], noun: str, titles: Mapping[str, str]) -> Html:
    if not pairs:
        return join()
    numeric = {
        "difference": titles["difference"],
        "interval": "interval, corrected",
        "seeds": titles["seeds"],
    }
    table = tag(
        "table",
        tag(
            "thead",
            tag(
                "tr",
                elements.column("first", numeric=False),
                elements.column("second", numeric=False),
                *map(elements.column, numeric.values()),
                elements.column("outcome", numeric=False),
            ),
        ),
        tag(
            "tbody",
            *(
                tag(
                    "tr",
                    tag("td", pair["better"]),
                    tag("td", pair["worse"]),
                    *(elements.cell(pair[key]) for key in numeric),
                    tag("td", pair["outcome"]),
                )
                for pair in pairs
            ),
        ),
    )
    many = plural(noun)
    title = f"The pair of {many}" if len(pairs) == 1 else f"All {len(pairs)} pairs of {many}"
    return tag(
        "details", tag("summary", title), elements.scroll(table, f"Differences between pairs of {many}")
    )
