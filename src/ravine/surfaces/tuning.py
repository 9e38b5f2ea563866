"""The learning rate that a rule does best with from one start."""

from __future__ import annotations

import numpy as np

from ravine.surfaces.base import Point, Surface
from ravine.surfaces.machine_code import Walk
from ravine.surfaces.noise import noise as noise_of
from ravine.surfaces.paths import Path, path
from ravine.surfaces.traced import TracedRule, trace_surface

_LRS = tuple(float(lr) for lr in np.logspace(-4, 1, 41))
_FLOOR = 1e-10
_CHECKS = 15  # steps at which the loss is looked at


def best_path(
    rule: TracedRule, surface: Surface, *, start: Point, steps: int, noise: float, seed: int, lowest: float
) -> tuple[float, Path]:
    """Of 41 learning rates the one whose loss falls fastest, and its path; one that leaves the map only where all do.

    Fast is a low mean of log10 of the loss above the lowest point, over 15 steps spread evenly.

    Args:
        rule: what walks; its other hypers have their defaults.
        surface: what it walks on.
        start: from where.
        steps: how many.
        noise: standard deviation of what is added to each number of the gradient.
        seed: of the noise.
        lowest: loss of the lowest point.

    Example:
        >>> from ravine.rules import rule
        >>> from ravine.surfaces import surface
        >>> from ravine.surfaces.traced import trace_rule
        >>> sgd, ellipse = trace_rule(rule("sgd")), surface("ellipse")
        >>> lr, _ = best_path(sgd, ellipse, start=(-2.0, 1.0), steps=300, noise=0.0, seed=0, lowest=0.0)
        >>> 0.05 < lr < 2 / 25
        True
    """
    walk = Walk(rule, trace_surface(surface))
    draws = noise * noise_of(seed, steps).numpy()
    params = [param.default or 0.0 for param in surface.params.values()]
    own = rule.rule.hypers
    heights = []
    for lr in _LRS:
        hypers = [lr if name == "lr" else hyper.default or 0.0 for name, hyper in own.items()]
        checks = np.unique(np.linspace(1, steps, _CHECKS).astype(int))
        losses = np.array([walk(np.array([start]), hypers, params, draws[:num])[0] for num in checks])
        with np.errstate(all="ignore"):
            height = float(np.log10(np.maximum(losses - lowest, _FLOOR)).mean())
        heights.append(height if np.isfinite(height) else np.inf)
    left, right, bottom, top = surface.domain
    first: tuple[float, Path] | None = None
    for place in np.argsort(heights, kind="stable"):
        lr = _LRS[int(place)]
        found = path(rule.rule, surface, start=start, hypers={"lr": lr}, steps=steps, noise=noise, seed=seed)
        first = first or (lr, found)
        x, y = found.points.T
        if bool(((x >= left) & (x <= right) & (y >= bottom) & (y <= top)).all()):
            return lr, found
    assert first is not None, "there are learning rates to try"
    return first
