"""The verbs that look at runs after training: how sharp their minima are."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

from tyro.conf import Positional, arg

from ravine.cli.output import put, put_json
from ravine.cli.verbs import Device


def sharpness(
    study: Annotated[Positional[str], arg(metavar="STUDY|STUDY.toml")],
    /,
    store: str = "runs",
    runs: str | None = None,
    rho: float = 0.05,
    examples: int = 10_000,
    probes: int = 16,
    device: Device = "auto",
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Measure how sharp the minima of a study's runs are, and keep it: the report then draws it against the test gap.

    Args:
        study: Name of a study in the store; or its file, where the text kept in the store is not enough.
        store: Folder that keeps everything.
        runs: Ids of runs (their first digits), with commas between them (default: all that are done).
        rho: Radius of the ball in which the loss is raised.
        examples: Training examples that are looked at, at most.
        probes: Random vectors for the trace.
        device: auto, cpu, cuda or mps.
        json: Print one JSON array.
        quiet: Show no progress.
    """
    from ravine import api
    from ravine.report import Results
    from ravine.report.sharp import sharp_points
    from ravine.report.terminal_sharpness import sharpness as shown
    from ravine.store import Store

    with redirect_stdout(sys.stderr):  # what a user's module prints is none of the results
        found = api.sharpness(
            study,
            store=store,
            runs=None if runs is None else [run.strip() for run in runs.split(",")],
            rho=rho,
            examples=examples,
            probes=probes,
            device=device,
            quiet=quiet or json,
        )
    if json:
        put_json([each.json() for each in found])
        return
    name = api.name_of(study)
    with Store(store, create=False) as opened:
        results = Results.load(opened, name)
        put(shown(found, {run.id: run for run in results.runs}, sharp_points(results), name))
