"""The verbs that look at runs after training: how sharp their minima are, and what lies around."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Annotated

from ravine.backends import DeviceName
from ravine.cli.options import File, RunIds, Shown, Store, StudyOrFile, Trust, ids
from ravine.cli.output import prints_to_stderr, put, put_grids, put_json


def sharpness(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    runs: RunIds = None,
    rho: float = 0.05,
    examples: int = 10_000,
    probes: int = 16,
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Measure how sharp the minima of a study's runs are; the report then draws it against the test gap.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        store: Folder of the store.
        runs: Ids of runs, separated by commas (default: all finished runs).
        rho: Radius of the ball around the weights in which the loss is raised.
        examples: Number of training examples to use, at most.
        probes: Number of random vectors for the trace.
        device: Where to compute; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON array.
        quiet: Do not show progress.
    """
    from ravine.api.look import sharpness as measured
    from ravine.api.studies import name_of
    from ravine.outcomes import Results
    from ravine.report.sharp import sharp_points
    from ravine.report.terminal_sharpness import sharpness as shown
    from ravine.store import Store as Opened

    with prints_to_stderr():
        found = measured(
            study,
            store=store,
            runs=ids(runs),
            rho=rho,
            examples=examples,
            probes=probes,
            device=device,
            trust=trust,
            quiet=quiet or json,
        )
    if json:
        put_json([each.json() for each in found])
        return
    name = name_of(study)
    with Opened(store, create=False) as opened:
        results = Results.load(opened, name)
        # The chosen configs first: a table of the first rows would show low learning rates alone.
        configs = {run.id: run.config for run in results.runs}
        found.sort(key=lambda each: configs[each.run] not in results.chosen)
        put(shown(found, {run.id: run for run in results.runs}, sharp_points(results), name))


def landscape(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    runs: RunIds = None,
    around: RunIds = None,
    between: RunIds = None,
    points: int = 51,
    reach: float = 1.0,
    examples: int = 10_000,
    seed: int = 0,
    device: DeviceName = "auto",
    trust: Trust = (),
    out: File = None,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Write a page about the loss around runs: their paths in a plane, maps around them, lines between them.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        store: Folder of the store.
        runs: Ids of the runs whose paths are drawn, separated by commas (default: one of each rule's best config).
        around: Ids of the runs to map along random directions (default: the first run).
        between: Ids of two runs to draw a line between (default: the first run and each of the others).
        points: Number of grid points along each axis.
        reach: How far a map goes; at 1 each filter changes by its own norm.
        examples: Number of training examples to use, at most.
        seed: Seed of the random directions.
        device: Where to compute; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        out: A page (.html) or a picture (.svg, .png) (default: NAME-landscape.html in the store's folder).
        json: Print all numbers as one JSON object; write a page only if --out is given.
        quiet: Do not show progress.
    """
    from ravine.api.look import landscape as look
    from ravine.api.studies import name_of
    from ravine.report.landscape import command_of, summary

    name = name_of(study)
    target = out if out is not None or json else Path(store) / f"{name}-landscape.html"
    given = {
        "store": store, "runs": runs, "around": around, "between": between, "points": points, "reach": reach,
        "examples": examples, "seed": seed, "trust": trust, "out": out,
    }  # fmt: skip
    known = signature(landscape).parameters
    words = {key: value for key, value in given.items() if value != known[key].default}
    with prints_to_stderr():
        found = look(
            study,
            store=store,
            runs=ids(runs),
            around=ids(around),
            between=ids(between),
            points=points,
            reach=reach,
            examples=examples,
            seed=seed,
            device=device,
            trust=trust,
            out=target,
            command=command_of({"study": study, **words}),
            quiet=quiet or json,
        )
    if json:
        put_json(found.json())
        return
    put(*summary(found), f"landscape: {target}")


def slowness(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    rule: str | None = None,
    rate: Annotated[str | None, Shown("NAME")] = None,
    loss: float | None = None,
    draws: int = 64,
    device: DeviceName = "auto",
    trust: Trust = (),
    out: File = None,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Write a page about why training takes longer with dropout: gradients and steps against its rate.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        store: Folder of the store.
        rule: Whose runs (default: the best rule).
        rate: Name of the rate, such as dropout (default: the one that varies).
        loss: Validation loss to come to (default: the lowest that every rate comes to).
        draws: Number of masks for each rate.
        device: Where to compute; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        out: A page, .html (default: NAME-slowness.html in the store's folder).
        json: Print all numbers as one JSON object; write a page only if --out is given.
        quiet: Do not show progress.
    """
    from ravine.api.slowness import slowness as look
    from ravine.api.studies import name_of
    from ravine.report.landscape import command_of

    name = name_of(study)
    target = out if out is not None or json else Path(store) / f"{name}-slowness.html"
    given = {
        "store": store, "rule": rule, "rate": rate, "loss": loss, "draws": draws, "trust": trust, "out": out,
    }  # fmt: skip
    known = signature(slowness).parameters
    words = {key: value for key, value in given.items() if value != known[key].default}
    with prints_to_stderr():
        found = look(
            study,
            store=store,
            rule=rule,
            rate=rate,
            loss=loss,
            draws=draws,
            device=device,
            trust=trust,
            out=target,
            command=command_of({"study": study, **words}, "slowness"),
            quiet=quiet or json,
        )
    if json:
        put_json(found.json())
        return
    put_grids([found.grid()])
    put(f"slowness: {target}")
