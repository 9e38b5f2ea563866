"""How good predictions of new rows are, where the data have answers.

Shapes: N row, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.data.preparation import AnyTarget
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.ensembles.scoring import nll

Array = NDArray[np.float64]


def row_scores(
    target: AnyTarget, answers: NDArray[Any] | None, values: Array, log_p: Array | None, log_q: Array | None
) -> tuple[dict[str, float], int]:
    """Scores by name, and of how many rows they are.

    Args:
        target: what is predicted.
        answers: of the rows, as `ravine.data.fresh.Fresh` has them.
        values: indices of classes, numbers, or labels, NaN in rows that were not decided.
        log_p: (N, K) logarithms of probabilities; None for a regression.
        log_q: (N, K) of labels those that an example does not have them; else None.
    """
    if answers is None:
        return {}, 0
    known = _whole(np.isfinite(answers) if log_p is None else answers >= 0) & _whole(np.isfinite(values))
    num = int(known.sum())
    if not num:
        return {}, 0
    right = answers[known]
    if isinstance(target, LabelsTarget):
        assert log_p is not None, "labels have probabilities"
        assert log_q is not None, "labels have probabilities"
        losses = -np.where(right == 1, log_p[known], log_q[known]) + 0.0
        return {"accuracy": float((values[known] == right).mean()), "nll": float(losses.mean())}, num
    if log_p is not None:
        right = right.astype(np.int64)
        hits = values[known] == right
        return {"accuracy": float(hits.mean()), "nll": float(nll(log_p[known], right).mean())}, num
    off = values[known] - right
    if isinstance(target, NumbersTarget):
        each = zip(target.names, off.T, strict=True)
        return {score: value for name, of in each for score, value in _errors(of, f"_{name}").items()}, num
    return _errors(off), num


def score_words(target: AnyTarget, scores: Mapping[str, float]) -> str:
    """The scores as people read them."""
    if isinstance(target, NumbersTarget):
        rmse, mae = (
            ", ".join(f"{name} {scores[f'{score}_{name}']:.4g}" for name in target.names)
            for score in ("rmse", "mae")
        )
        return f"RMSE {rmse}; mean absolute error {mae}"
    if "rmse" in scores:
        return f"RMSE {scores['rmse']:.4g}, mean absolute error {scores['mae']:.4g}"
    name = "label accuracy" if isinstance(target, LabelsTarget) else "accuracy"
    return f"{name} {100 * scores['accuracy']:.2f} %, NLL {scores['nll']:.4g}"


def _whole(fine: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each row, whether all of it is."""
    return fine if fine.ndim == 1 else np.asarray(fine.all(axis=1))


def _errors(off: Array, behind: str = "") -> dict[str, float]:
    return {
        f"rmse{behind}": float(np.sqrt(np.square(off).mean())),
        f"mae{behind}": float(np.abs(off).mean()),
    }
