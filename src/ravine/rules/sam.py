"""Sharpness-aware minimization, around any rule: the gradient is taken where the loss is highest nearby."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.rules.hyper import Hyper

if TYPE_CHECKING:
    from torch import Tensor

SAM_RADIUS = Hyper(
    about="how far uphill the gradient is taken, as a length over all weights; 0: at the weights themselves",
    default=0.0,
    log=True,
)


def ascended(point: Tensor, grad: Tensor, radius: Tensor) -> Tensor:
    """The highest point of a ball, judged by the gradient at its center: ``x + radius g / |g|``.

    Args:
        point: where the rule would take its gradient, (..., P): all parameters of a run.
        grad: gradient of the loss there, without penalties, (..., P).
        radius: of the ball, (..., 1).

    References:
        Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-aware minimization for efficiently improving
        generalization", 2021.
    """
    return point + grad * ascent(radius, grad.square().sum(-1, keepdim=True).sqrt())


def ascent(radius: Tensor, length: Tensor) -> Tensor:
    """The factor that makes a gradient of this length as long as the radius. A gradient of 0 stays 0."""
    return radius / (length + 1e-12)
