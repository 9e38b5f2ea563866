"""The verb that averages the weights of finished runs."""

from __future__ import annotations

import shlex
from typing import Literal

from ravine.backends import DeviceName
from ravine.cli.options import File, Metric, RunIds, Store, StudyOrFile, Trust, ids
from ravine.cli.output import prints_to_stderr, put, put_grids, put_json


def soup(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    runs: RunIds = None,
    how: Literal["auto", "uniform", "greedy"] = "auto",
    metric: Metric = None,
    device: DeviceName = "auto",
    trust: Trust = (),
    out: File = None,
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
        metric: Compare configs by this metric, such as f1_macro or MODULE:FUNCTION (default: what the study says).
        device: Where to evaluate; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        out: Also write a page (.html) with the barriers.
        json: Print one JSON object.
    """
    from ravine.api.soups import soup as averaged
    from ravine.report.page import check_page, figure_page, save

    if out is not None:
        check_page(out, "--out")
    with prints_to_stderr():
        found = averaged(
            study, store=store, runs=ids(runs), how=how, metric=metric, device=device, trust=trust
        )
    if out is not None:
        from ravine.report.draw_barriers import draw_barriers

        words: list[object] = ["ravine", "soup", study, *([] if str(store) == "runs" else ["--store", store])]
        words += [*(["--runs", runs] if runs else []), *([] if how == "auto" else ["--how", how])]
        words += ["--metric", metric] if metric else []
        words += [*(word for package in trust for word in ("--trust", package)), "--out", out]
        drawn = draw_barriers(found, shlex.join(map(str, words)))
        save(figure_page([drawn], title="Soup", name=found.study), out)
    if json:
        put_json(found.json())
        return
    put_grids(found.grids())
    if out is not None:
        put("", f"barriers: {out}")
