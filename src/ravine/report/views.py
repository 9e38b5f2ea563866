"""What a figure is made of, and the words that all captions share."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ravine.grid import Grid
from ravine.messages import plural
from ravine.outcomes.levels import compared_by
from ravine.outcomes.results import Results
from ravine.report.palette import looks

Json = dict[str, Any]

CROWDED = 6  # with more rules than this the spread is drawn only for those that the reader picks


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A legend entry that can be pressed: ``key`` names its traces."""

    key: str
    label: str
    swatch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One state of a figure's selector: panels of plotly JSON, side by side where there is room."""

    label: str
    panels: tuple[Json, ...]
    chips: tuple[Chip, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Figures that share a section of the report.

    Attributes:
        name: of the section, for addresses.
        title: its heading.
        about: what its figures are of.
    """

    name: str
    title: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure, ready for the page; without views there was nothing to draw, and the caption says why.

    Attributes:
        name: what ``--figure`` calls it.
        caption: how to read it.
        command: what makes it again; empty: nothing makes it alone.
        select: what its selector chooses.
        crowded: so many rules that their spread is shown only for those picked from the legend.
        lead: what is seen in it, in a sentence.
        table: its numbers, for those who do not see them.
        group: the section that it shares with others; None for one of its own.
    """

    name: str
    title: str
    caption: str
    command: str
    views: tuple[View, ...]
    select: str = "Show"
    crowded: bool = False
    lead: str = ""
    table: Grid | None = None
    group: Group | None = None

    def json(self) -> Json:
        """What the page's script needs of it."""
        views = [
            {
                "label": view.label,
                "panels": view.panels,
                "chips": [
                    {"key": chip.key, "label": chip.label, "swatch": chip.swatch} for chip in view.chips
                ],
                "note": view.note,
            }
            for view in self.views
        ]
        return {"name": self.name, "crowded": self.crowded, "views": views}


def command(results: Results, name: str | None = None) -> str:
    """The command that makes the report again, or one figure of it."""
    words = ["ravine", "report", results.name]
    if results.source.root != "runs":
        # A report is for showing: the password in a database's address isn't.
        words += ["--store", re.sub(r"(?<=://)([^:/@]*):[^/]*@", r"\1@", results.source.root)]
    if results.compare != compared_by(results.study.definition):
        words += ["--compare", results.compare]
    if results.asks_otherwise:
        words += ["--metric", results.metric.asked]
    if name is not None:
        words += ["--figure", name]
    return shlex.join(words)


def chips(results: Results) -> tuple[Chip, ...]:
    """A chip per rule."""
    return chips_of(results.rules)


def chips_of(rules: Sequence[str]) -> tuple[Chip, ...]:
    """A chip for each of these."""
    return tuple(Chip(key=rule, label=rule, swatch=look.swatch()) for rule, look in looks(rules).items())


def loss_unit(results: Results) -> str:
    """What a loss is measured in."""
    if results.labels.targets:
        return "mean squared error, units of variance"
    if results.is_regression:
        return "mean squared error, target units²"
    return f"cross-entropy{' per label' * (results.labels.task == 'multilabel')}, nats"


def called(results: Results, quantity: str) -> str:
    """What ``loss`` and ``accuracy`` are called: of labels the share that is right."""
    return "label accuracy" if quantity == "accuracy" and results.labels.task == "multilabel" else quantity


def trained_unit(results: Results) -> str:
    """What the loss of training is measured in: its own, where runs have another loss than the score."""
    others = any(run.recipe.get("loss") is not None for run in results.runs)
    return "as it is trained" if others else loss_unit(results)


def spread(results: Results, *, crowded: bool = False) -> str:
    """How to read lines and bands, for captions."""
    seeds = len({run.seed for run in results.runs})
    if seeds == 1:
        return "There is only one seed, so there is no spread to show."
    words = f"Lines are medians over {seeds} seeds, bands reach from the lowest seed to the highest"
    return words + (
        f"; with this many {plural(results.noun)}, pick some from the legend to see their bands."
        if crowded
        else "."
    )
