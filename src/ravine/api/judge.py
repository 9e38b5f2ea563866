"""The public door to a verdict on results from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.data.csv_file import read_csv
from ravine.data.frames import columns_of, is_frame
from ravine.errors import InputError, short
from ravine.outcomes.datasets import Judgements, judged_datasets
from ravine.outcomes.elsewhere import Judgement, Run, Scored, judged
from ravine.outcomes.given import DATASET, NEEDED, of_arrays, of_datasets, of_tables
from ravine.verdict import Measure, Verdict

# What lies from 0 to 1 by its definition, and is then shown in per cent.
_SHARES = (
    "balanced accuracy", "f1", "macro f1", "micro f1", "weighted f1", "precision", "recall", "auc", "roc auc",
    "average precision", "iou", "dice",
)  # fmt: skip
_SHARES_HINT = (
    "All scores lie from 0 to 1, and an interval goes on beyond. If they are shares, call them by a name that says so, "
    'such as metric="accuracy" or "F1" (--metric accuracy): they are then shown in per cent, and intervals stay inside.'
)


def judge(
    scores: Any,
    *,
    validation: Mapping[str, Any] | None = None,
    datasets: bool = False,
    metric: str | None = None,
    lower_is_better: bool = False,
    alpha: float = 0.05,
) -> Judgement | Judgements:
    """Judge results from any framework: which method is best, and whether that can be said at all.

    The verdict is that of a study. Each method's configuration is chosen on validation scores, methods are compared
    on the test scores of the chosen ones, seed by seed and example by example, and intervals are corrected for all
    comparisons.

    Args:
        scores: test scores. Arrays by method: ``{"adam": array, "sgd": array}``, each (seeds, examples), or (seeds,)
            where each run has one score; ``{"adam": {"lr 0.1": array, ...}, ...}`` where methods have several
            configurations. Row s of all arrays is seed s, which makes pairs of them. NaN: the run diverged. Or a
            table with a row per score, as a data frame, a mapping of columns or a CSV file's path: columns method,
            seed and score, optionally config, example, split ("test" or "validation") and dataset.
        validation: validation scores by method, or by method and config, where `scores` are arrays; None: nothing is
            tuned, and each method has one configuration.
        datasets: the outer names of `scores` and `validation` are data sets: ``{"iris": {"adam": array, ...}, ...}``. A
            table has its data sets in a column.
        metric: what the scores are called; None: "accuracy" where examples have scores of 0 or 1, else "score". An
            accuracy is given as a share from 0 to 1; so may be others such as "F1" and "AUC", which are then shown in
            per cent and have intervals that stay between 0 and 1.
        lower_is_better: the scores are losses.
        alpha: chance of any false "separable", in (0, 0.5].

    Returns:
        The verdict; it prints as a table, and shows itself in a notebook. Its ``report("page.html")`` writes a page
        with figures. Of several data sets there is a verdict on each (``datasets``), and one over all of them.

    Raises:
        InputError: scores that do not fit together, several configurations without validation scores, or an accuracy
            outside 0 to 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = judge({"a": rng.random((5, 400)) < 0.80, "b": rng.random((5, 400)) < 0.95})
        >>> found.verdict.best, found.verdict.separable
        ('b', True)
    """
    if not isinstance(metric, str | None) or metric == "":
        raise InputError(f"metric: {metric!r} is no name; allowed: a text such as 'accuracy'")
    if not isinstance(alpha, int | float) or not 0.0 < alpha <= 0.5:
        raise InputError(f"alpha: {alpha!r} is out of range; allowed: 0 < alpha <= 0.5")
    if not isinstance(validation, Mapping | None):
        raise InputError(
            f"validation: a {type(validation).__name__} cannot be read; allowed: arrays by method"
        )
    name, found = _read(scores, validation, datasets)
    measure = _measure([each for runs in found.values() for each in runs.values()], metric, lower_is_better)
    if lower_is_better:
        found = {dataset: _higher_is_better(runs) for dataset, runs in found.items()}
    if not datasets and len(found) == 1:
        alone = judged(name, next(iter(found.values())), measure, alpha, _page)
        shares = metric is None and _may_be_shares(found, alone.verdict)
        return replace(alone, warnings=(*alone.warnings, _SHARES_HINT)) if shares else alone
    several = judged_datasets(name, found, measure, alpha, _page)
    shares = metric is None and _may_be_shares(found, several.verdict)
    return replace(several, warnings=(*several.warnings, _SHARES_HINT)) if shares else several


def _may_be_shares(found: Mapping[str, Mapping[Run, Scored]], verdict: Verdict) -> bool:
    """Whether all scores lie from 0 to 1, and an interval goes on beyond."""
    parts = (
        part for runs in found.values() for each in runs.values() for part in (each.test, each.validation)
    )
    beyond = any(rule.ci is not None and (rule.ci[0] < 0.0 or rule.ci[1] > 1.0) for rule in verdict.rules)
    return beyond and all(part is None or _inside(part) for part in parts)


def _inside(part: NDArray[np.float64]) -> bool:
    """Whether scores lie from 0 to 1, but for those of runs that diverged."""
    return bool(((part >= 0.0) & (part <= 1.0) | np.isnan(part)).all())


def _page(found: Judgement | Judgements, path: str | Path) -> Path:
    from ravine.report.judged import write_judged

    return write_judged(found, path)


def _read(
    scores: Any, validation: Mapping[str, Any] | None, datasets: bool
) -> tuple[str, dict[str, dict[Run, Scored]]]:
    """What the results are called, and each run's scores as they were given, by data set."""
    if isinstance(scores, Mapping) and not _is_table(scores):
        if validation is None and not datasets:
            _check_configs(scores)
        found = of_datasets(scores, validation) if datasets else {"": of_arrays(scores, validation)}
        return "scores", found
    if validation is not None:
        raise InputError("validation: a table has its validation scores in rows with split = validation")
    if datasets:
        raise InputError("datasets: a table has its data sets in a column 'dataset'")
    if isinstance(scores, str | os.PathLike):
        path = Path(scores)
        columns, lines = read_csv(path)
        return path.name, of_tables(columns, lambda row: f"{path}, line {lines[row]}", str(path))
    if is_frame(scores):
        return "scores", of_tables(columns_of(scores, "scores"), lambda row: f"scores, row {row}", "scores")
    raise InputError(
        f"scores: a {type(scores).__name__} cannot be read; allowed: arrays by method, a data frame, or a CSV file"
    )


