"""The built-in surfaces, each of which shows one difficulty that update rules meet."""

# ruff: noqa: ARG001 (every surface has one signature)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ravine.errors import InputError, choices
from ravine.rules import Hyper
from ravine.surfaces.base import Surface

if TYPE_CHECKING:
    from torch import Tensor

    Params = Mapping[str, Tensor]


def ellipse(x: Tensor, params: Params) -> Tensor:
    """``(u^2 + condition v^2) / 2``, with (u, v) the point in axes turned by ``angle`` degrees."""
    angle = params["angle"] * (math.pi / 180)
    u = angle.cos() * x[0] + angle.sin() * x[1]
    v = angle.cos() * x[1] - angle.sin() * x[0]
    return 0.5 * (u * u + params["condition"] * v * v)


def saddle(x: Tensor, params: Params) -> Tensor:
    """``x^2/2 - y^2/2 + y^4/4``: at 0 a saddle of curvatures 1 and -1, below it two minima."""
    return 0.5 * x[0] ** 2 - 0.5 * x[1] ** 2 + 0.25 * x[1] ** 4


def monkey_saddle(x: Tensor, params: Params) -> Tensor:
    """``x^3 - 3 x y^2 + 3/4 (x^2 + y^2)^2``: at 0 a saddle with three ways down, and no curvature at all."""
    return x[0] ** 3 - 3 * x[0] * x[1] ** 2 + 0.75 * (x[0] ** 2 + x[1] ** 2) ** 2


def local_minimum(x: Tensor, params: Params) -> Tensor:
    """``(x^2 - 1)^2 + 2/5 x + y^2``: two valleys, the left one deeper."""
    return (x[0] ** 2 - 1) ** 2 + 0.4 * x[0] + x[1] ** 2


def plateau(x: Tensor, params: Params) -> Tensor:
    """``1 - exp(-(x^2 + 2 y^2) / 2)``: a pit in a plain that has hardly a slope."""
    return 1 - (-0.5 * (x[0] ** 2 + 2 * x[1] ** 2)).exp()


