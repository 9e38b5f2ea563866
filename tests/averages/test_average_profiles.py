"""Profiles, step by step, and how well one is made of others."""

from __future__ import annotations

import numpy as np
import pytest

from ravine.averages import profiles
from ravine.averages.profiles import Profile, combine, profiles_of
from ravine.rules.averages import Average, chosen, ema, exponent, power, uniform

T = 2000
AT = range(100, T + 1, 100)
TWO = [Profile(average=power(width), at=at) for width in (0.05, 0.10) for at in AT]
THREE = TWO + [Profile(average=uniform(), at=at) for at in AT]
EPOCH_MEANS = [Profile(average=uniform(at - 99), at=at) for at in AT]

# Relative L2 errors in per cent that were published for continuous inner products, to their last digit.
TABLE: dict[str, tuple[Average, tuple[float, float, float]]] = {
    "width 0.03": (power(0.03), (2.6, 0.4, 40)),
    "width 0.20": (power(0.20), (1.6, 0.06, 3.5)),
    "ema 0.99": (ema(0.99), (0.5, 0.05, 28)),
    "ema 0.998": (ema(0.998), (2.0, 0.05, 5.8)),
    "mean": (uniform(), (27, 0, 0)),
    "last quarter": (uniform(1501), (1.5, 0, 0)),
}
AMPLIFIED = {
    "width 0.03": (8.7, 105),
    "width 0.20": (2.0, 3.3),
    "ema 0.99": (2.2, 16),
    "ema 0.998": (1.8, 2.9),
}


def test_profiles_are_what_the_formulas_say(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, t, i = 60, 45, np.arange(1, 61)
    more = exponent(0.1) + 1
    right = [
        np.where(i <= t, (1 - 0.9) * 0.9 ** (t - np.minimum(i, t)) / (1 - 0.9**t), 0.0),
        np.where(i <= t, (i / t) ** more - ((i - 1) / t) ** more, 0.0),
        ((i >= 11) & (i <= t)) / 35,
        (i == t) * 1.0,
        np.isin(i, [7, 40]) / 2,
    ]
    averages = [ema(0.9), power(0.1), uniform(11), chosen([t]), chosen([7, 40, 50])]
    asked = [Profile(average=average, at=t) for average in averages]
    whole = profiles_of(asked, steps)
    np.testing.assert_allclose(whole.T, right, rtol=1e-11, atol=1e-15)
    monkeypatch.setattr(profiles, "_CHUNK", 7 * len(asked))  # 60 steps in parts of 7
    np.testing.assert_allclose(profiles_of(asked, steps), whole, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("name", TABLE)
def test_errors_are_at_most_those_of_the_table(name: str) -> None:
    target, published = TABLE[name]
    for vectors, percent in zip((TWO, THREE, EPOCH_MEANS), published, strict=True):
        found = combine(vectors, target, T)
        unit = 10.0 ** -len(f"{percent:g}".partition(".")[2])
        assert 100 * found.error < percent + unit / 2 if percent else found.error < 1e-9
        assert found.coefficients.sum() == pytest.approx(1.0, abs=1e-9)
        made = profiles_of(vectors, T) @ found.coefficients
        wanted = profiles_of([Profile(average=target, at=T)], T)[:, 0]
        off = np.linalg.norm(made - wanted) / np.linalg.norm(wanted)
        assert off == pytest.approx(found.error, rel=1e-4, abs=1e-9)  # as it was said to be
    for vectors, amplified in zip((TWO, THREE), AMPLIFIED.get(name, ()), strict=False):
        assert combine(vectors, target, T).amplification == pytest.approx(amplified, rel=0.03)


def test_the_closest_combination_with_the_sum_1() -> None:
    """Against the equations of Lagrange, for vectors that are no bank."""
    steps = 40
    vectors = [Profile(average=chosen([at]), at=at) for at in (5, 20, 39, 40)]
    vectors += [Profile(average=ema(0.8), at=at) for at in (10, 30)]
    target = power(0.1)
    P = profiles_of(vectors, steps)
    wanted = profiles_of([Profile(average=target, at=steps)], steps)[:, 0]
    ones = np.ones(len(vectors))
    equations = np.block([[P.T @ P, ones[:, None]], [ones[None], np.zeros((1, 1))]])
    right = np.linalg.solve(equations, np.append(P.T @ wanted, 1.0))[:-1]
    found = combine(vectors, target, steps)
    np.testing.assert_allclose(found.coefficients, right, atol=1e-9)


def test_what_is_there_already_is_taken_as_it_is() -> None:
    found = combine([*THREE, Profile(average=ema(0.9), at=T)], ema(0.9), T)
    assert found.error < 1e-12
    assert np.flatnonzero(found.coefficients).tolist() == [len(THREE)]
    alone = combine([Profile(average=chosen([3]), at=3)], chosen([3]), 3)
    assert (alone.coefficients.tolist(), alone.error) == ([1.0], 0.0)
