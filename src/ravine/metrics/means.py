"""Means over examples, of which some may count more than others.

Weights are kept with mean 1: their sum is the number of examples, so a formula in counts is one in weights too. An
example without weight counts nothing, whatever its number is: infinity times 0 is none.

Shapes: N example.
"""

from __future__ import annotations

import numpy as np

from ravine.metrics.arrays import Array


def as_weights(weights: np.ndarray | None) -> Array | None:
    """(N,) weights with mean 1; None: all examples count alike.

    Args:
        weights: finite numbers of at least 0, some above.

    Example:
        >>> as_weights(np.array([0.0, 1.0, 3.0])).tolist()
        [0.0, 0.75, 2.25]
    """
    if weights is None or not len(weights):
        return None
    known = np.asarray(weights, dtype=np.float64)
    found: Array = known / known.mean()
    return found


def mean_over(each: np.ndarray, weights_N: Array | None) -> Array:
    """The mean over the last axis.

    Args:
        each: (..., N) numbers or truths.
        weights_N: with mean 1; None: all count alike.

    Example:
        >>> mean_over(np.array([np.inf, 1.0, 5.0]), as_weights(np.array([0, 1, 3]))).item()
        4.0
    """
    if weights_N is None:
        found: Array = each.mean(axis=-1, dtype=np.float64)
        return found
    return sum_over(each, weights_N) / len(weights_N)


def sum_over(each: np.ndarray, weights_N: Array | None) -> np.ndarray:
    """The sum over the last axis, of truths without weights a whole number."""
    if weights_N is None:
        found: np.ndarray = each.sum(axis=-1)
        return found
    known = each if each.dtype.kind == "b" else np.where(weights_N > 0.0, each, 0.0)
    weighted: np.ndarray = known @ weights_N
    return weighted


def per(part: np.ndarray, whole: np.ndarray) -> Array:
    """`part` over `whole`, and 0 where there is no whole.

    Example:
        >>> per(np.array([1.0, 2.0]), np.array([4, 0])).tolist()
        [0.25, 0.0]
    """
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    found: Array = np.divide(part, whole, out=np.zeros(shape), where=np.asarray(whole) > 0)
    return found


def usual_weight(weights_M: Array) -> float:
    """What an example weighs, the mean by weight: sum w^2 / sum w; examples of this weight would say as much as these.

    Source: L. Kish, 1965 (the effective number of examples, (sum w)^2 / sum w^2).

    Example:
        >>> usual_weight(np.array([1.0, 1.0, 1.0])), usual_weight(np.array([1.0, 3.0]))
        (1.0, 2.5)
    """
    return float(np.square(weights_M).sum() / weights_M.sum())


def usual_share(there_N: np.ndarray, weights_N: Array | None) -> float:
    """What an example has of the weight of some, as `usual_weight` has it; 1 where there is none.

    Args:
        there_N: which examples.
        weights_N: with mean 1; None: all count alike.

    Example:
        >>> usual_share(np.array([True, False, True]), None)
        0.5
    """
    some = there_N.astype(np.float64) if weights_N is None else weights_N * there_N
    return usual_weight(some) / float(some.sum()) if some.any() else 1.0
