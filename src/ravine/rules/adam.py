"""Adam: a velocity for the direction, a mean of squares for the stride, neither biased by its start at 0."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.adagrad import by_root
from ravine.rules.base import Hypers, Rule, State, TorchForm
from ravine.rules.hyper import Hyper, decay_rate, learning_rate, small_constant

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """Both means of zero."""
    return {"mean": param.new_zeros(param.shape), "squares": param.new_zeros(param.shape)}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Per weight, with t from 1.

    ``m <- beta1 m + (1 - beta1) g``, ``s <- beta2 s + (1 - beta2) g^2``,
    ``x <- x - lr m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps)``.

    With ``bias_correction = 0`` both divisors are 1. (The notes' loop starts at t = 0, which is 0/0.)
    """
    beta1, beta2 = hypers["beta1"], hypers["beta2"]
    mean = state["mean"].lerp(grad, 1.0 - beta1)
    squares = state["squares"].lerp(grad.square(), 1.0 - beta2)
    # multiplied through by the root of the second divisor: one pass over the weights fewer
    root = _switched(beta2, t, hypers).sqrt()
    lr = hypers["lr"] * root / _switched(beta1, t, hypers)
    return by_root(mean, squares, lr, hypers["eps"] * root), {"mean": mean, "squares": squares}


def correction(beta: Tensor, t: Tensor) -> Tensor:
    """``1 - beta^t``.

    Not by ``pow``: on a CPU its last bit depends on an element's place in the tensor, so that a run would
    depend on its neighbours, and ``1 - pow`` loses digits in float32 for beta near 1.
    """
    return -(t * beta.log()).expm1()


def _switched(beta: Tensor, t: Tensor, hypers: Hypers) -> Tensor:
    """The correction, or 1 where its switch is 0."""
    switch = hypers["bias_correction"]
    return (1.0 - switch) + switch * correction(beta, t)


_HYPERS = {
    "lr": learning_rate(1e-3),
    "beta1": decay_rate("decay of the mean of gradients", 0.9),
    "beta2": decay_rate("decay of the mean of squares", 0.999),
    "eps": small_constant(1e-7),
    "bias_correction": Hyper(
        about="1: correct both means for their start at 0; 0: don't", default=1.0, high=1.0
    ),
}

ADAM = Rule(
    name="adam",
    hypers=_HYPERS,
    init=init,
    update=update,
    torch=TorchForm(hypers={"eps": 1e-8}),
    source="Kingma and Ba, 2015",
)
