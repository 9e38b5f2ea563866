"""Newton's method with the exact Hessian of the batch.

Shapes: G run, P numbers of one run.
"""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import Hyper, Hypers, Rule, State
from ravine.rules.searching import REFUSED, SEARCH_HYPERS, Method, advance, held_point, penalized, start

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """Newton's direction is trusted until a search along it fails."""
    return {**start(param), "trust": param.new_ones((len(param), 1)).double()}


def learn(state: State, learned: Tensor, s: Tensor, y: Tensor) -> State:
    """Trust it again where a point was arrived at."""
    return {
        "trust": (learned | (state["searching"] == 0.0) | (state["trust"] > 0.0)).to(state["trust"].dtype)
    }


def forget(state: State, forgotten: Tensor) -> State:
    """Trust it no more where (G, 1) says so."""
    return {"trust": state["trust"].masked_fill(forgotten, 0.0)}


def knows(state: State) -> Tensor:
    """Where it is trusted."""
    return state["trust"] > 0.0


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """One evaluation: ``x <- x - t (H + damping I)^-1 g``, with t searched for, or t = lr.

    ``hypers["newton"]`` is that direction, of the loss with its penalty.
    """
    loss, grad = penalized(grad, param, hypers)

    def direct(state: State, grad: Tensor) -> Tensor:
        return hypers["newton"]

    method = Method(learn=learn, direct=direct, knows=knows, forget=forget)
    return advance(grad, state, param, {**hypers, "loss": loss}, method, hypers["line_search"] == 0.0)


NEWTON = Rule(
    name="newton",
    hypers={
        **SEARCH_HYPERS,
        "damping": Hyper(about="added to the diagonal of the Hessian", default=0.0, log=True),
        "saddle_free": Hyper(about="1: eigenvalues made positive", default=0.0, high=1.0, whole=True),
        "line_search": Hyper(
            about="1: a step is searched for; 0: it is lr", default=1.0, high=1.0, whole=True
        ),
    },
    init=init,
    update=update,
    source="Nocedal and Wright, 2006, chapter 3; Dauphin and others, 2014, for saddle_free",
    scope="runs",
    weights=held_point,
    masked=True,
    refuses=REFUSED,
    searches=True,
    dense=8,
    hessian=True,
)
