"""Newton's method with the exact Hessian of the batch.

Shapes: G runs, P numbers of one run.
"""

# ruff: noqa: ARG001 (every method has one signature)

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import DEPLOYED, Evaluation, Hypers, Rule, Search, State
from ravine.rules.hyper import Hyper
from ravine.rules.searching import REFUSED, SEARCH_HYPERS, Method, accepted_point, advance, start

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """The state before the first evaluation: Newton's direction is trusted until a search along it fails."""
    return {**start(param), "trust": param.new_ones((len(param), 1)).double()}


def learn(state: State, learned: Tensor, s: Tensor, y: Tensor) -> State:
    """Trust Newton's direction again where a point has been accepted."""
    return {
        "trust": (learned | (state["searching"] == 0.0) | (state["trust"] > 0.0)).to(state["trust"].dtype)
    }


def forget(state: State, forgotten: Tensor) -> State:
    """Stop trusting it where ``forgotten`` is true, (G, 1)."""
    return {"trust": state["trust"].masked_fill(forgotten, 0.0)}


def knows(state: State) -> Tensor:
    """True where it is trusted, (G, 1)."""
    return state["trust"] > 0.0


def one_evaluation(found: Evaluation, state: State, param: Tensor, hypers: Hypers) -> tuple[Tensor, State]:
    """One evaluation: ``x <- x - t (H + damping I)^-1 g``, with t searched for, or t = lr.

    The direction comes with the evaluation, since it needs the Hessian.
    """
    newton = found.newton
    assert newton is not None, "an evaluation for Newton's method brings its direction"

    def direct(state: State, grad: Tensor) -> Tensor:
        return newton

    method = Method(learn=learn, direct=direct, knows=knows, forget=forget)
    return advance(found, state, param, hypers, method, hypers["line_search"] == 0.0)


NEWTON = Rule(
    name="newton",
    hypers={
        **SEARCH_HYPERS,
        "damping": Hyper(about="added to the diagonal of the Hessian", default=0.0, log=True),
        "saddle_free": Hyper(
            about="1: the eigenvalues of the Hessian are made positive", default=0.0, high=1.0, whole=True
        ),
        "line_search": Hyper(
            about="1: a step is searched for; 0: it is lr", default=1.0, high=1.0, whole=True
        ),
    },
    init=init,
    source="Nocedal and Wright, 2006, chapter 3; Dauphin et al., 2014, for saddle_free",
    scope="runs",
    points={DEPLOYED: accepted_point},
    decays=("weight_decay",),
    refuses=REFUSED,
    search=Search(advance=one_evaluation, hessian=True, dense=8),
)
