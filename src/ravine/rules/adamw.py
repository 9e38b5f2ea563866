"""AdamW: Adam with weight decay beside the gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ravine.rules.adam import ADAM
from ravine.rules.base import Hypers, State
from ravine.rules.hyper import Hyper
from ravine.rules.regularize import decoupled

if TYPE_CHECKING:
    from torch import Tensor


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """Adam's step and ``x <- x - lr weight_decay x``: here ``weight_decay`` is the decoupled one."""
    step, state = ADAM.update(grad, state, param, hypers, t)
    return decoupled(step, param, hypers, "weight_decay"), state


ADAMW = replace(
    ADAM,
    name="adamw",
    hypers={
        **ADAM.hypers,
        "weight_decay": Hyper(about="each step also shrinks x by lr times this", default=0.01, log=True),
    },
    update=update,
    decays=("weight_decay",),
    source="Loshchilov and Hutter, 2019",
)