def _check_configs(scores: Mapping[Any, Any]) -> None:
    """Without validation scores several configs cannot be, so names that all have in them are rather methods."""
    inner = [frozenset(map(str, value)) for value in scores.values() if isinstance(value, Mapping)]
    if len(scores) == len(inner) > 1 and len(set(inner)) == 1 and len(inner[0]) > 1:
        first = short(repr(str(next(iter(scores)))))
        raise InputError(
            f"scores: {first} and the others have the same {len(inner[0])} names in them; if they are data sets, say"
            " datasets=True; if they are methods with configs, validation scores are needed to choose by"
        )


def _is_table(scores: Mapping[Any, Any]) -> bool:
    """A mapping of columns, not of methods."""
    names = {str(name) for name in scores}
    return set(NEEDED) <= names or {DATASET, "method", "score"} <= names


def _measure(found: Sequence[Scored], metric: str | None, lower_is_better: bool) -> Measure:
    parts = [part for each in found for part in (each.test, each.validation) if part is not None]
    if metric is None:
        known = [part for part in parts if np.isfinite(part).all()]  # the others are of runs that diverged
        bits = bool(known) and all(len(part) > 1 and bool(np.isin(part, (0.0, 1.0)).all()) for part in known)
        metric = "accuracy" if bits and not lower_is_better else "score"
    inside = all(_inside(part) for part in parts)
    percent = metric == "accuracy" or (metric.lower() in _SHARES and inside and not lower_is_better)
    if percent and lower_is_better:
        raise InputError(
            "lower_is_better: an accuracy is better when it is higher; give the metric another name"
        )
    for part in parts if percent else ():
        if bool(((part < 0.0) | (part > 1.0)).any()):
            odd = float(part[(part < 0.0) | (part > 1.0)][0])
            raise InputError(
                f"accuracy: {odd:g} is out of range; allowed: shares from 0 to 1, or another metric"
            )
    gap = "" if percent else f" in {metric}"
    return Measure(
        name=metric, gap=gap, percent=percent, loss=lower_is_better, short="" if percent else metric
    )


def _higher_is_better(found: Mapping[Run, Scored]) -> dict[Run, Scored]:
    return {
        run: replace(each, test=-each.test, validation=None if each.validation is None else -each.validation)
        for run, each in found.items()
    }
