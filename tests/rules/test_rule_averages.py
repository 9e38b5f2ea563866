"""Averages against their weights, summed in float64, and around every rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from rules_reference import ON_VECTORS, defaults

from ravine.rules import averages, rule
from ravine.rules.averages import Average

NUM_STEPS = 500
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def _ema(decay: float) -> Callable[[int, int], float]:
    return lambda i, t: (1 - decay) * decay ** (t - i) / (1 - decay**t)


def _power(width: float) -> Callable[[int, int], float]:
    lower, upper = 0.0, 1e4  # the width falls as the exponent grows: by bisection
    for _ in range(200):
        g = (lower + upper) / 2
        lower, upper = (g, upper) if (g + 1) / ((g + 2) ** 2 * (g + 3)) > width**2 else (lower, g)
    return lambda i, t: (i / t) ** (g + 1) - ((i - 1) / t) ** (g + 1)


CYCLES = [120, 250, 375, 500]
KINDS: list[tuple[Average, Callable[[int, int], float]]] = [
    (averages.ema(0.9), _ema(0.9)),
    (averages.ema(0.9999), _ema(0.9999)),
    (averages.power(0.05), _power(0.05)),
    (averages.power(0.2), _power(0.2)),
    (averages.uniform(), lambda _, t: 1 / t),
    (averages.uniform(251), lambda i, t: (i > 250) / (t - 250)),
    (averages.chosen(CYCLES), lambda i, t: (i in CYCLES) / sum(c <= t for c in CYCLES)),
]
NAMES = [f"{average.name} from {average.first}" for average, _ in KINDS]


def path(num: int = NUM_STEPS) -> np.ndarray:
    """Weights after each step: they move away from where they began, with noise."""
    noise = np.random.default_rng(0).normal(size=(num, 40))
    return 1.0 + 0.05 * noise.cumsum(0) + 0.3 * noise


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("average", "weight"), KINDS, ids=NAMES)
def test_an_average_is_the_weighted_sum(
    average: Average, weight: Callable[[int, int], float], dtype: torch.dtype
) -> None:
    weights = path()
    shares = average.share(np.arange(1, NUM_STEPS + 1))
    found = torch.zeros(40, dtype=dtype)
    for each, share in zip(torch.from_numpy(weights).to(dtype), shares, strict=True):
        found = found.lerp(each, torch.tensor(share, dtype=dtype))
    right = sum(weight(i, NUM_STEPS) * weights[i - 1] for i in range(1, NUM_STEPS + 1))
    error = np.linalg.norm(found.double().numpy() - right) / np.linalg.norm(right)
    assert error <= TOLERANCE[dtype]


@pytest.mark.parametrize(("average", "_"), KINDS, ids=NAMES)
def test_an_average_begins_as_the_weights(average: Average, _: object) -> None:
    shares = average.share(np.arange(1, NUM_STEPS + 1))
    first = int(np.flatnonzero(shares)[0])
    assert first + 1 == average.first
    assert shares[first] == 1.0


def test_a_power_average_of_the_widest_width_is_the_mean() -> None:
    assert averages.exponent(averages.WIDEST) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_around_every_rule_it_averages_what_is_deployed_and_changes_nothing_else(kind: str) -> None:
    kept = [averages.ema(0.9), averages.uniform(11)]
    plain = rule(kind)
    around = averages.averaged(plain, [each.name for each in kept])
    x = y = torch.linspace(-1.0, 1.0, 7, dtype=torch.float64)
    state, other = plain.init(x), around.init(y)
    hypers = {name: torch.tensor(value, dtype=x.dtype) for name, value in defaults(plain).items()}
    hypers["lr"] = torch.tensor(0.05, dtype=x.dtype)
    deployed = []
    for step in range(1, 31):
        t = torch.tensor(float(step), dtype=x.dtype)
        shares = {each.name: torch.from_numpy(np.asarray(each.share(np.array(step)))) for each in kept}
        update, state = plain.update(x.sin(), state, x, hypers, t)
        move, other = around.update(y.sin(), other, y, {**hypers, **shares}, t)
        x, y = x + update, y + move
        deployed.append(x if plain.deployed is None else plain.deployed(x, state, hypers))
    assert torch.equal(x, y)
    assert all(torch.equal(slot, other[name]) for name, slot in state.items())
    assert torch.equal(around.points["polyak"](y, other, hypers), other["polyak"])
    assert torch.allclose(other["polyak"], torch.stack(deployed[10:]).mean(0), rtol=1e-12, atol=1e-13)
    weight = _ema(0.9)
    right = torch.stack([weight(i, 30) * each for i, each in enumerate(deployed, 1)]).sum(0)
    assert torch.allclose(other["ema 0.9"], right, rtol=1e-12, atol=1e-13)
    if plain.deployed is not None:
        assert around.deployed is plain.deployed


def test_a_rule_for_other_parameters_is_averaged_too() -> None:
    around = averages.averaged(rule("muon"), ["polyak"])
    assert around.others is not None
    assert "polyak" in around.others.points
    assert averages.averaged(rule("muon"), []) is rule("muon")
