"""The page of a verdict on results from elsewhere, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.messages import count, plural
from ravine.outcomes.datasets import Judgements
from ravine.outcomes.elsewhere import NOUN, Judgement
from ravine.outcomes.runs import Cell, plain
from ravine.outcomes.words import NOTHING, rule_columns
from ravine.report import elements
from ravine.report.body import NO_SCRIPT, figure_sections, runs_section, warnings_section
from ravine.report.html import Html, tag
from ravine.report.palette import looks
from ravine.report.verdict_body import verdict_section
from ravine.report.verdict_texts import Beside, Column, verdict_texts
from ravine.report.views import Figure

_READING = (
    "The dot marks the test score, the bar its interval{over}. Two {many} can be separable although their bars"
    " overlap: runs of one seed are pairs, and the verdict compares the paired differences."
)


def judged_body(found: Judgement, figures: Sequence[Figure], command: str) -> Html:
    """The whole page.

    Args:
        found: the verdict.
        figures: in the order in which they are read.
        command: what makes the page again; empty: not known.
    """
    return whole_page(
        found,
        "Verdict",
        facts(found),
        verdict_section(verdict_texts(found.verdict, beside(found))),
        figures=figures,
        runs=runs_texts(found.table(), found.methods, found.noun),
        command=command,
    )


def whole_page(
    found: Judgement | Judgements,
    eyebrow: str,
    about: Sequence[tuple[str, str]],
    *own: Html,
    figures: Sequence[Figure],
    runs: Mapping[str, Any],
    command: str,
) -> Html:
    """A page of a verdict: its sentences and cautions, sections of its own, figures, all runs, and what makes it again.

    Args:
        found: the verdict.
        eyebrow: above its name.
        about: what was judged, in numbers.
        own: its sections before the figures.
        figures: in the order in which they are read.
        runs: of `runs_texts`.
        command: what makes the page again; empty: not known.
    """
    return tag(
        "main",
        tag(
            "header",
            tag("p", eyebrow, class_="eyebrow"),
            tag("h1", found.name),
            tag("div", *(tag("p", sentence) for sentence in found.verdict.sentences), class_="lead"),
            tag("dl", *elements.terms(about), class_="facts"),
        ),
        warnings_section(found.warnings, heading=True),
        *own,
        NO_SCRIPT,
        figure_sections(figures),
        runs_section(runs, about=None),
        made_section(command),
    )


def facts(found: Judgement) -> list[tuple[str, str]]:
    """What was judged, in numbers."""
    verdict = found.verdict
    some = [
        (plural(found.noun), f"{len(found.methods):,}"),
        ("runs", f"{len(found.runs):,}"),
        ("test scores of a run", f"{verdict.num_test:,}" if verdict.num_test else "1"),
    ]
    if verdict.num_validation:
        some.append(("validation scores of a run", f"{verdict.num_validation:,}"))
    return [*some, ("chance of any false “separable”", f"{100 * verdict.alpha:g} %")]


def beside(found: Judgement) -> Beside:
    """The columns that such a verdict has: those that say something."""
    rules = found.verdict.rules
    columns = rule_columns(found.verdict, trivial=found.trivial)
    configs = [str(rule.hypers.get("config", "")) for rule in rules]
    last = [] if found.trivial is None else [NOTHING]
    after = []
    if any(rule.validation is not None for rule in rules):
        after.append(Column(title="validation", cells=columns["val"]))
    if any(configs):
        after.append(Column(title="config", cells=configs + last, about="chosen on validation"))
    after.append(Column(title="seeds", cells=[str(len(rule.seeds)) for rule in rules] + last))
    if any(rule.num_configs > 1 for rule in rules):
        after.append(
            Column(
                title="configs", cells=[str(rule.num_configs) for rule in rules] + last, about="configs tried"
            )
        )
    if any(rule.num_diverged for rule in rules):
        after.append(Column(title="diverged", cells=columns["diverged"]))
    over = " over seeds and test examples" if found.verdict.measure.by_example else " over seeds"
    return Beside(
        looks=looks(found.methods),
        after=after,
        reading=_READING.format(over=over, many=plural(found.noun)),
        trivial=found.trivial,
    )


def runs_texts(
    runs: Sequence[Mapping[str, Cell]], methods: Sequence[str], noun: str = NOUN
) -> dict[str, Any]:
    """The table of all runs, as `runs_section` wants it."""
    shown = [name for name in runs[0] if any(row[name] is not None for row in runs)]
    words = {noun, "config", "dataset"}
    return {
        "noun": noun,
        "columns": [{"label": name, "numeric": name not in words} for name in shown],
        "rows": [
            {
                "id": "",
                "rule": row[noun],
                "lost": row["test"] is None and row["validation"] is None,
                "cells": [
                    {
                        "text": _cell(row[name]),
                        "value": None if name in words else plain(row[name]),
                        "numeric": name not in words,
                    }
                    for name in shown
                ],
            }
            for row in runs
        ],
        "last": None,
        "rule_names": methods,
        "count": count(len(runs), "run"),
    }


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def made_section(command: str) -> Html | None:
    """What makes the page again; nothing where that is not known."""
    if not command:
        return None
    return tag(
        "section",
        tag("h2", "How to make this page again", id="made"),
        tag("pre", tag("code", elements.words(command)), class_="command"),
        aria_labelledby="made",
    )
