"""The predictions of several members as one: the mean of their probabilities, computed from logarithms.

    log p = logsumexp_m(log softmax z_m + log w_m) - log sum_m w_m

so that a probability of 0 is minus infinity in one member and no NaN in the pool. The mean of logits is a geometric
mean, in which a member with large logits decides alone; it is there to show the difference, and so is a vote.

Shapes: M member, N example, K class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Combine = Literal["mean", "logits", "vote"]
COMBINES: tuple[Combine, ...] = ("mean", "logits", "vote")

_AT_ONCE = 1 << 21  # numbers of all members that are combined together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pooled:
    """What a pool predicts.

    Args:
        log_p: (N, K) logarithms of probabilities; of a vote, those of its shares. Of a regression None.
        predicted: (N,) the class of each example, or its value in the target's own units.
        spread: (N,) standard deviation between the members of a regression, weighted, in the same units; else None.
    """

    log_p: Array | None
    predicted: NDArray[np.number]
    spread: Array | None


def log_softmax(logits: np.ndarray) -> Array:
    """Logarithms of the probabilities that logits stand for, over the last axis.

    Example:
        >>> log_softmax(np.array([0.0, 0.0])).round(4).tolist()
        [-0.6931, -0.6931]
    """
    z = np.asarray(logits, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = z - z.max(axis=-1, keepdims=True)
        found: Array = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return found


def log_mean(log_p_MNK: Array, weights: Array) -> Array:
    """The logarithm of the weighted mean of probabilities over the first axis; of one member, its own bits.

    Args:
        log_p_MNK: logarithms, minus infinity for a probability of 0.
        weights: (M,), above 0.

    Example:
        >>> log_mean(np.log([[0.25], [0.75]]), np.ones(2)).round(4).tolist()
        [-0.6931]
    """
    equal = bool((weights == weights[0]).all())
    shape = (-1, *(1,) * (log_p_MNK.ndim - 1))
    terms = log_p_MNK if equal else log_p_MNK + np.log(weights).reshape(shape)
    top = terms.max(axis=0)
    base = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        found: Array = base + np.log(np.exp(terms - base).sum(axis=0))
    found -= np.log(float(len(weights)) if equal else weights.sum())
    return found


def pool_classes(logits: Sequence[np.ndarray], weights: Array, combine: Combine = "mean") -> Pooled:
    """Members of a classification as one.

    Args:
        logits: of each member, (N, K).
        weights: (M,), above 0; only their ratios count.
        combine: how.
    """
    weights = np.asarray(weights, dtype=np.float64)
    num_examples, num_classes = logits[0].shape
    step = max(1, _AT_ONCE // (len(logits) * num_classes))
    parts = [
        _combined(np.stack([each[start : start + step] for each in logits]), weights, combine)
        for start in range(0, max(1, num_examples), step)
    ]
    log_p, predicted = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Pooled(log_p=log_p, predicted=predicted, spread=None)


def pool_values(values: Sequence[np.ndarray], weights: Array) -> Pooled:
    """Members of a regression as one: the weighted mean of their values, and how far they are apart.

    Args:
        values: of each member, (N,) in the target's own units.
        weights: (M,), above 0; only their ratios count.
    """
    shares = np.asarray(weights, dtype=np.float64)
    equal = bool((shares == shares[0]).all())
    shares = np.ones_like(shares) if equal else shares
    total = shares.sum()
    table_MN = np.stack([np.asarray(each, dtype=np.float64) for each in values])
    mean = (shares[:, None] * table_MN).sum(axis=0) / total
    with np.errstate(invalid="ignore"):  # where a member's value is infinite
        variance = (shares[:, None] * np.square(table_MN - mean)).sum(axis=0) / total
    return Pooled(log_p=None, predicted=mean, spread=np.sqrt(variance))


def _combined(
    logits_MNK: np.ndarray, weights: Array, combine: Combine
) -> tuple[Array, NDArray[np.signedinteger]]:
    """Logarithms of probabilities, and classes, of some examples."""
    if combine == "logits":
        equal = bool((weights == weights[0]).all())
        shares = np.ones_like(weights) if equal else weights
        mean = (shares[:, None, None] * logits_MNK.astype(np.float64)).sum(axis=0) / shares.sum()
        log_p = log_softmax(mean)
        return log_p, log_p.argmax(axis=1)
    log_p = log_mean(log_softmax(logits_MNK), weights)
    if combine == "mean":
        return log_p, log_p.argmax(axis=1)
    return _voted(logits_MNK.argmax(axis=2), weights, log_p)


def _voted(classes_MN: np.ndarray, weights: Array, log_p: Array) -> tuple[Array, NDArray[np.signedinteger]]:
    """Shares of the votes; of classes with equally many, the one with the highest mean probability is chosen."""
    shares = np.zeros_like(log_p)
    places = np.arange(len(log_p))
    for classes, weight in zip(classes_MN, weights, strict=True):
        shares[places, classes] += weight
    shares /= weights.sum()
    first = shares >= shares.max(axis=1, keepdims=True) - 1e-12
    with np.errstate(divide="ignore"):
        return np.log(shares), np.where(first, log_p, -np.inf).argmax(axis=1)
