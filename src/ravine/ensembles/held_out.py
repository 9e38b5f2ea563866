"""Pools that were chosen without the examples that they are scored on: in each of five folds those that the other
folds choose.

Shapes: M member, N example, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import scoring
from ravine.ensembles.cells import cells_of
from ravine.ensembles.folds import folds
from ravine.ensembles.losses import Losses
from ravine.ensembles.pooling import pool_classes, pool_values

Array = NDArray[np.float64]


def held_out(
    outputs: Sequence[np.ndarray],
    answers: np.ndarray,
    losses: Losses,
    choose: Callable[[Losses], Sequence[Array]],
) -> list[dict[str, Array]]:
    """The scores of each example, by name: ``nll`` and ``accuracy``, or ``mse``; for each of several ways to choose.

    Args:
        outputs: of each member: logits (N, K), or values (N,), of cells where an example has several.
        answers: (N,) the right ones, of two examples at least.
        losses: of the members on these examples.
        choose: what makes weights, (M,), in each of its ways, by losses on some examples.
    """
    found: list[dict[str, Array]] = []
    per, num = losses.per, len(answers) // losses.per
    for rest, fold in folds(num):
        cells = cells_of(fold, per)
        for place, weights in enumerate(choose(losses.take(rest))):
            used = np.flatnonzero(weights).tolist()
            scores = _scores([outputs[member][cells] for member in used], weights[used], answers[cells])
            if place == len(found):
                found.append({name: np.empty(num) for name in scores})
            for name, values in scores.items():
                found[place][name][fold] = values.reshape(-1, per).mean(axis=1) if per > 1 else values
    return found


def _scores(given: Sequence[np.ndarray], weights: Array, answers: np.ndarray) -> dict[str, Array]:
    if given[0].ndim == 1:
        return {"mse": np.square(pool_values(given, weights).predicted - answers)}
    pooled = pool_classes(given, weights)
    assert pooled.log_p is not None
    return {"nll": scoring.nll(pooled.log_p, answers), "accuracy": (pooled.predicted == answers) * 1.0}
