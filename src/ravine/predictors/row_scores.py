"""How good predictions of new rows are, where the data have answers.

Shapes: N row, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.data.answers import ClassTarget
from ravine.data.preparation import AnyTarget
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.ensembles.cells import Cells
from ravine.ensembles.pool import as_outputs
from ravine.ensembles.scoring import nll
from ravine.errors import InputError
from ravine.metrics import Metric, values_of
from ravine.study.metric import is_default

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScores:
    """How good predictions of new rows are.

    Args:
        scores: by name: the study's own metric, then what is usual for the task; {} where no answer is known.
        num: of how many rows.
        metric: the study's own, where it has a value.
        note: why it has none; else "".
    """

    scores: Mapping[str, float]
    num: int
    metric: Metric | None = None
    note: str = ""


def row_scores(
    target: AnyTarget,
    answers: NDArray[Any] | None,
    values: Array,
    log_p: Array | None,
    log_q: Array | None,
    metric: Metric | None = None,
) -> RowScores:
    """Scores of the rows that have an answer and were decided.

    Args:
        target: what is predicted.
        answers: of the rows, as `ravine.data.fresh.Fresh` has them.
        values: indices of classes, numbers, or labels, NaN in rows that were not decided.
        log_p: (N, K) logarithms of probabilities; None for a regression.
        log_q: (N, K) of labels those that an example does not have them; else None.
        metric: what the study is judged by; None: what is usual.
    """
    if answers is None:
        return RowScores(scores={}, num=0)
    known = _whole(np.isfinite(answers) if log_p is None else answers >= 0) & _whole(np.isfinite(values))
    num = int(known.sum())
    if not num:
        return RowScores(scores={}, num=0)
    right = answers[known]
    p, q = (None if each is None else each[known] for each in (log_p, log_q))
    usual = _usual(target, right, values[known], p, q)
    if metric is None or is_default(metric, target.task):
        return RowScores(scores=usual, num=num)
    try:
        own = _by_metric(metric, target, right, values[known], p, q)
    except InputError as fault:
        return RowScores(scores=usual, num=num, note=f"not scored by {metric.title}: {fault}")
    rest = {name: value for name, value in usual.items() if name != metric.column}
    return RowScores(scores={metric.column: own, **rest}, num=num, metric=metric)


def _by_metric(
    metric: Metric,
    target: AnyTarget,
    right: NDArray[Any],
    values: Array,
    log_p: Array | None,
    log_q: Array | None,
) -> float:
    """The study's metric, by the code that computes it for runs.

    Raises:
        InputError: it has no value for these answers, or a function of the user's fails.
    """
    cells = Cells.of_target(target)
    if isinstance(target, LabelsTarget) and log_p is not None and log_q is not None:
        log_p = np.stack([log_q.reshape(-1), log_p.reshape(-1)], axis=1)
    outputs = as_outputs(cells, values.reshape(-1), log_p)
    answers = right if log_p is None else right.astype(np.int64)
    names = target.names if isinstance(target, ClassTarget | LabelsTarget) else ()
    if reason := metric.formulas[target.task].lacking(answers, names):
        raise InputError(f"{reason} in these rows")
    return float(values_of([metric], target.task, [outputs], answers)[metric.name][0])


def _usual(
    target: AnyTarget, right: NDArray[Any], values: Array, log_p: Array | None, log_q: Array | None
) -> dict[str, float]:
    if isinstance(target, LabelsTarget):
        assert log_p is not None, "labels have probabilities"
        assert log_q is not None, "labels have probabilities"
        losses = -np.where(right == 1, log_p, log_q) + 0.0
        return {"accuracy": float((values == right).mean()), "nll": float(losses.mean())}
    if log_p is not None:
        right = right.astype(np.int64)
        return {"accuracy": float((values == right).mean()), "nll": float(nll(log_p, right).mean())}
    off = values - right
    if isinstance(target, NumbersTarget):
        each = zip(target.names, off.T, strict=True)
        return {score: value for name, of in each for score, value in _errors(of, f"_{name}").items()}
    return _errors(off)


def score_words(target: AnyTarget, scores: Mapping[str, float], metric: Metric | None = None) -> str:
    """The scores as people read them.

    Args:
        target: what is predicted.
        scores: by name.
        metric: the study's own, where it is among them.
    """
    usual = _usual_words(
        target, {name: value for name, value in scores.items() if not metric or name != metric.column}
    )
    if metric is None:
        return usual
    value = scores[metric.column]
    return f"{metric.title} {f'{100 * value:.2f} %' if metric.percent else f'{value:.4g}'}, {usual}"


def _usual_words(target: AnyTarget, scores: Mapping[str, float]) -> str:
    if isinstance(target, NumbersTarget):
        rmse, mae = (
            ", ".join(f"{name} {scores[f'{score}_{name}']:.4g}" for name in target.names)
            for score in ("rmse", "mae")
        )
        return f"RMSE {rmse}; mean absolute error {mae}"
    titles = {"rmse": "RMSE", "mae": "mean absolute error"}
    if "accuracy" in scores:
        name = "label accuracy" if isinstance(target, LabelsTarget) else "accuracy"
        return f"{name} {100 * scores['accuracy']:.2f} %, NLL {scores['nll']:.4g}"
    return ", ".join(f"{titles[name]} {value:.4g}" for name, value in scores.items())


def _whole(fine: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each row, whether all of it is."""
    return fine if fine.ndim == 1 else np.asarray(fine.all(axis=1))


def _errors(off: Array, behind: str = "") -> dict[str, float]:
    return {
        f"rmse{behind}": float(np.sqrt(np.square(off).mean())),
        f"mae{behind}": float(np.abs(off).mean()),
    }
