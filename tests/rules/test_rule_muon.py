"""Muon: against singular values, torch.optim and Optax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.rules import preset, regularize, rule
from ravine.rules.muon import hidden, orthogonal
from thinning import thinned

ROUNDING = 1e-11  # float64; small singular values are multiplied by up to 3.4^5 = 485


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5), (5, 1)])
def test_the_iteration_is_a_polynomial_of_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = draw(*shape)
    u, values, vt = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.square().sum().sqrt()
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    torch.testing.assert_close(orthogonal(matrix), (u * values) @ vt, rtol=0.0, atol=ROUNDING)
    assert 0.68 < float(values.min()) <= float(values.max()) < 1.14


def test_what_comes_in_at_another_scale_goes_out_the_same_and_nothing_stays_nothing() -> None:
    matrix = draw(5, 7)
    torch.testing.assert_close(orthogonal(matrix * 1e4), orthogonal(matrix), rtol=0.0, atol=ROUNDING)
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def walk(kind: str, start: Tensor, hypers: dict[str, float], steps: int) -> Tensor:
    named, x = rule(kind), start
    state = named.init(x)
    numbers = {name: torch.tensor(value, dtype=x.dtype) for name, value in hypers.items()}
    for step in range(steps):
        move, state = named.update(gradient(x), state, x, numbers, torch.tensor(step + 1.0, dtype=x.dtype))
        x = x + move
    return x


def gradient(x: Tensor) -> Tensor:
    return x + 0.3 * torch.sin(3.0 * x) - 0.5


@pytest.mark.parametrize(
    ("steps", "shape"), thinned([(1, (4, 9)), (20, (9, 4)), (1, (9, 4)), (20, (4, 9))], strength=1)
)
def test_optax_has_the_same_rule(steps: int, shape: tuple[int, int]) -> None:
    """Its mean is corrected for its start at 0, so that from the second step on it mixes in a little less of it."""
    jax = pytest.importorskip("jax")
    contrib = pytest.importorskip("optax.contrib")
    start, lr, near = draw(*shape), 0.02, 1e-9 if steps == 1 else 5e-4
    with jax.enable_x64(True):
        # Optax's matrices map rows to columns: ours transposed; its length of a step is sqrt(max(1, columns / rows)).
        made = contrib.muon(lr, beta=0.95, weight_decay=0.1, eps=0.0)
        x = jax.numpy.asarray(start.numpy().T)
        state, step = made.init(x), jax.jit(made.update)
        for _ in range(steps):
            slope = jax.numpy.asarray(gradient(torch.from_numpy(np.array(x))).numpy())
            update, state = step(slope, state, x)
            x = x + update
    ours = walk("muon", start, {**preset("muon", "torch")[1], "lr": lr}, steps)
    np.testing.assert_allclose(ours.numpy().T, np.asarray(x), rtol=0.0, atol=near)


def test_the_torch_preset_is_torch_optims_but_for_its_16_bits() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    start = draw(6, 10).float()
    param = nn.Parameter(start.clone())
    optimizer = torch.optim.Muon([param], lr=0.02, weight_decay=0.1)
    for _ in range(10):
        param.grad = gradient(param.detach())
        optimizer.step()
    ours = walk("muon", start, {**preset("muon", "torch")[1], "lr": 0.02}, 10)
    assert float((ours - start).abs().max()) > 0.05
    torch.testing.assert_close(
        ours, param.detach(), rtol=0.0, atol=0.01
    )  # bfloat16 has 8 bits; 10 steps of 0.02


def test_a_convolutions_filters_are_rows_and_steps_are_as_long_as_adams() -> None:
    param, grad = draw(8, 3, 5, 5), draw(8, 3, 5, 5, seed=1)
    hypers = {**preset("muon")[1], "lr": 1.0, "weight_decay": 0.0}
    numbers = {name: torch.tensor(value, dtype=torch.float64) for name, value in hypers.items()}
    named = rule("muon")
    step, _ = named.update(grad, named.init(param), param, numbers, torch.tensor(1.0))
    expected = -0.2 * 75**0.5 * orthogonal(grad.flatten(1)).reshape(param.shape)
    torch.testing.assert_close(step, expected, rtol=0.0, atol=1e-8)
    # an orthogonal 8 x 75 matrix has 8 singular values of about 1: its numbers are about 1 / sqrt(75) long
    assert float(step.square().mean().sqrt()) == pytest.approx(0.2, rel=0.25)


def test_who_is_hidden() -> None:
    names = ["0.weight", "0.bias", "norm.weight", "3.weight", "3.bias", "out.weight", "out.bias"]
    shapes = [(8, 3, 3, 3), (8,), (8,), (16, 8), (16,), (10, 16), (10,)]
    assert hidden(names, shapes) == {"0.weight", "3.weight"}
    assert hidden(["weight", "bias"], [(3, 4), (3,)]) == set()


def test_penalties_reach_the_rule_for_others() -> None:
    named = regularize(rule("muon"), {"l1"})
    assert named.others is not None
    assert "l1" in named.others.hypers
    assert named.others.init(torch.ones(3)).keys() == {"mean", "squares"}
