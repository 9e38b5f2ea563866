"""BFGS: curvature from all steps so far, as a whole matrix.

Shapes: G runs, P numbers of one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.base import DEPLOYED, Evaluation, Hypers, Rule, Search, State
from ravine.rules.searching import (
    REFUSED,
    SEARCH_HYPERS,
    Method,
    accepted_point,
    advance,
    curved,
    start,
)

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> State:
    """A state without pairs. The inverse Hessian takes P x P numbers."""
    num, size = param.shape
    return {
        **start(param),
        "inverse": param.new_zeros((num, size, size)),
        "num_pairs": param.new_zeros((num, 1)).double(),
    }


def updated(inverse: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """H <- (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y, (G, P, P).

    Args:
        inverse: H, symmetric.
        s: steps, (G, P).
        y: the changes of the gradient over them, (G, P), with s'y > 0.
    """
    column, rho = s.unsqueeze(2), 1.0 / (s * y).sum(-1, keepdim=True).unsqueeze(2)
    hy = inverse @ y.unsqueeze(2)
    # H - rho (s (Hy)' + Hy s') + (rho^2 y'Hy + rho) s s', with the last two terms as one symmetric pair
    half = 0.5 * (rho * rho * (y.unsqueeze(2) * hy).sum(1, keepdim=True) + rho) * column - rho * hy
    return inverse.baddbmm(column, half.mT).baddbmm(half, column.mT)


def learn(state: State, learned: Tensor, s: Tensor, y: Tensor) -> State:
    """H with one more pair (`updated`) where ``learned`` is true, (G, 1); the first H is (s'y / y'y) I."""
    learned = learned & curved(s, y)
    sy, yy = (s * y).sum(-1, keepdim=True), (y * y).sum(-1, keepdim=True)
    inverse, num = state["inverse"], state["num_pairs"]
    ones = s.new_ones(s.shape[-1:]).diag()
    old = ((sy / yy).unsqueeze(2) * ones).where((num == 0.0).unsqueeze(2), inverse)
    return {
        "inverse": updated(old, s, y).where(learned.unsqueeze(2), inverse),
        "num_pairs": num + learned.to(num.dtype),
    }


def forget(state: State, forgotten: Tensor) -> State:
    """Start without pairs again where ``forgotten`` is true, (G, 1)."""
    return {**state, "num_pairs": state["num_pairs"].masked_fill(forgotten, 0.0)}


def knows(state: State) -> Tensor:
    """True where a pair has been learned, (G, 1)."""
    return state["num_pairs"] > 0.0


def direct(state: State, grad: Tensor) -> Tensor:
    """``-H g``, (G, P)."""
    return -(state["inverse"] @ grad.unsqueeze(2)).squeeze(2)


def one_evaluation(found: Evaluation, state: State, param: Tensor, hypers: Hypers) -> tuple[Tensor, State]:
    """One evaluation: ``x <- x - t H g`` once t is found, with H from all pairs ``s = x' - x``, ``y = g' - g``."""
    return advance(found, state, param, hypers, METHOD)


METHOD = Method(learn=learn, direct=direct, knows=knows, forget=forget)
BFGS = Rule(
    name="bfgs",
    hypers=SEARCH_HYPERS,
    init=init,
    source="Broyden, Fletcher, Goldfarb and Shanno, 1970",
    scope="runs",
    points={DEPLOYED: accepted_point},
    decays=("weight_decay",),
    refuses=REFUSED,
    search=Search(advance=one_evaluation, dense=5),
)
