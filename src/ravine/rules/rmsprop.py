"""RMSProp: AdaGrad with a running mean of the squares in place of their sum."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules import adagrad
from ravine.rules.base import Hypers, Rule, State, TorchForm
from ravine.rules.hyper import decay_rate, learning_rate, small_constant

if TYPE_CHECKING:
    from torch import Tensor


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Per weight: ``s <- d s + (1 - d) g^2``, ``x <- x - lr g / (sqrt(s) + eps)``.

    The mean starts at 0 and is not corrected: the first step is ``lr / sqrt(1 - d)`` long, 3.16 lr at
    d = 0.9 and 31.6 lr at d = 0.999.
    """
    squares = state["squares"].lerp(grad.square(), 1.0 - hypers["decay"])
    return adagrad.by_root(grad, squares, hypers["lr"], hypers["eps"]), {"squares": squares}


RMSPROP = Rule(
    name="rmsprop",
    hypers={
        "lr": learning_rate(),
        "decay": decay_rate("decay of the mean of squares", 0.9),
        "eps": small_constant(1e-7),
    },
    init=adagrad.init,
    update=update,
    torch=TorchForm(hypers={"decay": 0.99, "eps": 1e-8}),
    source="Tieleman and Hinton, 2012",
)
