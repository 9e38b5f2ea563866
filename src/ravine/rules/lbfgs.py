"""Limited-memory BFGS: curvature from the last few steps.

Shapes: G runs, M pairs that are remembered, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ravine.rules.base import DEPLOYED, Evaluation, Hypers, Rule, Search, State
from ravine.rules.hyper import Hyper
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


def empty(param: Tensor, most: int) -> State:
    """A ring for M pairs (s, y), still empty.

    Its slots: the steps s, the changes y of the gradient, s'y of each place, how many pairs it has seen, and
    s'y / y'y of the newest pair.
    """
    num, size = param.shape
    none = param.new_zeros((num, most)).double()
    return {
        "steps": param.new_zeros((num, most, size)),
        "changes": param.new_zeros((num, most, size)),
        "curvatures": none,
        "num_pairs": none[:, :1].clone(),
        "newest": none[:, :1].clone(),
    }


def learn(state: State, learned: Tensor, s: Tensor, y: Tensor) -> State:
    """Remember a pair of positive curvature, in place of the oldest, where ``learned`` is true, (G, 1)."""
    learned = learned & curved(s, y)
    curvatures, num = state["curvatures"], state["num_pairs"]
    most = curvatures.shape[1]
    place = num - most * (num / most).floor()
    rows_G = (_firsts(curvatures) + place).flatten().long()
    sy = (s * y).sum(-1, keepdim=True).double()
    yy = (y * y).sum(-1, keepdim=True).double()

    def placed(ring: Tensor, new: Tensor) -> Tensor:
        """The ring with one row of each run replaced."""
        rows = ring.flatten(0, 1)
        row = new.where(learned, rows.index_select(0, rows_G))
        return rows.index_copy(0, rows_G, row).view(ring.shape)

    return {
        "steps": placed(state["steps"], s),
        "changes": placed(state["changes"], y),
        "curvatures": sy.where(learned & (_places(curvatures) == place), curvatures),
        "num_pairs": num + learned.to(num.dtype),
        "newest": (sy / yy).where(learned, state["newest"]),
    }


def forget(state: State, forgotten: Tensor) -> State:
    """Empty the ring where ``forgotten`` is true, (G, 1): an unused place has a curvature of 0."""
    return {
        **state,
        "curvatures": state["curvatures"].masked_fill(forgotten, 0.0),
        "num_pairs": state["num_pairs"].masked_fill(forgotten, 0.0),
    }


def knows(state: State) -> Tensor:
    """True where there is a pair, (G, 1)."""
    return state["num_pairs"] > 0.0


def direct(state: State, grad: Tensor) -> Tensor:
    """``-H g``, (G, P), by two loops over the pairs, newest first and then oldest first; ``-g`` without pairs."""
    num = state["num_pairs"]
    most = state["curvatures"].shape[1]
    back = num - 1.0 - _places(state["curvatures"])
    rows_MG = (_firsts(state["curvatures"]) + back - most * (back / most).floor()).t().long()  # newest first
    flat = rows_MG.flatten()
    curvatures = state["curvatures"].flatten().index_select(0, flat)
    scales = (1.0 / curvatures).where(curvatures != 0.0, 0.0).to(grad.dtype).unflatten(0, rows_MG.shape)
    steps, changes = (
        state[name].flatten(0, 1).index_select(0, flat).unflatten(0, rows_MG.shape).unbind()
        for name in ("steps", "changes")
    )
    pairs = list(zip(steps, changes, scales.unsqueeze(2).unbind(), strict=True))
    alphas = []
    q = grad
    for s, y, scale in pairs:
        alphas.append((s * q).sum(-1, keepdim=True) * scale)
        q = q.addcmul(alphas[-1], y, value=-1.0)
    r = q * state["newest"].where(knows(state), 1.0).to(grad.dtype)
    for (s, y, scale), alpha in zip(reversed(pairs), reversed(alphas), strict=True):
        r = r.addcmul(s, alpha - (y * r).sum(-1, keepdim=True) * scale)
    return -r


def one_evaluation(found: Evaluation, state: State, param: Tensor, hypers: Hypers) -> tuple[Tensor, State]:
    """One evaluation: ``x <- x - t H g`` once t is found, with H from the last pairs ``s = x' - x``, ``y = g' - g``."""
    return advance(found, state, param, hypers, METHOD)


def remembering(most: int) -> Rule:
    """The rule that remembers ``most`` pairs."""

    def init(param: Tensor) -> State:
        return {**start(param), **empty(param, most)}

    return replace(LBFGS, init=init)


def _init(param: Tensor) -> State:
    return {**start(param), **empty(param, 10)}


def _shaped(hypers: Mapping[str, float]) -> Rule:
    return remembering(int(hypers["history"]))


def _places(like: Tensor) -> Tensor:
    """0, 1, ... along the second dimension, (M,)."""
    return like.new_tensor(range(like.shape[1]))


def _firsts(like: Tensor) -> Tensor:
    """The number of each run's first place when the places of all runs are numbered in a row, (G, 1)."""
    return like.new_tensor([[run * like.shape[1]] for run in range(like.shape[0])])


METHOD = Method(learn=learn, direct=direct, knows=knows, forget=forget)
LBFGS = Rule(
    name="lbfgs",
    hypers={
        **SEARCH_HYPERS,
        "history": Hyper(about="pairs that are remembered", default=10.0, low=1.0, high=100.0, whole=True),
    },
    init=_init,
    source="Liu and Nocedal, 1989",
    scope="runs",
    points={DEPLOYED: accepted_point},
    decays=("weight_decay",),
    refuses=REFUSED,
    search=Search(advance=one_evaluation, structural=("history",), shaped=_shaped),
)
