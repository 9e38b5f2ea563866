"""NAdam: Adam that looks ahead along its velocity, as Nesterov's momentum does."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ravine.rules.adagrad import by_root
from ravine.rules.adam import ADAM, correction
from ravine.rules.base import Hypers, Rule, State, TorchForm
from ravine.rules.hyper import Hyper, learning_rate

if TYPE_CHECKING:
    from torch import Tensor

_LOG = math.log(0.96)


def init(param: Tensor) -> State:
    """Both means of zero, and a product without factors: 1."""
    return {**ADAM.init(param), "product": param.new_ones(())}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Per weight, with ``mu(t) = beta1 (1 - 0.96^(t momentum_decay) / 2)`` and m and s as in `adam`.

    ``p <- p mu(t)``,
    ``x <- x - lr ((1 - mu(t)) g / (1 - p) + mu(t + 1) m / (1 - p mu(t + 1))) / (sqrt(s / (1 - beta2^t)) + eps)``.
    """
    mean = state["mean"].lerp(grad, 1.0 - hypers["beta1"])
    squares = state["squares"].lerp(grad.square(), 1.0 - hypers["beta2"])
    now, following = _momentum(hypers, t), _momentum(hypers, t + 1.0)
    product = state["product"] * now
    direction = (mean * (following / (1.0 - product * following))).addcmul(
        grad, (1.0 - now) / (1.0 - product)
    )
    root = correction(hypers["beta2"], t).sqrt()
    step = by_root(direction, squares, hypers["lr"] * root, hypers["eps"] * root)
    return step, {"mean": mean, "squares": squares, "product": product}


def _momentum(hypers: Hypers, t: Tensor) -> Tensor:
    """Starts at half of beta1 and grows to beta1. By ``exp``: `correction` says what is wrong with ``pow``."""
    return hypers["beta1"] * (1.0 - 0.5 * (t * hypers["momentum_decay"] * _LOG).exp())


NADAM = Rule(
    name="nadam",
    hypers={
        "lr": learning_rate(2e-3),
        **{name: ADAM.hypers[name] for name in ("beta1", "beta2", "eps")},
        "momentum_decay": Hyper(
            about="how fast the momentum grows from half of beta1 to beta1", default=4e-3
        ),
    },
    init=init,
    update=update,
    torch=TorchForm(hypers={"eps": 1e-8}),
    source="Dozat, 2016",
)
