"""Pools of members against SciPy and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_softmax as scipys_log_softmax
from scipy.special import logsumexp

from ravine.ensembles.pooling import log_mean, log_softmax, pool_classes, pool_values

RNG = np.random.default_rng(0)
LOGITS = [(RNG.normal(size=(40, 3)) * 4).astype(np.float32) for _ in range(5)]


def test_the_mean_of_probabilities_is_scipys() -> None:
    weights = np.array([3.0, 1.0, 1.0, 2.0, 0.5])
    each = np.stack([scipys_log_softmax(z.astype(np.float64), axis=1) for z in LOGITS])
    found = pool_classes(LOGITS, weights).log_p
    expected = logsumexp(each, axis=0, b=weights[:, None, None] / weights.sum())
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert found is not None
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-13)  # softmax was taken once
    equal = pool_classes(LOGITS, np.ones(5)).log_p
    np.testing.assert_allclose(equal, logsumexp(each, axis=0) - math.log(5), rtol=1e-13)


@pytest.mark.parametrize("combine", ["mean", "logits", "vote"])
def test_one_member_is_itself_bit_for_bit(combine: str) -> None:
    alone = pool_classes(LOGITS[:1], np.array([0.3]), combine)  # type: ignore[arg-type]
    assert (alone.predicted == LOGITS[0].argmax(axis=1)).all()
    if combine != "vote":
        assert alone.log_p is not None
        assert (alone.log_p == log_softmax(LOGITS[0])).all()
    values = RNG.normal(size=7)
    one = pool_values([values], np.array([0.3]))
    assert (one.predicted == values).all()
    assert one.spread is not None
    assert (one.spread == 0.0).all()


def test_logits_and_probabilities_choose_other_classes() -> None:
    p = np.array([[0.0001, 0.9999], [0.8, 0.2], [0.8, 0.2]])
    logits = [np.log(row)[None] for row in p]
    assert pool_classes(logits, np.ones(3)).predicted.tolist() == [0]
    assert pool_classes(logits, np.ones(3), "logits").predicted.tolist() == [1]
    assert pool_classes(logits, np.ones(3), "vote").predicted.tolist() == [0]


def test_a_member_with_large_logits_decides_a_mean_of_logits_alone() -> None:
    loud = [LOGITS[0] * 20, *LOGITS[1:]]
    own = LOGITS[0].argmax(axis=1)
    by_logits = (pool_classes(loud, np.ones(5), "logits").predicted == own).mean()
    by_mean = (pool_classes(loud, np.ones(5)).predicted == own).mean()
    assert by_logits > by_mean + 0.1


def test_a_probability_of_zero_is_no_nan() -> None:
    with np.errstate(divide="ignore"):
        each = np.log(np.array([[[0.0, 1.0]], [[0.5, 0.5]], [[0.0, 1.0]]]))
    assert -log_mean(each[:2], np.ones(2))[0, 0] == pytest.approx(-math.log(0.25))
    assert log_mean(each[::2], np.ones(2))[0, 0] == -np.inf
    hopeless = [np.array([[-np.inf, 0.0]]), np.array([[0.0, 0.0]])]
    found = pool_classes(hopeless, np.ones(2)).log_p
    assert found is not None
    np.testing.assert_allclose(-found[0], [-math.log(0.25), -math.log(0.75)])


def test_equally_many_votes_go_to_the_more_probable_class() -> None:
    logits = [np.log([[0.6, 0.3, 0.1]]), np.log([[0.2, 0.7, 0.1]])]
    found = pool_classes(logits, np.ones(2), "vote")
    assert found.predicted.tolist() == [1]
    assert found.log_p is not None
    np.testing.assert_allclose(np.exp(found.log_p), [[0.5, 0.5, 0.0]])


def test_a_pool_is_never_worse_than_its_mean_member() -> None:
    """The NLL is convex in probabilities and in logits; accuracy has no such law."""
    answers = RNG.integers(0, 3, 40)
    alone = np.mean([-log_softmax(z)[np.arange(40), answers].mean() for z in LOGITS])
    for combine in ("mean", "logits"):
        found = pool_classes(LOGITS, np.ones(5), combine).log_p  # type: ignore[arg-type]
        assert found is not None
        assert -found[np.arange(40), answers].mean() <= alone


def test_values_and_their_spread_have_the_targets_unit() -> None:
    values = [RNG.normal(size=30) for _ in range(4)]
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    one, ten = pool_values(values, weights), pool_values([10 * each for each in values], weights)
    np.testing.assert_allclose(one.predicted, np.average(values, axis=0, weights=weights))
    assert one.spread is not None
    assert ten.spread is not None
    np.testing.assert_allclose(ten.predicted, 10 * one.predicted)
    np.testing.assert_allclose(ten.spread**2, 100 * one.spread**2)  # a variance, not a mean
