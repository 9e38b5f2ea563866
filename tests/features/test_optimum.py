"""The optimum of a linear head is that of scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ravine.features.optimum import RIDGE, Convex


def examples(num: int = 90, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    y = np.arange(num) % 3
    return draw.normal(size=(num, width)) + 0.7 * draw.normal(size=(3, width))[y], y


@pytest.mark.parametrize("weight_decay", [1.0, 1e-2, 1e-4])
def test_the_minimum_is_that_of_scikit_learn(weight_decay: float) -> None:
    x, y = examples()
    convex = Convex(x_ND=x, y_N=y, num_classes=3, weight_decay=weight_decay)
    found = convex.least()
    peer = LogisticRegression(C=1.0 / (weight_decay * len(y)), tol=1e-10, max_iter=10_000).fit(x, y)
    assert abs(found.loss - convex.value(peer.coef_, peer.intercept_)) < 1e-6
    assert found.loss == convex.value(found.weight_KD, found.bias_K)
    assert found.gradient < 1e-7


def test_the_gradient_is_that_of_its_value_with_smoothing_and_a_penalized_bias() -> None:
    x, y = examples(20, 4)
    for bias in (False, True):
        convex = Convex(x_ND=x, y_N=y, num_classes=3, weight_decay=0.3, smoothing=0.2, decays_bias=bias)
        table = np.random.default_rng(1).normal(size=(3, 5))
        value, gradient = convex._value_and_gradient(table)
        log_p = table[:, :-1] @ x.T + table[:, -1:]
        log_p -= np.log(np.exp(log_p).sum(0))
        answers = np.full((3, 20), 0.2 / 3)
        answers[y, np.arange(20)] += 0.8
        right = -(answers * log_p).sum(0).mean() + 0.15 * (table[:, : 5 if bias else 4] ** 2).sum()
        assert value == pytest.approx(right, rel=1e-12)
        for place in [(0, 0), (2, 3), (1, 4)]:
            step = np.zeros_like(table)
            step[place] = 1e-6
            slope = convex._value_and_gradient(table + step)[0] - convex._value_and_gradient(table - step)[0]
            assert gradient[place] == pytest.approx(slope / 2e-6, rel=1e-5, abs=1e-9)


def test_without_decay_separable_classes_have_next_to_no_loss() -> None:
    x, y = np.eye(6), np.arange(6) % 3
    found = Convex(x_ND=x, y_N=y, num_classes=3).least()
    assert 0.0 < found.loss < 1e-4
    assert found.loss >= 0.5 * RIDGE * np.square(found.weight_KD).sum()
