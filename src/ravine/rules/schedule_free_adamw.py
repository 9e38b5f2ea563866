"""Schedule-free AdamW: an average of the weights takes the place of a schedule that must know where training ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.adagrad import by_root
from ravine.rules.adam import ADAM, correction
from ravine.rules.base import DEPLOYED, Hypers, Rule, State
from ravine.rules.hyper import SMALLEST, Hyper, learning_rate

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """The fast point is where the weights are; squares and the weight of the average are 0."""
    return {
        "fast": param.clone(),
        "squares": param.new_zeros(param.shape),
        "largest": param.new_zeros(()),
        "total": param.new_zeros(()),
    }


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Per weight: three points, of which ``x`` is deployed and ``y``, where the gradient is taken, is what is trained.

    ``s <- beta2 s + (1 - beta2) g(y)^2``, ``d = g / (sqrt(s / (1 - beta2^t)) + eps) + weight_decay y``,
    ``z <- z - lr d``, ``x <- (1 - c) x + c z``, ``y = (1 - beta1) z + beta1 x``, with ``c`` the share of this step in
    the sum of squares of the largest lr so far. Only z and y are kept: x is written with them.
    """
    beta1, fast = hypers["beta1"], state["fast"]
    squares = state["squares"].lerp(grad.square(), 1.0 - hypers["beta2"])
    largest = state["largest"].maximum(hypers["lr"])
    total = state["total"] + largest.square()
    share = largest.square() / (total + SMALLEST)  # a schedule may begin with lr = 0
    root = correction(hypers["beta2"], t).sqrt()
    descent = by_root(grad, squares, root, hypers["eps"] * root)
    descent = descent.addcmul(param, -hypers["weight_decay"])
    kept = {
        "fast": fast.addcmul(descent, hypers["lr"]),
        "squares": squares,
        "largest": largest,
        "total": total,
    }
    return ((fast - param) * share).addcmul(descent, hypers["lr"] * (1.0 - beta1 * (1.0 - share))), kept


def average(param: Tensor, state: State, hypers: Hypers) -> Tensor:
    """The point to deploy: ``x = (y - (1 - beta1) z) / beta1``."""
    return param.addcmul(param - state["fast"], (1.0 - hypers["beta1"]) / hypers["beta1"])


SCHEDULE_FREE_ADAMW = Rule(
    name="schedule_free_adamw",
    hypers={
        "lr": learning_rate(2.5e-3),
        "beta1": Hyper(
            about="how near to the average the gradient is taken",
            default=0.9,
            high=1.0,
            low_open=True,
            high_open=True,
        ),
        "beta2": ADAM.hypers["beta2"],
        "eps": ADAM.hypers["eps"],
        "weight_decay": Hyper(
            about="each step also moves z by -lr times this times y", default=0.0, log=True
        ),
    },
    init=init,
    update=update,
    points={DEPLOYED: average},
    decays=("weight_decay",),
    refuses=frozenset({"decoupled_weight_decay", "max_norm"}),
    source="Defazio et al., 2024",
)
