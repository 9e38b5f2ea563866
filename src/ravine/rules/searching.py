"""Rules that search for a step: one evaluation at a time, each run where its own search is.

Shapes: G runs, P numbers of one run.

An evaluation is of a point to start from, or of a trial along a direction; `advance` notes what was found and chooses
where to evaluate next. Where the function stays the same (a full batch, and nothing random), the accepted trial is the
next start. Otherwise the accepted point is evaluated again on the next batch, so that both gradients of a pair come
from one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ravine.rules import masked_line_search
from ravine.rules.base import Evaluation, Hypers, State
from ravine.rules.hyper import Hyper, learning_rate
from ravine.rules.regularize import coupled

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How a rule learns about curvature, and which directions follow from that. A memory is some of its slots.

    Args:
        learn: ``(state, accepted_G1, s_GP, y_GP) -> memory``: learns from a pair where a step was accepted.
        direct: ``(memory, grad_GP) -> (G, P)``: the directions.
        knows: ``memory -> (G, 1)``: true where there is more than the gradient to make a direction of.
        forget: ``(memory, forgotten_G1) -> memory``: starts anew where true.
    """

    learn: Callable[[State, Tensor, Tensor, Tensor], State]
    direct: Callable[[State, Tensor], Tensor]
    knows: Callable[[State], Tensor]
    forget: Callable[[State, Tensor], State]


SEARCH_HYPERS = {
    "lr": learning_rate(1.0),
    "c1": Hyper(
        about="share of the promised decrease that a step must bring",
        default=1e-4,
        low_open=True,
        high=0.1,
        high_open=True,
        log=True,
    ),
    "c2": Hyper(about="share of the slope that may be left", default=0.9, low=0.1, high=1.0, high_open=True),
    "weight_decay": Hyper(
        about="L2 penalty, a part of the loss: weight_decay |x|^2 / 2", default=0.0, log=True
    ),
}

REFUSED = frozenset(
    {
        "decoupled_weight_decay",
        "l1",
        "max_norm",
        "clip_value",
        "clip_norm",
        "sam_radius",
        "layer_decay",
        "anchor",
    }
)
"""Settings that change the gradient or the step but not the loss: a search needs a loss and its own gradient."""


def start(param: Tensor) -> State:
    """The slots that all of these rules have, before the first evaluation, which is of a point to start from.

    Args:
        param: (G, P).
    """
    none = param.new_zeros((len(param), 1)).double()
    vectors = {name: param.new_zeros(param.shape) for name in ("point", "start_grad", "direction")}
    return {
        **vectors,
        **{name: none.clone() for name in masked_line_search.NAMES},
        "searching": none.clone(),
        "resting": none.clone(),
        "arrived": none.clone(),
    }


def accepted_point(param: Tensor, state: State, hypers: Hypers) -> Tensor:  # noqa: ARG001 (a hook's signature)
    """The last accepted point: a trial is not a result."""
    return state["point"].where(state["searching"] > 0.0, param)


def penalized(found: Evaluation, param: Tensor, hypers: Hypers) -> tuple[Tensor, Tensor]:
    """Loss, (G, 1) in float64, and gradient, (G, P), with the penalty ``weight_decay |x|^2 / 2`` of what decays."""
    penalty = (0.5 * hypers["weight_decay"] * param * param).sum(-1, keepdim=True)
    return found.loss.double() + penalty.double(), coupled(found.grad, param, hypers)


def curved(s: Tensor, y: Tensor) -> Tensor:
    """True where the curvature of a pair is larger than rounding makes it, (G, 1): ``s'y > eps y'y``."""
    sy, yy = (s * y).sum(-1, keepdim=True), (y * y).sum(-1, keepdim=True)
    return (sy > rounding(s) * yy) & masked_line_search.finite(yy)


def rounding(x: Tensor) -> float:
    """The relative rounding error of a tensor's numbers."""
    return {8: 2.0**-52, 4: 2.0**-23, 2: 2.0**-7}[x.dtype.itemsize]


def advance(
    found: Evaluation,
    state: State,
    param: Tensor,
    hypers: Hypers,
    method: Method,
    unsearched: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Note one evaluation, and move to where the next one is wanted.

    Args:
        found: the evaluation at ``param``, without penalty.
        state: the slots of `start`, and the memory of the method.
        param: where the loss was evaluated, (G, P).
        hypers: those of `SEARCH_HYPERS`, (G, 1).
        method: the rule's.
        unsearched: true where the step is lr times the direction, without a search, (G, 1); None: nowhere.

    Returns:
        The update (G, P), which leads to the next point, and the state. Its "arrived" is 1 where this evaluation was at
        a point that the run has accepted, and 0 where it was at a trial of a search that goes on.
    """
    loss, grad = penalized(found, param, hypers)
    fresh = found.fresh > 0.0
    searching, resting = state["searching"] > 0.0, state["resting"] > 0.0
    plain = searching & ~searching if unsearched is None else unsearched
    search = {name: state[name] for name in masked_line_search.NAMES}
    seen = masked_line_search.observe(
        search,
        loss,
        (grad * state["direction"]).sum(-1, keepdim=True).double(),
        c1=hypers["c1"].double(),
        c2=hypers["c2"].double(),
        eps=rounding(param),
    )
    accepted, failed = searching & seen.accepted, searching & seen.failed
    again = searching & ~accepted & ~failed

    memory = method.learn(state, accepted, param - state["point"], grad - state["start_grad"])
    knew = method.knows(memory)
    memory = method.forget(memory, failed)
    # A new direction: from here, or after a failure once more from where the search began, along the gradient.
    begins = ~resting & (~searching | (accepted & ~fresh) | (failed & knew))
    rests = resting | (failed & ~knew & ~fresh)
    base = state["point"].where(failed, param)
    base_loss = state["start_loss"].where(failed, loss)
    base_grad = state["start_grad"].where(failed, grad)
    direction = method.direct(memory, base_grad)
    slope = (base_grad * direction).sum(-1, keepdim=True)
    sound = method.knows(memory) & ((slope < 0.0) | plain)
    memory = method.forget(memory, begins & ~sound)
    square = (base_grad * base_grad).sum(-1, keepdim=True)
    slope = slope.where(sound, -square).double()
    direction = direction.where(sound, -base_grad)
    unit = 1.0 / square.double().sqrt()
    first = hypers["lr"].double() * (unit * 0.0 + 1.0).where(sound | plain, unit)
    goes = (
        begins
        & ((slope < 0.0) | plain)
        & masked_line_search.finite(slope)
        & masked_line_search.finite(base_loss)
    )

    begun = masked_line_search.begun(base_loss, slope, first)
    direction = direction.where(goes, state["direction"])
    search = {
        name: begun[name].where(goes, seen.search[name].where(again, search[name]))
        for name in masked_line_search.NAMES
    }
    point = state["point"].where(again, base)
    moves = goes | again
    after = (point + search["t"].to(param.dtype) * direction).where(moves, point)
    kind = loss.dtype
    return after - param, {
        **memory,
        **search,
        "point": point,
        "start_grad": base_grad.where(goes, state["start_grad"]),
        "direction": direction,
        "searching": (moves & ~plain).to(kind),
        "resting": rests.to(kind),
        "arrived": (~again & ~failed).to(kind),
    }
