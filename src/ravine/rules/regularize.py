"""Weight decay, L1 and max-norm, put around any rule without a second copy of it.

All are hypers, and 0 turns one off, so they may differ from run to run. Which of them a program computes at all is
structure: a penalty that is not in ``active`` costs nothing. A penalty of 0 leaves the bits of its run's step alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ravine.errors import StudyError, choices
from ravine.rules.base import Hypers, Rule, State
from ravine.rules.hyper import Hyper

if TYPE_CHECKING:
    from torch import Tensor

REGULARIZERS: Mapping[str, Hyper] = {
    "weight_decay": Hyper(about="L2 penalty, added to the gradient as weight_decay x", default=0.0, log=True),
    "decoupled_weight_decay": Hyper(about="each step also shrinks x by lr times this", default=0.0, log=True),
    "l1": Hyper(about="L1 penalty, added to the gradient as l1 sign(x)", default=0.0, log=True),
    "max_norm": Hyper(
        about="longest incoming weight vector of a unit, 0 for no limit", default=0.0, log=True
    ),
}


def regularize(rule: Rule, active: Iterable[str]) -> Rule:
    """The rule with penalties on the weights.

    ``weight_decay`` and ``l1`` act on the gradient (together they are the elastic net), at the point where
    the rule takes it. ``decoupled_weight_decay`` and then ``max_norm`` act on the step. A name that the rule
    has as a hyper of its own (AdamW's ``weight_decay``) stays the rule's. Decay and L1 are among the `Rule.decays`:
    `Rule.masked` makes them 0 for the parameters that `decays` excludes. ``max_norm`` leaves tensors with fewer than
    two dimensions alone.

    Args:
        rule: any rule.
        active: names out of `REGULARIZERS`.

    Returns:
        A rule of the same name and state, with more hypers.

    Raises:
        StudyError: an unknown name, one that the rule refuses, or ``max_norm`` with a rule that sees a run's
            parameters only as one flat vector.

    Example:
        >>> from ravine.rules import rule
        >>> list(regularize(rule("sgd"), {"weight_decay"}).hypers)
        ['lr', 'weight_decay']
    """
    wanted = set(active)
    for name in sorted(wanted - REGULARIZERS.keys()):
        raise StudyError(f"{rule.name}: unknown regularizer '{name}': {choices(name, REGULARIZERS)}")
    on = wanted - rule.hypers.keys()
    for name in sorted(on & rule.refuses):
        raise StudyError(
            f"{rule.name}: {name} would act on the point that is trained, not on the one that is deployed"
        )
    if "max_norm" in on and rule.scope == "run":
        raise StudyError(
            f"{rule.name}: max_norm needs each parameter's shape, and {rule.name} sees one flat vector"
        )
    if not on:
        return rule

    def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
        at = param if rule.gradient_at is None else rule.gradient_at(param, state, hypers)
        if "weight_decay" in on:
            grad = coupled(grad, at, hypers)
        if "l1" in on:
            grad = lasso(grad, at, hypers)
        step, state = rule.update(grad, state, param, hypers, t)
        if "decoupled_weight_decay" in on:
            step = decoupled(step, param, hypers)
        if "max_norm" in on:
            step = projected(step, param, hypers)
        return step, state

    return replace(
        rule,
        others=None if rule.others is None else regularize(rule.others, on),
        hypers={**rule.hypers, **{name: hyper for name, hyper in REGULARIZERS.items() if name in on}},
        update=update,
        decays=(*rule.decays, *(name for name in REGULARIZERS if name in on - {"max_norm"})),
        scope="tensor" if "max_norm" in on else rule.scope,
    )


def coupled(grad: Tensor, param: Tensor, hypers: Hypers) -> Tensor:
    """L2 in the gradient, of the penalty ``weight_decay |x|^2 / 2``: ``g + weight_decay x``."""
    return grad.addcmul(param, hypers["weight_decay"])


def lasso(grad: Tensor, param: Tensor, hypers: Hypers) -> Tensor:
    """L1 in the gradient, of the penalty ``l1 |x|_1``: ``g + l1 sign(x)``, with sign(0) = 0."""
    return grad.addcmul(param.sign(), hypers["l1"])


def decoupled(step: Tensor, param: Tensor, hypers: Hypers, name: str = "decoupled_weight_decay") -> Tensor:
    """Decay beside the rule: ``step - lr decoupled_weight_decay x``, with the scheduled lr.

    As torch.optim.AdamW. In the paper (Loshchilov and Hutter, 2019) the decay carries the schedule's factor
    but not the base lr, so there it does not change when lr is tuned; divide by the base lr to get it.
    """
    return step.addcmul(param, -hypers["lr"] * hypers[name])


def projected(step: Tensor, param: Tensor, hypers: Hypers) -> Tensor:
    """The step to the nearest point where no unit's incoming weights are longer than ``max_norm``.

    A unit is an index of the first dimension, as in the weights of linear and convolution layers:
    ``w <- w min(1, max_norm / |w|)``. 0 or infinity is no limit. Srebro and Shraibman, 2005; Hinton et al.,
    2012.
    """
    if param.ndim < 2:
        return step
    after = param + step
    length = after.square().sum(tuple(range(1, after.ndim)), keepdim=True).sqrt()
    limit = hypers["max_norm"]
    limit = limit.where(limit > 0.0, float("inf"))
    # scaled through the difference: a factor of 1 then leaves the step's bits as they are
    return step.addcmul(after, (limit / length).clamp(max=1.0) - 1.0)


def decays(name: str, shape: Sequence[int], exclude: str | None = None) -> bool:
    """Whether a parameter gets weight decay.

    Args:
        name: its name in the module, for example ``"0.bias"``.
        shape: its shape in one run.
        exclude: a regular expression; names in which it is found get no decay, and all others do. "" excludes
            nothing (as torch.optim does by default). None: whatever has fewer than two dimensions (biases and
            the scales and shifts of normalization layers) and whatever is called bias.

    Raises:
        StudyError: not a regular expression.

    Example:
        >>> decays("0.weight", (64, 32)), decays("0.bias", (64,)), decays("0.bias", (64,), exclude="")
        (True, False, True)
    """
    if exclude is None:
        return len(shape) >= 2 and name.rpartition(".")[2] != "bias"
    try:
        return not exclude or re.search(exclude, name) is None
    except re.error as error:
        raise StudyError(f"exclude = {exclude!r}: must be a regular expression: {error}") from None
