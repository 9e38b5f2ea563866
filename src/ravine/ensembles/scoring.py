"""How good predictions are and how well their probabilities fit: NLL, Brier score, calibration error, temperature.

Shapes: N example, K class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import cells_of
from ravine.ensembles.folds import folds
from ravine.ensembles.pooling import log_softmax
from ravine.metrics import NUM_BINS, brier_factor, signed_gaps

Array = NDArray[np.float64]

WIDEST = 20.0  # a temperature is looked for from 1/20 to 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Means over examples.

    Args:
        nll: minus the log-probability of the right class, in nats.
        brier: squared distance from the right answer, from 0 to 2; of two classes of one probability, from 0 to 1.
        ece: by how much confidence and accuracy differ, in bins of equally many examples.
        accuracy: share of right classes.
    """

    nll: float
    brier: float
    ece: float
    accuracy: float


def scores_of(log_p: Array, predicted: NDArray[np.number], answers: np.ndarray) -> Scores:
    """Of predictions.

    Args:
        log_p: (N, K).
        predicted: (N,) classes.
        answers: (N,) the right ones.
    """
    return Scores(
        nll=float(nll(log_p, answers).mean()),
        brier=float(brier(log_p, answers).mean()),
        ece=calibration_error(log_p, predicted, answers),
        accuracy=float((predicted == answers).mean()),
    )


def nll(log_p: Array, answers: np.ndarray) -> Array:
    """Minus the log-probability of each example's right class, (N,)."""
    found: Array = -log_p[np.arange(len(answers)), answers] + 0.0
    return found


def brier(log_p: Array, answers: np.ndarray) -> Array:
    """Each example's squared distance of the probabilities from the right answer, of two classes half of it, (N,)."""
    p = np.exp(log_p)
    right = p[np.arange(len(answers)), answers]
    found: Array = np.square(p).sum(axis=1) - np.square(right) + np.square(1.0 - right)
    return brier_factor(p.shape[1]) * found


def entropy_of(log_p: Array) -> Array:
    """Of each row of logarithms of probabilities, in nats.

    Example:
        >>> entropy_of(np.log([[0.5, 0.5]])).round(4).tolist()
        [0.6931]
    """
    found: Array = -(np.exp(log_p) * np.maximum(log_p, -1e300)).sum(axis=1) + 0.0
    return found


def calibration_error(
    log_p: Array, predicted: NDArray[np.number], answers: np.ndarray, num_bins: int = NUM_BINS
) -> float:
    """Expected calibration error of the predicted classes, in bins of equally many examples: the metric `ece`."""
    confidence = np.exp(log_p[np.arange(len(answers)), predicted.astype(np.int64)])
    return float(signed_gaps(confidence[None], (predicted == answers)[None], num_bins=num_bins).mean())


def heated(log_p: Array, temperature: float) -> Array:
    """Probabilities at another temperature: those of the logits divided by it; at 1 the bits stay."""
    return log_p if temperature == 1.0 else log_softmax(log_p / temperature)


def fit_temperature(log_p: Array, answers: np.ndarray) -> float:
    """The temperature at which the NLL of these examples is smallest; 1 where there is none between 1/20 and 20.

    The NLL is convex in 1 / T, so that its slope has one root: Newton's steps, halved where they leave the bracket.

    Args:
        log_p: (N, K), what the pool predicts; minus infinity for a probability of 0.
        answers: (N,).
    """
    if not np.isfinite(nll(log_p, answers)).all():
        return 1.0
    slope = _slope(log_p, answers)
    low, high = 1.0 / WIDEST, WIDEST  # of 1 / T
    if slope(low)[0] >= 0.0 or slope(high)[0] <= 0.0:
        return 1.0
    inverse = 1.0
    for _ in range(100):
        first, second = slope(inverse)
        if first > 0.0:
            high = inverse
        else:
            low = inverse
        step = inverse - first / second if second > 0.0 else low
        after = step if low < step < high else math.sqrt(low * high)
        if abs(after - inverse) <= 1e-12 * inverse:
            break
        inverse = after
    return 1.0 / inverse


def useful_temperature(log_p: Array, answers: np.ndarray, per: int = 1) -> float:
    """The fitted temperature where temperatures fitted on some folds lower the NLL of the others, else 1.

    Args:
        log_p: (N, K).
        answers: (N,).
        per: rows that belong to one example, next to each other; folds are of examples.
    """
    return useful_heat(log_p, answers, per)[0]


def useful_heat(log_p: Array, answers: np.ndarray, per: int = 1) -> tuple[float, Array | None]:
    """`useful_temperature`, and if it is not 1, what `heated_elsewhere` makes of the predictions."""
    fitted = fit_temperature(log_p, answers)
    if fitted == 1.0 or len(answers) < 2 * per:
        return 1.0, None
    after = heated_elsewhere(log_p, answers, per)
    better = nll(after, answers).mean() < nll(log_p, answers).mean()
    return (fitted, after) if better else (1.0, None)


def heated_elsewhere(log_p: Array, answers: np.ndarray, per: int = 1) -> Array:
    """Each fold at the temperature that the other folds fit, (N, K)."""
    after = log_p.copy()
    for rest, fold in (
        (cells_of(rest, per), cells_of(fold, per)) for rest, fold in folds(len(answers) // per)
    ):
        after[fold] = heated(log_p[fold], fit_temperature(log_p[rest], answers[rest]))
    return after


def _slope(log_p: Array, answers: np.ndarray) -> Callable[[float], tuple[float, float]]:
    """First and second derivative of the mean NLL by 1 / T."""
    log_p_KN = np.ascontiguousarray(log_p.T)  # classes first: then every operation goes along memory
    finite = np.where(np.isfinite(log_p_KN), log_p_KN, 0.0)  # a probability of 0 stays 0 at every temperature
    right = float(finite[answers, np.arange(len(answers))].mean())
    below_KN = log_p_KN - log_p_KN.max(axis=0)

    def at(inverse: float) -> tuple[float, float]:
        q = np.exp(inverse * below_KN)
        q /= q.sum(axis=0)
        mean = (q * finite).sum(axis=0)
        variance = (q * np.square(finite - mean)).sum(axis=0)
        return float(mean.mean()) - right, float(variance.mean())

    return at
