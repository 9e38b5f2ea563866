"""Features are brought to one scale, whatever they were."""

from __future__ import annotations

import numpy as np
import torch

from ravine.nn.standard import Standard, moments, standardized

X = (np.random.default_rng(2).normal(size=(50, 4)) * [1, 3, 0.2, 0] + [0, 5, -1, 7]).astype(np.float32)


def test_a_hundredfold_scale_makes_no_difference_to_what_the_head_is_given() -> None:
    once, again = (standardized(x, *moments(x)) for x in (X, 100 * X))
    np.testing.assert_allclose(once, again, atol=1e-5)
    np.testing.assert_allclose(once.mean(0), 0, atol=1e-6)
    assert once.std(0)[3] == 0


def test_many_examples_speak_for_themselves_and_few_are_drawn_towards_all_features() -> None:
    draw = np.random.default_rng(1)
    spread = np.array([1.0, 3.0, 0.2])
    many = (draw.normal(size=(20_000, 3)) * spread).astype(np.float32)
    np.testing.assert_allclose(moments(many)[1], spread, rtol=0.2)
    few = moments(many[:2])[1]
    np.testing.assert_allclose(few, few.mean(), rtol=0.05)


def test_a_feature_that_hardly_varies_among_few_examples_is_not_blown_up() -> None:
    x = X.copy()
    x[0, 3] += 1e-4
    assert np.abs(standardized(x, *moments(x))[:, 3]).max() < 0.001
    assert moments(X[:1])[1].tolist() == [1, 1, 1, 1]


def test_the_layer_does_the_same_bit_for_bit_and_trains_nothing() -> None:
    layer = Standard(4)
    assert not list(layer.parameters())
    x = torch.from_numpy(X)
    assert torch.equal(layer(x), x)
    for name, value in zip(("mean", "deviation"), moments(X), strict=True):
        getattr(layer, name).copy_(torch.from_numpy(value))
    assert layer(x).numpy().tobytes() == standardized(X, *moments(X)).tobytes()
    layer.given = True
    assert layer(x) is x
