"""AdaGrad: steps that shrink with the sum of all squared gradients so far."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import Hypers, Rule, State, TorchForm
from ravine.rules.hyper import learning_rate, small_constant

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """A sum of squares of zero."""
    return {"squares": param.new_zeros(param.shape)}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Per weight: ``s <- s + g^2``, ``x <- x - lr g / (sqrt(s) + eps)``, eps outside the root."""
    squares = state["squares"].addcmul(grad, grad)
    return by_root(grad, squares, hypers["lr"], hypers["eps"]), {"squares": squares}


def by_root(direction: Tensor, squares: Tensor, lr: Tensor, eps: Tensor) -> Tensor:
    """The step of all rules of this family: ``-lr direction / (sqrt(squares) + eps)``."""
    return direction * -lr / (squares.sqrt() + eps)


ADAGRAD = Rule(
    name="adagrad",
    hypers={"lr": learning_rate(), "eps": small_constant(1e-7)},
    init=init,
    update=update,
    torch=TorchForm(hypers={"eps": 1e-10}),
    source="Duchi, Hazan and Singer, 2011",
)
