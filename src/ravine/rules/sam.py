"""Sharpness-aware minimization, around any rule: the gradient is taken where the loss is highest nearby."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.hyper import Hyper

if TYPE_CHECKING:
    from torch import Tensor

SAM_RADIUS = Hyper(
    about="how far up the gradient is taken, in the length of all weights; 0: where they are",
    default=0.0,
    log=True,
)


def ascended(point: Tensor, grad: Tensor, radius: Tensor) -> Tensor:
    """The highest point of a ball, as the gradient at its center has it: ``x + radius g / |g|``.

    Args:
        point: (..., P), where the rule would take its gradient; all parameters of a run.
        grad: (..., P), of the loss there, without penalties.
        radius: (..., 1).

    References:
        Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-aware minimization for efficiently improving
        generalization", 2021.
    """
    return point + grad * ascent(radius, grad.square().sum(-1, keepdim=True).sqrt())


def ascent(radius: Tensor, length: Tensor) -> Tensor:
    """What a gradient is multiplied with to be as long as the radius; one of length 0 stays so."""
    return radius / (length + 1e-12)
