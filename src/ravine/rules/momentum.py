"""Stochastic gradient descent with momentum (the heavy ball)."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import Hypers, Rule, State
from ravine.rules.hyper import decay_rate, learning_rate

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """A velocity of zero."""
    return {"velocity": param.new_zeros(param.shape)}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Along a velocity: ``v <- rho v + g``, ``x <- x - lr v``.

    The learning rate is outside the velocity, as in torch.optim.SGD: a new lr scales the whole velocity at once. (The
    notes' ``x += lr v`` would climb.)
    """
    velocity = grad.addcmul(state["velocity"], hypers["rho"])
    return velocity * -hypers["lr"], {"velocity": velocity}


MOMENTUM = Rule(
    name="momentum",
    hypers={"lr": learning_rate(), "rho": decay_rate("decay of the velocity", 0.9)},
    init=init,
    update=update,
    source="Polyak, 1964",
)
