"""The page of a landscape: the runs' paths in a shared plane, maps about single runs, lines between them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ravine.errors import InputError
from ravine.landscapes.choice import chosen_runs
from ravine.landscapes.scenes import Landscape, Line, Plane, Wanted
from ravine.messages import count
from ravine.outcomes.ladder import check_no_ladder
from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe, others
from ravine.report.draw_landscape import draw_around, draw_lines, draw_paths
from ravine.report.page import figure_page, save
from ravine.store import RunRecord
from ravine.study import STAGE

KINDS = (".html", ".svg", ".png")
_MOST_RUNS = 6  # by default, one a rule
_FEWEST_RUNS = 3  # with fewer rules, further seeds of the best


def default_runs(results: Results) -> list[RunRecord]:
    """For each rule a run of the config that the verdict chose, the best rule first; where there are few rules, further
    seeds of the best.
    """
    chosen: list[list[RunRecord]] = []
    for rule in results.verdict.rules:
        seeds = [run for run in results.runs if run.config == rule.config and run.status == "done"]
        if seeds:
            chosen.append(sorted(seeds, key=lambda run: run.seed))
    first = [seeds[0] for seeds in chosen[:_MOST_RUNS]]
    further = chosen[0][1:] if chosen else []
    return first + further[: max(0, _FEWEST_RUNS - len(first))]


def select(
    results: Results,
    runs: Sequence[str] | None,
    around: Sequence[str] | None,
    between: Sequence[str] | None,
) -> Wanted:
    """Which runs are looked at, and what they are called.

    Args:
        results: of the study.
        runs, around, between: ids, or their beginnings; None: by default. See `ravine.landscape`.

    Raises:
        InputError: there is no such run, or it has no weights; or not two runs to go between.
    """

    def named(prefixes: Sequence[str]) -> list[RunRecord]:
        return chosen_runs(results.runs, prefixes, results.name)

    if runs is None:
        check_no_ladder(results.runs, results.name)
    shown = default_runs(results) if runs is None else named(runs)
    if not shown:
        raise InputError(f"study {results.name!r}: no run has finished with a finite loss")
    if between is None:
        pairs = [(shown[0], other) for other in shown[1:]]
    else:
        if len(between) != 2:
            raise InputError(
                f"between = {', '.join(between)}: must be the ids of two runs, separated by a comma"
            )
        first, second = named(between)
        pairs = [(first, second)]
    middle = shown[:1] if around is None else named(around)
    wanted = Wanted(runs=tuple(shown), around=tuple(middle), pairs=tuple(pairs), labels={})
    return replace(wanted, labels=labels_of(results, wanted.every))


def labels_of(results: Results, runs: Sequence[RunRecord]) -> dict[str, str]:
    """What runs are called: rule, lr, what else varies, and the seed."""
    named = {}
    for run in runs:
        varied = others([each for each in results.runs if each.rule == run.rule])
        names = ["lr", *(name for name in varied if name != STAGE)]
        named[run.id] = f"{run.rule}, {describe(run.hypers, names)}, seed {run.seed}"
    return named


def write(found: Landscape, out: Path | str, command: str) -> Path:
    """Write a landscape to a file: a page (.html), or a picture of the paths (.svg, .png).

    Raises:
        InputError: the file's name ends otherwise, it cannot be written, or there are no paths for a picture.
    """
    kind = check_out(out)
    if kind == ".html":
        return save(html(found, command), out)
    from ravine.report import landscape_picture, surface_picture

    if found.plane is None:
        raise InputError(f"{out}: a picture shows the paths, and {_WITHOUT.format(study=found.study)}")
    picture = landscape_picture.collect(found.plane)
    return save(surface_picture.svg(picture) if kind == ".svg" else surface_picture.png(picture), out)


def check_out(out: Path | str) -> str:
    """How the file's name ends.

    Raises:
        InputError: otherwise than it must.
    """
    kind = Path(out).suffix.lower()
    if kind not in KINDS:
        raise InputError(f"out = {str(out)!r}: must end in {', '.join(KINDS)}")
    return kind


def html(found: Landscape, command: str) -> bytes:
    """The page of a landscape.

    Args:
        found: what is on it.
        command: what makes it again.
    """
    figures, tables = [], {}
    if found.plane is not None:
        figures.append(draw_paths(found.plane, command))
        tables["paths"] = _paths_table(found.plane)
    if found.around:
        figures.append(draw_around(found, command))
    if found.lines:
        figures.append(draw_lines(found, command))
        tables["lines"] = _lines_table(found.lines, found.task)
    warnings = [] if found.plane is not None else [without_paths(found)]
    return figure_page(figures, title="Landscape", name=found.study, tables=tables, warnings=warnings)


_WITHOUT = (
    "the runs of study {study!r} have no weights along training: they are kept where the study says "
    'keep = {{ every = "epoch" }}'
)


def without_paths(found: Landscape) -> str:
    """Why there is no plane of paths."""
    return f"No paths: {_WITHOUT.format(study=found.study)}."


def summary(found: Landscape) -> list[str]:
    """What was found, in lines for a terminal."""
    lines = [
        f"{count(found.num_parameters, 'weight')}, loss over {count(found.num_examples, 'training example')}"
    ]
    if found.plane is None:
        lines.append(without_paths(found))
    else:
        first, second = found.plane.shares
        lines.append(
            f"plane: axis 1 has {first:.1%} of the variance of the paths, axis 2 {second:.1%}; "
            f"{found.plane.outside:.1%} lies outside"
        )
        lines += [
            f"  {route.label}: {route.outside:.1%} outside, at the end {route.end_outside:.1%}; final loss "
            f"{route.losses[-1]:.3g}, on the map {route.shadows[-1]:.3g}"
            for route in found.plane.routes
        ]
    lines += [
        f"barrier between {line.labels[0]} and {line.labels[1]}: {line.barrier:.3g}"
        + (f", at {line.at:.2f} of the way" if line.barrier > 0 else "")
        for line in found.lines
    ]
    return lines


def command_of(words: Mapping[str, Any], verb: str = "landscape") -> str:
    """The command line that does the same.

    Args:
        words: the study's name by "study", options by their names; None and those at their defaults left out.
        verb: what it does.
    """
    found = ["ravine", verb, str(words["study"])]
    for name, value in words.items():
        if name != "study" and value is not None:
            for each in value if isinstance(value, tuple) else (value,):
                found += [f"--{name}", str(each)]
    return shlex.join(found)


Table = Mapping[str, Any]


def _paths_table(plane: Plane) -> Table:
    columns = (
        "run", "outside the plane", "end outside", "distance of the end from the plane",
        "final loss", "loss on the map there",
    )  # fmt: skip
    rows = [
        (
            route.label,
            f"{route.outside:.1%}",
            f"{route.end_outside:.1%}",
            f"{route.off[-1]:.3g}",
            f"{route.losses[-1]:.4g}",
            f"{route.shadows[-1]:.4g}",
        )
        for route in plane.routes
    ]
    return {"columns": columns, "rows": rows}


def _lines_table(lines: Sequence[Line], task: str) -> Table:
    accurate = task != "regression"
    columns = [
        "from",
        "to",
        "distance",
        "loss at both ends",
        "barrier",
        "at",
        *["lowest accuracy"] * accurate,
    ]
    rows = [
        (
            *line.labels,
            f"{line.distance:.3g}",
            f"{line.losses[0]:.4g}, {line.losses[-1]:.4g}",
            f"{line.barrier:.4g}",
            f"{line.at:.2f}",
            *[f"{100 * line.accuracies.min():.1f} %"] * accurate,
        )
        for line in lines
    ]
    return {"columns": columns, "rows": rows}
