"""How much a pool gains with its number of members, and what further ones would bring.

A_k is the mean score of all pools of k of the R members, with equal weights. For squared errors, Brier scores among
them, no pool need be looked at: with B_1 the mean score of one member and B_pair the mean over pairs of
<p_i - y, p_j - y> (half of it for two classes, as of their Brier scores),

    A_k = B_1 / k + (1 - 1 / k) B_pair

which goes on beyond R, and ends at B_pair. For other scores A_k is the mean over all subsets, or over many
of them. Subsets share members, so that their spread says little; the interval comes from leaving out one run at a time
(jackknife), and covers the choice of seeds on these examples. Of all R members there is one subset only: its interval
covers the choice of examples and nothing else.

Source: W. Hoeffding, 1948 (U-statistics); J. N. Arvesen, 1969 (their jackknife); N. Ueda and R. Nakano, 1996.

Shapes: R member, N example, K class, Q subset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.folds import words
from ravine.ensembles.pooling import log_softmax
from ravine.metrics import brier_factor
from ravine.parallel import each
from ravine.verdict.own_interval import mean_interval
from ravine.verdict.student import Error, half_width

Array = NDArray[np.float64]

ALPHA = 0.05
_MOST_SUBSETS, _FEWEST_SUBSETS = 1024, 128
_WORK = 1 << 24  # probabilities of the pools of one size, about
_AT_ONCE = 1 << 18  # of them together: they stay in a core's cache
_SIZES = (*range(1, 11), 12, 15, 20, 30, 50, 70, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A score at some number of members.

    Args:
        value: the mean score.
        interval: of 95 %; None where it cannot be said.
        covers: what the interval is of: other seeds on these examples, or other examples with these members.
    """

    value: float
    interval: tuple[float, float] | None
    covers: Literal["seeds", "examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The scores of pools of so many members with equal weights.

    Args:
        members: how many.
        scores: by name: ``nll``, ``brier`` and ``accuracy``, or ``mse``.
    """

    members: int
    scores: dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What more members like these would bring, on the same examples.

    Args:
        score: ``brier`` or ``mse``.
        members: as many as there are.
        now: the score of all of them.
        twice: that of twice as many.
        limit: that of any number.
    """

    score: str
    members: int
    now: float
    twice: Value
    limit: Value


def of_classes(
    logits: Sequence[np.ndarray],
    answers: np.ndarray,
    *,
    alike: bool = True,
    most: int | None = None,
    per: int = 1,
) -> tuple[Gain, ...]:
    """The gain of a classification.

    Args:
        logits: of each member, (N, K).
        answers: (N,) classes.
        alike: the members are seeds of one config, none of them chosen: a sample of such seeds. False: they are a
            sample of nothing, and only the interval at all members can be said.
        most: subsets of a size, about, at most; None: as many as there is time for.
        per: rows that belong to one example, next to each other; intervals are over examples.
    """
    log_p_RNK = log_softmax(np.stack(logits))
    right_RN = log_p_RNK[:, np.arange(len(answers)), answers]
    p_RNK = np.exp(log_p_RNK)
    products = class_products(p_RNK, answers)
    num, (num_examples, num_classes) = len(logits), logits[0].shape
    many = most or min(_MOST_SUBSETS, max(_FEWEST_SUBSETS, _WORK // (num_examples * num_classes)))
    p_RKN = np.ascontiguousarray(p_RNK.transpose(0, 2, 1))

    def at(size: int) -> Gain:
        subsets = subsets_of(num, size, many)
        nll_Q, accuracy_Q, per_example = _scored(p_RKN, right_RN, answers, subsets)
        scores = {
            name: _subset_value(subsets, found_Q, _by_example(per_example[name], per), alike, most)
            for name, found_Q, most in (("nll", nll_Q, math.inf), ("accuracy", accuracy_Q, 1.0))
        }
        errors = None
        if size == num:
            mean = p_RNK.mean(axis=0)
            errors = np.square(mean).sum(axis=1) - 2.0 * mean[np.arange(num_examples), answers] + 1.0
            errors *= brier_factor(num_classes)
        scores["brier"] = _closed_value(products, size, _by_example(errors, per), alike)
        return Gain(members=size, scores=scores)

    return tuple(each(at, sizes(num)))


def of_values(
    values: Sequence[np.ndarray], answers: np.ndarray, *, alike: bool = True, per: int = 1
) -> tuple[Gain, ...]:
    """The gain of a regression.

    Args:
        values: of each member, (N,).
        answers: (N,) the right ones.
        alike, per: as in `of_classes`.
    """
    errors_RN = np.stack([np.asarray(each, dtype=np.float64) for each in values]) - answers
    products = value_products(errors_RN)
    whole = _by_example(np.square(errors_RN.mean(axis=0)), per)
    num = len(values)
    return tuple(
        Gain(
            members=size,
            scores={"mse": _closed_value(products, size, whole if size == num else None, alike)},
        )
        for size in sizes(num)
    )


def forecast(score: str, products: Array) -> Forecast | None:
    """What more members would bring; None for a single one, from which nothing can be said.

    Args:
        score: ``brier`` or ``mse``.
        products: (R, R) from `class_products` or `value_products`.
    """
    num = len(products)
    if num < 2:
        return None
    twice, limit = (_extrapolated(products, size) for size in (2.0 * num, math.inf))
    return Forecast(score=score, members=num, now=closed_form(products, num), twice=twice, limit=limit)


def class_products(p_RNK: Array, answers: np.ndarray) -> Array:
    """Mean over examples of <p_i - y, p_j - y>, of two classes half of it, (R, R): a Brier score on the diagonal."""
    num, num_examples, num_classes = p_RNK.shape
    found = np.zeros((num, num))
    step = max(1, _AT_ONCE // (num * num_classes))
    for start in range(0, num_examples, step):
        off = p_RNK[:, start : start + step].copy()
        right = answers[start : start + step]
        off[:, np.arange(len(right)), right] -= 1.0
        flat = off.reshape(num, -1)
        found += flat @ flat.T
    found *= brier_factor(num_classes) / num_examples
    return found


def value_products(errors_RN: Array) -> Array:
    """Mean over examples of the products of two members' errors, (R, R)."""
    found: Array = errors_RN @ errors_RN.T / errors_RN.shape[1]
    return found


def closed_form(products: Array, size: float) -> float:
    """The mean score of all pools of so many members, infinitely many among them.

    Example:
        >>> closed_form(np.array([[4.0, 1.0], [1.0, 2.0]]), 2)
        2.0
    """
    num = len(products)
    alone = float(np.trace(products)) / num
    if size == 1 or num == 1:
        return alone
    pair = float(products.sum() - np.trace(products)) / (num * (num - 1))
    return alone / size + (1.0 - 1.0 / size) * pair


def sizes(num: int) -> list[int]:
    """The numbers of members at which the gain is computed, the last one all of them."""
    return [size for size in _SIZES if size < num] + [num]


def subsets_of(num: int, size: int, most: int) -> NDArray[np.bool_]:
    """Subsets of so many members, (Q, R): all of them, or where there are more than so many, about as many of them.

    A key draws orders of the members, and every stretch of an order, taken as a ring, is a subset. So each member is in
    equally many of them, and left out of equally many.
    """
    if math.comb(num, size) <= most:
        rows = np.array(list(combinations(range(num), size)))
    else:
        rings = -(-most // num)
        order = np.argsort(words(rings * num, num, size).reshape(rings, num), axis=1, kind="stable")
        places = (np.arange(num)[:, None] + np.arange(size)) % num
        rows = order[:, places].reshape(-1, size)
    found = np.zeros((len(rows), num), dtype=bool)
    np.put_along_axis(found, rows, True, axis=1)
    return found


def jackknifed(leave_one_out: Sequence[float]) -> float:
    """The standard error from the values without each run in turn; NaN where one is not finite."""
    values = np.asarray(leave_one_out)
    if not np.isfinite(values).all():  # a probability of 0 for the right class
        return math.nan
    return math.sqrt((len(values) - 1) / len(values) * float(np.square(values - values.mean()).sum()))


def _by_example(scores: Array | None, per: int) -> Array | None:
    """The mean over the rows of each example."""
    return scores if scores is None or per == 1 else scores.reshape(-1, per).mean(axis=1)


def _subset_value(
    subsets: NDArray[np.bool_], score_Q: Array, per_example: Array | None, alike: bool, most: float
) -> Value:
    """The mean over subsets with its interval. No score is above `most`."""
    num = subsets.shape[1]
    value = float(score_Q.mean())
    if per_example is not None:
        return Value(value=value, interval=_over_examples(per_example), covers="examples")
    if not alike:
        return Value(value=value, interval=None, covers="seeds")
    without = [float(score_Q[~subsets[:, run]].mean()) for run in range(num)]
    return Value(value=value, interval=_over_seeds(value, without, most), covers="seeds")


def _closed_value(products: Array, size: int, per_example: Array | None, alike: bool) -> Value:
    if per_example is not None:  # all members
        return Value(value=float(per_example.mean()), interval=_over_examples(per_example), covers="examples")
    if not alike:
        return Value(value=closed_form(products, size), interval=None, covers="seeds")
    return _extrapolated(products, size)


def _extrapolated(products: Array, size: float) -> Value:
    value, num = closed_form(products, size), len(products)
    interval = None
    if num > 2 or size == 1:
        kept = [np.delete(np.delete(products, run, 0), run, 1) for run in range(num)]
        interval = _over_seeds(value, [closed_form(each, size) for each in kept])
    return Value(value=value, interval=interval, covers="seeds")


def _over_seeds(value: float, without: Sequence[float], most: float = math.inf) -> tuple[float, float] | None:
    """The interval, without what no score can be: below 0, or above `most`."""
    error = jackknifed(without)
    if not math.isfinite(value) or not math.isfinite(error):
        return None
    half = half_width(Error(seed=error, df=len(without) - 1.0, floor=0.0, example=0.0), ALPHA)
    return max(value - half, min(value, 0.0)), min(value + half, most)


def _over_examples(scores: Array) -> tuple[float, float] | None:
    if not np.isfinite(scores).all():
        return None
    binary = scores.dtype == bool
    low, high = mean_interval(scores.astype(np.float64)[None], ALPHA, binary=binary)
    return max(low, 0.0), high


def _scored(
    p_RKN: Array, right_RN: Array, answers: np.ndarray, subsets: NDArray[np.bool_]
) -> tuple[Array, Array, dict[str, Array | None]]:
    """NLL and accuracy of each subset's pool, (Q,); of a single pool of all members also those of each example.

    Args:
        p_RKN: probabilities, classes first: then the largest is found along memory.
        right_RN: logarithms of those of the right classes.
        answers: (N,) classes.
        subsets: (Q, R).
    """
    num, num_classes, num_examples = p_RKN.shape
    shares = subsets / subsets.sum(axis=1, keepdims=True)
    nll_Q, right_Q = np.zeros(len(subsets)), np.zeros(len(subsets))
    whole: dict[str, list[Array]] = {"nll": [], "accuracy": []}
    top = right_RN.max(axis=0)
    base = np.where(np.isfinite(top), top, 0.0)  # so that no probability is too small for its logarithm
    step = max(1, _AT_ONCE // (len(subsets) * num_classes))
    for start in range(0, num_examples, step):
        cut = slice(start, start + step)
        pooled_QKN = (shares @ p_RKN[:, :, cut].reshape(num, -1)).reshape(len(subsets), num_classes, -1)
        right_QN = _right(pooled_QKN, answers[cut])
        with np.errstate(divide="ignore"):
            nll_QN = -(np.log(shares @ np.exp(right_RN[:, cut] - base[cut])) + base[cut])
        nll_Q += nll_QN.sum(axis=1)
        right_Q += right_QN.sum(axis=1)
        if subsets.all():
            whole["nll"].append(nll_QN[0])
            whole["accuracy"].append(right_QN[0])
    per_example = {name: np.concatenate(found) if found else None for name, found in whole.items()}
    return nll_Q / num_examples, right_Q / num_examples, per_example


def _right(pooled_QKN: Array, answers: np.ndarray) -> NDArray[np.bool_]:
    """Whether the right class is the most probable one, of equals the first, (Q, N). Changes the probabilities."""
    places = np.arange(len(answers))
    own_QN = pooled_QKN[:, answers, places]
    pooled_QKN[:, answers, places] = -1.0
    others_QN = pooled_QKN.max(axis=1)
    found: NDArray[np.bool_] = own_QN > others_QN
    pools, examples = np.nonzero(own_QN == others_QN)
    found[pools, examples] = answers[examples] < pooled_QKN[pools, :, examples].argmax(axis=1)
    return found
