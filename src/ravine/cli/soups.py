"""The verb that averages the weights of finished runs."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Literal

from ravine.backends import DeviceName
from ravine.cli.options import RunIds, Store, StudyOrFile, Trust, ids
from ravine.cli.output import put, put_json


def soup(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    runs: RunIds = None,
    how: Literal["auto", "uniform", "greedy"] = "auto",
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
) -> None:
    """Average the weights of finished runs, if no barrier lies between them.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        store: Folder of the store.
        runs: Ids of runs, separated by commas; RUN@STEP for weights along a run, RUN#NAME for an average of them
            (default: runs beside the best one in learning rate, and points along it).
        how: Average all runs or none, or add one after another while validation gets better; auto is uniform for
            named runs.
        device: Where to evaluate; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
    """
    from ravine.api.soups import soup as averaged

    with redirect_stdout(sys.stderr):  # what a user's module prints is none of the results
        found = averaged(study, store=store, runs=ids(runs), how=how, device=device, trust=trust)
    if json:
        put_json(found.json())
        return
    from ravine.report.terminal_grid import as_rich

    for number, grid in enumerate(found.grids()):
        put(*([""] if number else []), as_rich(grid))
