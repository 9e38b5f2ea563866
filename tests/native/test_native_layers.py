"""Gradients of stochastic layers in machine code, against PyTorch's in float64 with the same draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from native_functions import normal, run
from torch import Tensor, nn

from ravine import nn as layers
from ravine import rng
from ravine.nn.stochastic import set_keyed, stochastic_modules

RATE = 0.25  # 1 - RATE is the same in float32 and float64, and so are the masks
TABLE, PICTURES = (7, 6), (3, 4, 7, 6)

MADE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dropout": (lambda: layers.Dropout(RATE), TABLE),
    "alpha": (lambda: layers.AlphaDropout(RATE), TABLE),
    "connect": (lambda: layers.DropConnectLinear(6, 5, RATE, activation="tanh"), TABLE),
    "connect, Gaussian": (
        lambda: layers.DropConnectLinear(6, 5, RATE, activation="gelu", draw="gaussian"),
        TABLE,
    ),
    "connect, example": (lambda: layers.DropConnectLinear(6, 5, RATE, draw="example"), TABLE),
    "convolution": (lambda: layers.DropConnectConv2d(4, 5, 3, RATE, activation="relu"), PICTURES),
    "convolution, example": (
        lambda: layers.DropConnectConv2d(4, 5, 3, RATE, padding=1, draw="example"),
        PICTURES,
    ),
    "pool": (lambda: layers.StochasticPool2d(2), PICTURES),
    "fractional": (lambda: layers.FractionalMaxPool2d(1.5, rate=RATE), PICTURES),
    "fractional, example": (lambda: layers.FractionalMaxPool2d(1.5, draw="example", overlapping=False), PICTURES),
    "depth": (lambda: layers.StochasticDepth(RATE, nn.Linear(6, 6), scale="inverted"), TABLE),
    "depth, example": (lambda: layers.StochasticDepth(RATE, nn.Linear(6, 6), draw="example"), TABLE),
}  # fmt: skip


QUICK = ("connect, Gaussian", "depth")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MADE]
)
def test_gradients_are_those_of_float64(name: str) -> None:
    make, shape = MADE[name]
    torch.manual_seed(0)
    module = set_keyed(make()).train()
    prefix = next(at for at, _ in stochastic_modules(module))
    key_name = f"{prefix}.key" if prefix else "key"
    names = [each for each, _ in module.named_parameters()]

    def program(x: Tensor, weight: Tensor, key: Tensor, *params: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            free = [each.detach().requires_grad_() for each in (x, *params)]
            given = {**dict(zip(names, free[1:], strict=True)), key_name: key}
            value = torch.func.functional_call(module, given, (free[0],))
            grads = torch.autograd.grad(
                (value * weight).sum(), free, materialize_grads=True, allow_unused=True
            )
        return (value.detach(), *grads)

    x, params = normal(*shape), [each.detach().clone() for each in module.parameters()]
    for step in range(2):
        key = rng.key(step, "layer")
        with torch.no_grad():
            weight = normal(*torch.func.functional_call(module, {key_name: key}, (x,)).shape, seed=1)
        mine = run(program, x, weight, key, *params)
        exact = program(x.double(), weight.double(), key, *(each.double() for each in params))
        for one, right in zip(mine, exact, strict=True):
            torch.testing.assert_close(one.double(), right, rtol=2e-5, atol=2e-5)
