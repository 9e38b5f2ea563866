"""The verbs that judge: results from elsewhere, and several studies together."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from ravine.cli.options import Compare, File, Metric, Shown, Stores, StudyNames
from ravine.cli.output import put, put_grids, put_json, write_page

_ALPHA = 0.05


def judge(
    results: Annotated[Path, Shown("RESULTS.csv")],
    /,
    metric: Annotated[str | None, Shown("NAME")] = None,
    lower_is_better: bool = False,
    alpha: float = _ALPHA,
    out: File = None,
    json: bool = False,
) -> None:
    """Judge results from elsewhere: a CSV file with columns method, seed and score.

    Args:
        results: The file, a row per score; optional columns are config, example, split (test or validation) and
            dataset, which gives a verdict on each data set and one over all of them.
        metric: What the scores are called (default: accuracy where each is 0 or 1 for an example, else score).
        lower_is_better: The scores are losses.
        alpha: Chance of any false "separable".
        out: Also write a page with figures to this file (.html); with - the page alone goes to standard output.
        json: Print one JSON object.
    """
    from ravine.api.judge import judge as judged
    from ravine.report.judged import judged_page, write_judged
    from ravine.report.page import check_page

    if out not in (None, Path("-")):
        check_page(out, "--out")
    found = judged(results, metric=metric, lower_is_better=lower_is_better, alpha=alpha)
    words = ["ravine", "judge", str(results), *(["--metric", metric] if metric is not None else [])]
    words += [
        *["--lower-is-better"] * lower_is_better,
        *([] if alpha == _ALPHA else ["--alpha", f"{alpha:g}"]),
    ]
    command = shlex.join([*words, "--out", str(out)])
    if out == Path("-"):
        write_page(judged_page(found, command))
        return
    if out is not None:
        write_judged(found, out, command)
    if json:
        put_json(found.json())
        return
    put_grids(found.grids())
    if out is not None:
        put("", f"page: {out}")


def compare(
    *studies: StudyNames,
    store: Stores = (),
    compare: Compare = None,
    metric: Metric = None,
    out: File = None,
    json: bool = False,
) -> None:
    """Judge several studies together: one table, one verdict.

    Args:
        studies: Names of studies with the same data and split.
        store: Folder of a store; can be repeated, and a name then stands for the study of each store that has it
            (default: runs).
        compare: Judge this: study, for the studies as such, or a factor that varies in each (default: what the studies
            say).
        metric: Judge by this metric, such as f1_macro or MODULE:FUNCTION (default: what the studies say).
        out: Also write a page with figures to this file (.html).
        json: Print one JSON object.
    """
    from ravine.api.compare import compare as compared
    from ravine.report.page import check_page

    if out is not None:
        check_page(out, "--out")
    found = compared(*studies, store=store or "runs", compare=compare, metric=metric)
    if out is not None:
        found.report(out)
    if json:
        put_json(found.json())
        return
    put_grids(found.grids())
    if out is not None:
        put("", f"page: {out}")
