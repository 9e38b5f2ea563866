"""Nesterov's accelerated gradient, in three forms that are one method while lr and rho stay constant.

`NESTEROV_LOOKAHEAD` is the definition: the gradient is taken ahead of the point, where the velocity would
carry it. `NESTEROV` moves that look-ahead point ``x~ = x + rho v`` instead, so that the gradient is taken
where the parameters are, and hands back the true point ``x = x~ - rho v`` as the one to deploy. Both keep lr
inside the velocity: they remain equal when lr changes, and the velocity then still carries steps of the old
lr for about 1 / (1 - rho) steps. `NESTEROV_TORCH` is torch.optim.SGD(nesterov=True): the shifted point with
lr outside, so a changed lr scales the whole velocity at once; from then on it is another method. It never
undoes the shift: what PyTorch calls the parameters, and evaluates, is x~.
"""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules import momentum
from ravine.rules.base import DEPLOYED, Hypers, Rule, State, TorchForm
from ravine.rules.hyper import decay_rate, learning_rate

if TYPE_CHECKING:
    from torch import Tensor


def update_shifted(
    grad: Tensor,
    state: State,
    param: Tensor,
    hypers: Hypers,
    t: Tensor,
) -> tuple[Tensor, State]:
    """The look-ahead point's step: ``v' = rho v - lr g``, ``x~ <- x~ - rho v + (1 + rho) v'``."""
    descent = grad * -hypers["lr"]
    velocity = descent.addcmul(state["velocity"], hypers["rho"])
    # -rho v + (1 + rho) v' = rho v' + (v' - rho v) = rho v' - lr g: one pass fewer
    return descent.addcmul(velocity, hypers["rho"]), {"velocity": velocity}


def true_point(param: Tensor, state: State, hypers: Hypers) -> Tensor:
    """The point of the definition: ``x = x~ - rho v``."""
    return param - hypers["rho"] * state["velocity"]


def update_lookahead(
    grad: Tensor,
    state: State,
    param: Tensor,
    hypers: Hypers,
    t: Tensor,
) -> tuple[Tensor, State]:
    """The definition's step: ``v <- rho v - lr g(x + rho v)``, ``x <- x + v``."""
    velocity = (grad * -hypers["lr"]).addcmul(state["velocity"], hypers["rho"])
    return velocity, {"velocity": velocity}


def ahead(param: Tensor, state: State, hypers: Hypers) -> Tensor:
    """Where the definition takes its gradient: ``x + rho v``."""
    return param + hypers["rho"] * state["velocity"]


def update_torch(
    grad: Tensor,
    state: State,
    param: Tensor,
    hypers: Hypers,
    t: Tensor,
) -> tuple[Tensor, State]:
    """PyTorch's step: ``v <- rho v + g``, ``x~ <- x~ - lr (g + rho v)``."""
    velocity = grad.addcmul(state["velocity"], hypers["rho"])
    return grad.addcmul(velocity, hypers["rho"]) * -hypers["lr"], {"velocity": velocity}


_HYPERS = {"lr": learning_rate(), "rho": decay_rate("decay of the velocity", 0.9)}

NESTEROV = Rule(
    name="nesterov",
    hypers=_HYPERS,
    init=momentum.init,
    update=update_shifted,
    points={DEPLOYED: true_point},
    torch=TorchForm(kind="nesterov_torch"),
    source="Nesterov, 1983; shifted variable: Bengio, Boulanger-Lewandowski and Pascanu, 2013",
)

NESTEROV_LOOKAHEAD = Rule(
    name="nesterov_lookahead",
    hypers=_HYPERS,
    init=momentum.init,
    update=update_lookahead,
    gradient_at=ahead,
    torch=TorchForm(kind="nesterov_torch"),
    source="Nesterov, 1983; Sutskever, Martens, Dahl and Hinton, 2013",
)

NESTEROV_TORCH = Rule(
    name="nesterov_torch",
    hypers=_HYPERS,
    init=momentum.init,
    update=update_torch,
    source="Sutskever, Martens, Dahl and Hinton, 2013, as in torch.optim.SGD",
)