def rosenbrock(x: Tensor, params: Params) -> Tensor:
    """``(1 - x)^2 + 100 (y - x^2)^2``: a bent valley, flat along its floor."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def beale(x: Tensor, params: Params) -> Tensor:
    """``(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2``: flat, with cliffs at the corners."""
    a, b = x[0], x[1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def himmelblau(x: Tensor, params: Params) -> Tensor:
    """``(x^2 + y - 11)^2 + (x + y^2 - 7)^2``: four minima, all equally deep."""
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def rastrigin(x: Tensor, params: Params) -> Tensor:
    """``20 + x^2 + y^2 - 10 cos(2 pi x) - 10 cos(2 pi y)``: a bowl full of holes."""
    return 20 + (x * x - 10 * (2 * math.pi * x).cos()).sum()


_CONDITION = Hyper(about="ratio of the curvatures", default=25.0, low=1.0, high=1000.0, log=True)
_ANGLE = Hyper(about="of the long axis, in degrees", default=0.0, low=-90.0, high=90.0)
_THIRD = math.acos(-0.15 * math.sqrt(3)) / 3  # of x^3 - x + 1/10 = 0, by Vieta's cosines
_LOWEST = 2 / math.sqrt(3) * math.cos(_THIRD + 2 * math.pi / 3)

_PLAIN = (
    Surface(
        name="ellipse",
        about="a valley, steep across and flat along",
        function=ellipse,
        domain=(-3.0, 3.0, -3.0, 3.0),
        start=(-2.6, 1.2),
        params={"condition": _CONDITION, "angle": _ANGLE},
        minima=((0.0, 0.0),),
        lrs=(1e-3, 7e-2),
        noise_scale=2.0,
    ),
    Surface(
        name="rotated_ellipse",
        about="the same valley across both axes: what goes axis by axis cannot see it",
        function=ellipse,
        domain=(-3.0, 3.0, -3.0, 3.0),
        start=(-2.6, -0.6),
        params={"condition": _CONDITION, "angle": replace(_ANGLE, default=45.0)},
        minima=((0.0, 0.0),),
        lrs=(1e-3, 7e-2),
        noise_scale=2.0,
    ),
    Surface(
        name="saddle",
        about="down along one axis, up along the other",
        function=saddle,
        domain=(-2.0, 2.0, -2.0, 2.0),
        start=(-1.6, 0.001),
        minima=((0.0, -1.0), (0.0, 1.0)),
        lrs=(1e-2, 0.5),
        noise_scale=0.1,
    ),
    Surface(
        name="monkey_saddle",
        about="three ways down from a place without any curvature",
        function=monkey_saddle,
        domain=(-1.6, 1.6, -1.6, 1.6),
        start=(1.1, 0.01),
        minima=((-1.0, 0.0), (0.5, -math.sqrt(0.75)), (0.5, math.sqrt(0.75))),
        lrs=(1e-2, 0.1),
        noise_scale=0.1,
    ),
    Surface(
        name="local_minimum",
        about="the nearer valley is not the deeper one",
        function=local_minimum,
        domain=(-2.0, 2.0, -2.0, 2.0),
        start=(1.8, 1.4),
        minima=((_LOWEST, 0.0),),
        lrs=(1e-3, 0.1),
        noise_scale=1.0,
    ),
    Surface(
        name="plateau",
        about="a pit in a plain without a slope",
        function=plateau,
        domain=(-3.0, 3.0, -3.0, 3.0),
        start=(-2.4, 1.5),
        minima=((0.0, 0.0),),
        lrs=(1e-2, 0.5),
        noise_scale=0.02,
    ),
    Surface(
        name="rosenbrock",
        about="a bent valley with a flat floor",
        function=rosenbrock,
        domain=(-2.0, 2.0, -1.0, 3.0),
        start=(-1.5, 2.0),
        minima=((1.0, 1.0),),
        lrs=(1e-4, 2e-3),
        noise_scale=10.0,
    ),
    Surface(
        name="beale",
        about="a flat cross between cliffs",
        function=beale,
        domain=(-4.5, 4.5, -4.5, 4.5),
        start=(1.0, 1.5),
        minima=((3.0, 0.5),),
        lrs=(1e-4, 1e-2),
        noise_scale=2.0,
    ),
    Surface(
        name="himmelblau",
        about="four pits, all equally deep",
        function=himmelblau,
        domain=(-5.0, 5.0, -5.0, 5.0),
        start=(-0.5, -1.0),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        lrs=(1e-4, 1e-2),
        noise_scale=20.0,
    ),
    Surface(
        name="rastrigin",
        about="a bowl full of holes",
        function=rastrigin,
        domain=(-5.12, 5.12, -5.12, 5.12),
        start=(-3.3, 2.6),
        minima=((0.0, 0.0),),
        lrs=(1e-4, 5e-3),
        noise_scale=20.0,
    ),
)

SURFACES: Mapping[str, Surface] = {
    each.name: each
    for plain in _PLAIN
    for each in (
        plain,
        replace(
            plain,
            name=f"noisy_{plain.name}",
            about=f"{plain.about}; its gradient is noisy",
            noise=plain.noise_scale,
        ),
    )
}


def surface(name: str) -> Surface:
    """The surface of that name.

    Raises:
        InputError: there is none.

    Example:
        >>> surface("rosenbrock").minima
        ((1.0, 1.0),)
    """
    if name not in SURFACES:
        raise InputError(f"unknown surface '{name}': {choices(name, SURFACES)}")
    return SURFACES[name]


def own_surface(function: Callable[[Tensor], Tensor], domain: tuple[float, float, float, float]) -> Surface:
    """A surface of a function of the user's, ``f(x: Tensor[2]) -> Tensor``, started in a corner of its map.

    Example:
        >>> own_surface(lambda x: (x * x).sum(), (-4.0, 4.0, 0.0, 5.0)).start
        (-3.0, 4.0)
    """
    left, right, bottom, top = domain
    return Surface(
        name=getattr(function, "__name__", "f").replace("<lambda>", "f"),
        about="",
        function=lambda x, _: function(x),
        domain=domain,
        start=(left + (right - left) / 8, bottom + 0.8 * (top - bottom)),
    )
