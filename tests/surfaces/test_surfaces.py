"""Surfaces, and paths of rules over them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ravine.errors import InputError, ModelError
from ravine.rules import rule
from ravine.surfaces import SURFACES, own_surface, path, scene, surface
from ravine.surfaces.noise import noise
from ravine.surfaces.traced import trace_surface

PLAIN = [name for name in SURFACES if not name.startswith("noisy_")]
DOUBLE = torch.float64


def params(name: str) -> dict[str, torch.Tensor]:
    return {key: torch.tensor(param.default, dtype=DOUBLE) for key, param in surface(name).params.items()}


@pytest.mark.parametrize("name", PLAIN)
def test_the_gradient_is_0_at_the_known_minima_and_nowhere_is_it_lower(name: str) -> None:
    ground = surface(name)
    assert ground.minima
    left, right, bottom, top = ground.domain
    grid = torch.cartesian_prod(
        torch.linspace(left, right, 61, dtype=DOUBLE), torch.linspace(bottom, top, 61, dtype=DOUBLE)
    )
    lowest = torch.func.vmap(lambda x: ground.loss(x, params(name)))(grid).min().item()
    for minimum in ground.minima:
        x = torch.tensor(minimum, dtype=DOUBLE)
        assert ground.slope(x, params(name)).abs().max().item() < 1e-11
        assert ground.loss(x, params(name)).item() <= lowest + 1e-12


@pytest.mark.parametrize("name", PLAIN)
def test_gradient_descent_goes_down_within_the_learning_rates_given(name: str) -> None:
    ground = surface(name)
    low, high = ground.lrs
    for lr in (low, math.sqrt(low * high), high):
        losses = path(rule("sgd"), ground, hypers={"lr": lr}, steps=100).losses
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", PLAIN)
def test_the_gradient_is_that_of_differences(name: str) -> None:
    ground = surface(name)
    x = torch.tensor(ground.start, dtype=DOUBLE) + 0.1
    step = 1e-6
    slope = ground.slope(x, params(name))
    for i in (0, 1):
        side = torch.zeros(2, dtype=DOUBLE)
        side[i] = step
        up, down = (ground.loss(x + sign * side, params(name)) for sign in (1, -1))
        assert slope[i].item() == pytest.approx((up - down).item() / (2 * step), rel=1e-6, abs=1e-6)


def test_an_ellipse_has_the_condition_and_the_angle_that_are_asked_for() -> None:
    given = {"condition": torch.tensor(40.0, dtype=DOUBLE), "angle": torch.tensor(30.0, dtype=DOUBLE)}
    hessian = torch.func.hessian(lambda x: surface("ellipse").loss(x, given))(torch.ones(2, dtype=DOUBLE))
    curvatures, axes = torch.linalg.eigh(hessian)
    assert curvatures.tolist() == pytest.approx([1.0, 40.0])
    assert math.degrees(math.atan2(axes[1, 0], axes[0, 0])) % 180 == pytest.approx(30.0)


def test_a_path_is_that_of_torch_optim() -> None:
    x = torch.tensor([-1.5, 2.0], dtype=DOUBLE, requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.02, eps=1e-8)
    points = [x.detach().clone()]
    for _ in range(300):
        adam.zero_grad()
        surface("rosenbrock").loss(x, {}).backward()
        adam.step()
        points.append(x.detach().clone())
    found = path(rule("adam"), surface("rosenbrock"), hypers={"lr": 0.02, "eps": 1e-8}, start=(-1.5, 2.0))
    np.testing.assert_allclose(found.points, torch.stack(points).numpy(), rtol=1e-9)


def test_noise_is_normal_and_keyed() -> None:
    drawn = noise(3, 20_000)
    assert drawn.mean(0).abs().max().item() < 0.03
    assert (drawn.std(0) - 1).abs().max().item() < 0.03
    assert abs(torch.corrcoef(drawn.T)[0, 1].item()) < 0.03
    assert torch.equal(noise(3, 10), drawn[:10])
    assert not torch.equal(noise(4, 10), drawn[:10])


def test_noise_is_added_to_the_gradient() -> None:
    plain = path(rule("sgd"), surface("ellipse"), hypers={"lr": 0.01}, steps=1)
    noisy = path(rule("sgd"), surface("noisy_ellipse"), hypers={"lr": 0.01}, steps=1, seed=5)
    expected = -0.01 * surface("noisy_ellipse").noise * noise(5, 1)[0].numpy()
    np.testing.assert_allclose(noisy.points[1] - plain.points[1], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: surface("rosenbrok"), "unknown surface 'rosenbrok': did you mean 'rosenbrock'?"),
        (lambda: path(rule("sgd"), surface("saddle"), hypers={"lr": 0.1}, params={"angle": 1.0}), "angle"),
        (lambda: path(rule("sgd"), surface("ellipse"), hypers={"lr": -1.0}), "lr = -1.0"),
        (lambda: path(rule("sgd"), surface("ellipse"), hypers={"lr": 1.0}, start=(math.nan, 0.0)), "start"),
    ],
)
def test_mistakes_are_told_in_a_line(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        call()
    assert words in str(caught.value)


def test_a_surface_without_an_expression_is_refused_with_the_reason() -> None:
    def looping(x: torch.Tensor) -> torch.Tensor:
        return x.sum() if x[0] > 0 else -x.sum()

    with pytest.raises(ModelError, match="surface looping: its control flow depends on the numbers"):
        trace_surface(own_surface(looping, (-1.0, 1.0, -1.0, 1.0)))
    with pytest.raises(ModelError, match=r"surface f: aten::erf has no expression"):
        trace_surface(own_surface(lambda x: x.erf().sum(), (-1.0, 1.0, -1.0, 1.0)))
    with pytest.raises(ModelError, match=r"surface f: it computes in float32"):
        trace_surface(own_surface(lambda x: x.float().sum(), (-1.0, 1.0, -1.0, 1.0)))
    with pytest.raises(ModelError, match=r"surface f: aten::div has no expression"):
        trace_surface(own_surface(lambda x: x.div(2.0, rounding_mode="floor").sum(), (-1.0, 1.0, -1.0, 1.0)))


def test_an_average_is_the_weighted_mean_of_the_points_that_its_rule_was_at() -> None:
    decay, steps = 0.8, 30
    for name in ("sgd", "nesterov", "schedule_free_adamw"):
        shown = scene("noisy_ellipse", rules=[name], ema=decay)
        own, average = shown.traced[0].rule, shown.traced[1].rule
        assert shown.on == (name, f"{name}, ema 0.8")
        given = {"hypers": {"lr": 0.05, "weight_decay": 0.1}, "steps": steps, "noise": 0.3}
        points = path(own, shown.surface, **given).points
        found = path(average, shown.surface, **given).points
        np.testing.assert_array_equal(found[0], points[0])
        for step in range(1, steps + 1):
            weights = (1 - decay) * decay ** np.arange(step - 1, -1, -1) / (1 - decay**step)
            np.testing.assert_allclose(found[step], weights @ points[1 : step + 1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("ema", [0, 1, 1.5, -0.1, math.nan, "much"])
def test_a_decay_is_between_0_and_1(ema: object) -> None:
    with pytest.raises(InputError, match=r"ema = .*: must be a number above 0 and below 1"):
        scene("ellipse", ema=ema)  # type: ignore[arg-type]
