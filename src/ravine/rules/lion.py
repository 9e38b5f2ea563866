"""Lion: every weight moves by lr, in the direction that a velocity and the new gradient agree on."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import Hypers, Rule, State
from ravine.rules.hyper import Hyper, decay_rate, learning_rate
from ravine.rules.regularize import decoupled

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """A mean of zero."""
    return {"mean": param.new_zeros(param.shape)}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Per weight: ``x <- x - lr (sign(beta1 m + (1 - beta1) g) + weight_decay x)``, ``m <- beta2 m + (1 - beta2) g``.

    The direction looks at the new gradient more than what is remembered does; ``weight_decay`` is the decoupled one.
    """
    direction = state["mean"].lerp(grad, 1.0 - hypers["beta1"]).sign()
    mean = state["mean"].lerp(grad, 1.0 - hypers["beta2"])
    return decoupled(direction * -hypers["lr"], param, hypers, "weight_decay"), {"mean": mean}


LION = Rule(
    name="lion",
    hypers={
        "lr": learning_rate(1e-4),
        "beta1": decay_rate("decay of the mean of gradients, for the direction", 0.9),
        "beta2": decay_rate("decay of the mean of gradients, for what is kept", 0.99),
        "weight_decay": Hyper(about="each step also shrinks x by lr times this", default=0.0, log=True),
    },
    init=init,
    update=update,
    decays=("weight_decay",),
    source="Chen et al., 2023",
)
