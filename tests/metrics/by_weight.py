"""scikit-learn's metrics as functions of outputs, answers and weights, and their derivatives by a weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn import metrics as sk

from ravine.metrics.given import Classes

STEP = 1e-4  # of a weight: the error of the difference is its square, 1e-8 of the influence
Weighted = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def influences(
    metric: Weighted, outputs: np.ndarray, answers: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """N w_i times the derivative of a weighted metric by w_i, of each example; w_i is 1 where there are no weights."""
    num = len(answers)
    w_N = np.ones(num) if weights is None else np.asarray(weights, dtype=np.float64)
    found = []
    for i in range(num):
        ends, step = [], STEP * min(w_N[i], 1.0)
        for change in (step, -step):
            changed = w_N.copy()
            changed[i] += change
            ends.append(metric(outputs, answers, changed))
        found.append(num * w_N[i] * (ends[0] - ends[1]) / (2.0 * step) if step else 0.0)
    return np.array(found)


def of_sides(one: Callable[..., float]) -> Weighted:
    def mean(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
        if z.shape[1] == 2:
            return one(y, z[:, 1].astype(np.float64) - z[:, 0], sample_weight=w)
        log_p = Classes([z], y).log_p[:, 0]
        return float(np.mean([one(y == k, log_p[k], sample_weight=w) for k in range(z.shape[1])]))

    return mean


def f1(average: str) -> Weighted:
    return lambda z, y, w: sk.f1_score(y, z.argmax(axis=1), average=average, sample_weight=w)


OF_CLASSES: dict[str, Weighted] = {
    "accuracy": lambda z, y, w: sk.accuracy_score(y, z.argmax(axis=1), sample_weight=w),
    "balanced_accuracy": lambda z, y, w: sk.balanced_accuracy_score(y, z.argmax(axis=1), sample_weight=w),
    "f1_macro": f1("macro"),
    "f1_micro": f1("micro"),
    "f1_weighted": f1("weighted"),
    "roc_auc": of_sides(sk.roc_auc_score),
    "average_precision": of_sides(sk.average_precision_score),
}
OF_VALUES: dict[str, Weighted] = {
    "r2": lambda f, y, w: sk.r2_score(y, f, sample_weight=w),
    "mse": lambda f, y, w: sk.mean_squared_error(y, f, sample_weight=w),
    "rmse": lambda f, y, w: sk.root_mean_squared_error(y, f, sample_weight=w),
    "mae": lambda f, y, w: sk.mean_absolute_error(y, f, sample_weight=w),
}
OF_LABELS: dict[str, Weighted] = {
    "f1_macro": lambda z, y, w: sk.f1_score(y, z > 0, average="macro", sample_weight=w),
    "f1_micro": lambda z, y, w: sk.f1_score(y, z > 0, average="micro", sample_weight=w),
    "f1_weighted": lambda z, y, w: sk.f1_score(y, z > 0, average="weighted", sample_weight=w),
    "roc_auc": lambda z, y, w: sk.roc_auc_score(y, z, average="macro", sample_weight=w),
    "average_precision": lambda z, y, w: sk.average_precision_score(y, z, average="macro", sample_weight=w),
}
