"""The verbs that judge: results from elsewhere, and several studies together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ravine.cli.options import Compare, Shown, Stores, StudyNames
from ravine.cli.output import put_grids, put_json


def judge(
    results: Annotated[Path, Shown("RESULTS.csv")],
    /,
    metric: Annotated[str | None, Shown("NAME")] = None,
    lower_is_better: bool = False,
    alpha: float = 0.05,
    json: bool = False,
) -> None:
    """Judge results from elsewhere: a CSV file with columns method, seed and score.

    Args:
        results: The file, a row per score; optional columns are config, example, and split (test or validation).
        metric: What the scores are called (default: accuracy where each is 0 or 1 for an example, else score).
        lower_is_better: The scores are losses.
        alpha: Chance of any false "separable".
        json: Print one JSON object.
    """
    from ravine.api.judge import judge as judged

    found = judged(results, metric=metric, lower_is_better=lower_is_better, alpha=alpha)
    if json:
        put_json(found.json())
    else:
        put_grids([found.grid()])


def compare(
    *studies: StudyNames,
    store: Stores = (),
    compare: Compare = None,
    json: bool = False,
) -> None:
    """Judge several studies together: one table, one verdict.

    Args:
        studies: Names of studies with the same data and split.
        store: Folder of a store; can be repeated, and a name then stands for the study of each store that has it
            (default: runs).
        compare: Judge this: study, for the studies as such, or a factor that varies in each (default: what the studies
            say).
        json: Print one JSON object.
    """
    from ravine.api.compare import compare as compared

    found = compared(*studies, store=store or "runs", compare=compare)
    if json:
        put_json(found.json())
    else:
        put_grids([found.grid()])
