"""What a surface is: a function of a point, its parameters, its map, what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ravine.rules import Hyper

if TYPE_CHECKING:
    from torch import Tensor

Point: TypeAlias = "tuple[float, float]"
Function: TypeAlias = "Callable[[Tensor, Mapping[str, Tensor]], Tensor]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A loss over a plane.

    Args:
        name: its name.
        about: one line for a person.
        function: of a point (2,) and the parameters, 0-d tensors by name, to a 0-d tensor; torch operations only.
        domain: the map, (left, right, bottom, top).
        start: from where it is worth seeing.
        params: what may be changed about it, with ranges and defaults.
        minima: where it is lowest, at the parameters' defaults; none where that is not known.
        lrs: learning rates of plain gradient descent between which the start's loss falls.
        noise: standard deviation of the noise that is added to each number of the gradient.
        noise_scale: a noise that one sees on this surface.
    """

    name: str
    about: str
    function: Function = field(repr=False)
    domain: tuple[float, float, float, float]
    start: Point
    params: Mapping[str, Hyper] = field(default_factory=dict)
    minima: tuple[Point, ...] = ()
    lrs: tuple[float, float] = (1e-3, 1e-1)
    noise: float = 0.0
    noise_scale: float = 0.5

    def loss(self, x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        """At a point (2,), 0-d."""
        return self.function(x, params)

    def slope(self, x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        """The gradient at a point, (2,); 0 where the function does not depend on it."""
        import torch

        with torch.enable_grad():
            at = x.detach().requires_grad_()
            value = self.function(at, params)
            if not value.requires_grad:
                return torch.zeros_like(x)
            (found,) = torch.autograd.grad(value, at)
        return found
