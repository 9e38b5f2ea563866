"""The verbs that make something of finished runs."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated, Literal

from ravine.backends import DeviceName
from ravine.cli.options import Shown, Store, StudyOrFile, Trust
from ravine.cli.output import put, put_json


def ensemble(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    members: Annotated[str, Shown("seeds|configs|snapshots|all|RUN,RUN")] = "seeds",
    select: Literal["auto", "all", "top", "greedy"] = "auto",
    size: int = 5,
    combine: Literal["mean", "logits", "vote"] = "mean",
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
) -> None:
    """Pool finished runs into one predictor, and say how much better it is than the best run.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        store: Folder of the store.
        members: What may be a member: seeds of the best config, the best run of each config, weights kept along a run,
            all runs, or ids of runs.
        select: Which of them are; auto is top for configs, greedy for all, else all.
        size: Number of members to choose, at most.
        combine: Average probabilities or logits, or vote.
        device: Where to evaluate snapshots; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
    """
    from ravine.api.ensembles import ensemble as pooled

    with redirect_stdout(sys.stderr):  # what a user's module prints is none of the results
        found = pooled(
            study,
            store=store,
            members=members,
            select=select,
            size=size,
            combine=combine,
            device=device,
            trust=trust,
        )
    if json:
        put_json(found.json())
        return
    from ravine.report.terminal_grid import as_rich

    for number, grid in enumerate(found.grids()):
        put(*([""] if number else []), as_rich(grid))
