"""Clipping of a gradient, around any rule: before the rule and its penalties see it.

Both are hypers, and 0 turns one off, so they may differ from run to run. A gradient that is within its limits keeps its
bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ravine.rules.base import Hypers
from ravine.rules.hyper import Hyper

if TYPE_CHECKING:
    from torch import Tensor

CLIPS: Mapping[str, Hyper] = {
    "clip_value": Hyper(about="largest number of the gradient, 0 for no limit", default=0.0, log=True),
    "clip_norm": Hyper(
        about="longest gradient, as a length over all weights of a run, 0 for no limit", default=0.0, log=True
    ),
}
"""In the order in which they act."""


def clipped(grad: Tensor, limits: Hypers) -> tuple[Tensor, Tensor]:
    """The gradient within its limits: ``g <- min(max(g, -v), v)``, then ``g <- g min(1, c / |g|)``.

    |g| is the length over all weights of a run. torch.nn.utils.clip_grad_norm_ divides by |g| + 1e-6; here a gradient
    as long as c is left alone, and one that is longer ends as long as c.

    Args:
        grad: of all weights of a run, (..., P).
        limits: ``clip_value`` v, ``clip_norm`` c or both, (..., 1); 0 is no limit.

    Returns:
        The gradient; and whether it may be used, (..., 1): numbers that are not finite have no place within a limit, so
        a run that has a limit then has diverged.

    References:
        Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """
    length = length_of(grad)
    usable = (length < math.inf) | (sum(limits.values()) == 0.0)
    if "clip_value" in limits:
        most = _limit(limits["clip_value"])
        grad = grad.minimum(most).maximum(-most)
        length = length_of(grad) if "clip_norm" in limits else length
    if "clip_norm" in limits:
        most = _limit(limits["clip_norm"])
        grad = grad * (most / length).where(length > most, 1.0)
    return grad, usable


def _limit(given: Tensor) -> Tensor:
    return given.where(given > 0.0, math.inf)


def length_of(grad: Tensor) -> Tensor:
    """Length over the last dimension, (..., 1), without the square of a large or a small number."""
    unit = grad.abs().amax(-1, keepdim=True)
    unit = unit.where(unit > 0.0, 1.0)
    return (grad / unit).square().sum(-1, keepdim=True).sqrt() * unit
