"""Newton's method on a surface: a rule that looks at the surface itself, so its paths are computed beforehand."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ravine.rules import Hyper, Rule
from ravine.surfaces.base import Surface

if TYPE_CHECKING:
    from torch import Tensor

_STEP = Hyper(about="share of Newton's step that is taken", default=1.0, high=2.0, low_open=True, log=True)


def newton(surface: Surface) -> Rule:
    """``x <- x - lr H^-1 g`` with the exact Hessian: to whatever point has gradient 0 nearby, a saddle included.

    Args:
        surface: whose Hessian, at its parameters' defaults.

    Example:
        >>> from ravine.surfaces import path, surface
        >>> ellipse = surface("ellipse")
        >>> found = path(newton(ellipse), ellipse, hypers={}, steps=1)
        >>> bool(found.losses[1] < 1e-25)
        True
    """
    return _rule("newton", surface, saddle_free=False)


def saddle_free_newton(surface: Surface) -> Rule:
    """``x <- x - lr |H|^-1 g``, the Hessian's eigenvalues made positive: away from a saddle where it curves down."""
    return _rule("saddle_free_newton", surface, saddle_free=True)


def _rule(name: str, surface: Surface, saddle_free: bool) -> Rule:
    def update(
        grad: Tensor, state: Mapping[str, Tensor], param: Tensor, hypers: Mapping[str, Tensor], t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        from ravine.second.dense import newton_direction

        direction = newton_direction(_hessian(surface, param)[None], grad[None], 0.0, saddle_free)[0]
        return hypers["lr"] * direction, {}

    return Rule(
        name=name,
        hypers={"lr": _STEP},
        init=_nothing,
        update=update,
        source="Dauphin et al., 2014" if saddle_free else "Nocedal and Wright, 2006",
        scope="run",
    )


def _nothing(param: Tensor) -> dict[str, Tensor]:
    """No state."""
    return {}


def _hessian(surface: Surface, x: Tensor) -> Tensor:
    """(2, 2)."""
    import torch

    numbers = {
        key: torch.tensor(param.default or 0.0, dtype=torch.float64) for key, param in surface.params.items()
    }
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        loss = surface.loss(at, numbers)
        (slope,) = torch.autograd.grad(loss, at, create_graph=True)
        rows = [
            torch.zeros_like(x)
            if not number.requires_grad
            else torch.autograd.grad(number, at, retain_graph=True, allow_unused=True)[0]
            for number in slope
        ]
    return torch.stack([torch.zeros_like(x) if row is None else row for row in rows])


SECOND_ORDER: Mapping[str, Callable[[Surface], Rule]] = {
    "newton": newton,
    "saddle_free_newton": saddle_free_newton,
}
