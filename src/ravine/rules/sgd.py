"""Stochastic gradient descent."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import Hypers, Rule, State
from ravine.rules.hyper import learning_rate

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """No state."""
    return {}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """One step against the gradient: ``x <- x - lr g``, on a full batch or a minibatch."""
    return grad * -hypers["lr"], state


SGD = Rule(
    name="sgd",
    hypers={"lr": learning_rate()},
    init=init,
    update=update,
    source="Robbins and Monro, 1951",
)
