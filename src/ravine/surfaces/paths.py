"""A rule's path over a surface, step by step in float64, as the rule and the surface are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ravine.errors import InputError
from ravine.rules import Rule, fill
from ravine.surfaces.base import Point, Surface
from ravine.surfaces.noise import noise as noise_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Where a rule went. S steps; what comes after a number that is not finite is NaN.

    Args:
        points: (S + 1, 2): the rule's weights, the start first.
        losses: (S + 1,): the surface's height there, without noise.
    """

    points: np.ndarray
    losses: np.ndarray


def path(
    rule: Rule,
    surface: Surface,
    *,
    start: Point | None = None,
    hypers: Mapping[str, float],
    steps: int = 300,
    params: Mapping[str, float] | None = None,
    noise: float | None = None,
    seed: int = 0,
) -> Path:
    """The path of a rule over a surface.

    Args:
        rule: any rule.
        surface: what it descends.
        start: from where; None: the surface's own start.
        hypers: the rule's, by name; those left out have their defaults.
        steps: how many.
        params: the surface's, by name; those left out have their defaults.
        noise: standard deviation of what is added to each number of the gradient; None: the surface's own.
        seed: of the noise.

    Raises:
        InputError: an unknown name, or a value out of range.

    Example:
        >>> from ravine.rules import rule
        >>> from ravine.surfaces import surface
        >>> found = path(rule("sgd"), surface("ellipse"), hypers={"lr": 0.04}, steps=300)
        >>> bool(found.losses[-1] < 1e-9)
        True
    """
    numbers = {name: _number(value) for name, value in fill(rule.hypers, hypers, rule.name).items()}
    own = {name: _number(value) for name, value in fill(surface.params, params or {}, surface.name).items()}
    x = torch.tensor(start or surface.start, dtype=torch.float64)
    if not bool(x.isfinite().all()):
        raise InputError(f"start = {start}: must be two finite numbers")
    scale = surface.noise if noise is None else noise
    noise_S2 = scale * noise_of(seed, steps)
    points, losses = np.full((steps + 1, 2), math.nan), np.full(steps + 1, math.nan)
    state = rule.init(x)
    with torch.no_grad():
        for step in range(steps + 1):
            weights = x if rule.deployed is None else rule.deployed(x, state, numbers)
            loss = surface.loss(weights, own)
            if not bool(weights.isfinite().all() and loss.isfinite()):
                break
            points[step], losses[step] = weights.numpy(), float(loss)
            if step == steps:
                break
            at = x if rule.gradient_at is None else rule.gradient_at(x, state, numbers)
            grad = surface.slope(at, own) + noise_S2[step]
            update, state = rule.update(grad, state, x, numbers, _number(step + 1.0))
            x = x + update
    return Path(points=points, losses=losses)


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
