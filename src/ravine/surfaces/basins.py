"""Where rules end up: the final loss over learning rates and starts, for many rules at once."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ravine.surfaces.base import Surface
from ravine.surfaces.machine_code import Walk
from ravine.surfaces.noise import noise as noise_of
from ravine.surfaces.traced import TracedRule, trace_surface

LRS = tuple(float(lr) for lr in np.logspace(-4, 1, 25))
SIZE = 41
_FLOOR = 1e-12  # above the lowest point: what is nearer is the same
_SUCCESS = 1e-4  # of the starts' median height


@dataclass(frozen=True, slots=True, kw_only=True)
class Basins:
    """Final losses. L learning rates, N x N starts, the first in the lower left corner, row by row upwards.

    Args:
        surface: its name.
        steps: how many.
        lrs: (L,).
        size: N.
        first: (N, N): the losses of the starts.
        final: by rule, (L, N, N): the losses after the steps; not finite where a rule diverged.
        lowest: loss of the lowest known point.
    """

    surface: str
    steps: int
    lrs: tuple[float, ...]
    size: int
    first: np.ndarray
    final: dict[str, np.ndarray]
    lowest: float

    def json(self) -> dict[str, Any]:
        """For the page: log10 of the losses above the lowest point, a byte each; 255 is higher than all starts."""
        top = float(np.log10(max(self.first.max() - self.lowest, 10 * _FLOOR)))
        bottom = float(np.log10(_FLOOR))
        median = max(float(np.median(self.first)) - self.lowest, _FLOOR)
        rules = []
        for name, final in self.final.items():
            with np.errstate(all="ignore"):
                height = np.log10(np.maximum(final - self.lowest, _FLOOR))
            lost = ~(height <= top)
            height = np.where(lost, top, height)
            codes = np.where(lost, 255, np.rint((height - bottom) / (top - bottom) * 254)).astype(np.uint8)
            quartiles = np.quantile(height.reshape(len(self.lrs), -1), (0.25, 0.5, 0.75), axis=1).T
            rules.append(
                {
                    "rule": name,
                    "codes": b64encode(codes.tobytes()).decode(),
                    "quartiles": quartiles.round(3).tolist(),
                }
            )
        return {
            "surface": self.surface,
            "steps": self.steps,
            "lrs": list(self.lrs),
            "size": self.size,
            "low": bottom,
            "high": top,
            "success": float(np.log10(_SUCCESS * median)),
            "rules": rules,
        }


def basins(
    surface: Surface,
    rules: Sequence[TracedRule],
    *,
    lrs: Sequence[float] = LRS,
    size: int = SIZE,
    steps: int = 300,
    noise: float | None = None,
    seed: int = 0,
) -> Basins:
    """Let rules walk from everywhere on the map at many learning rates; other hypers have their defaults.

    Each rule is compiled with the surface, and threads take its learning rates one after another.

    Args:
        surface: what they walk on.
        rules: what walks.
        lrs: learning rates.
        size: starts on a side of the map, its edges included.
        steps: how many.
        noise: standard deviation of what is added to each number of the gradient; None: the surface's own.
        seed: of the noise.

    Example:
        >>> from ravine.rules import rule
        >>> from ravine.surfaces import surface
        >>> from ravine.surfaces.traced import trace_rule
        >>> found = basins(surface("ellipse"), [trace_rule(rule("sgd"))], lrs=(0.01, 1.0), size=5, steps=500)
        >>> [bool(final.max() < 1e-3) for final in found.final["sgd"]]
        [True, False]
    """
    left, right, bottom, top = surface.domain
    across, up = np.meshgrid(np.linspace(left, right, size), np.linspace(bottom, top, size))
    starts = np.stack((across.ravel(), up.ravel()), axis=1)
    scale = surface.noise if noise is None else noise
    draws = scale * noise_of(seed, steps).numpy()
    traced = trace_surface(surface)
    params = [param.default or 0.0 for param in surface.params.values()]
    still = np.zeros((0, 2))
    with ThreadPoolExecutor(_cores()) as pool:
        walks = list(pool.map(lambda each: Walk(each, traced), rules))

        def ended(job: tuple[int, float]) -> np.ndarray:
            number, lr = job
            own = rules[number].rule.hypers
            hypers = [lr if name == "lr" else hyper.default or 0.0 for name, hyper in own.items()]
            return walks[number](starts, hypers, params, draws)

        found = list(pool.map(ended, [(i, lr) for i in range(len(rules)) for lr in lrs]))
    first = walks[0](starts, [0.0] * len(rules[0].hypers), params, still)
    losses = np.stack(found).reshape(len(rules), len(lrs), size, size)
    names = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in zip(surface.params, params, strict=True)
    }
    known = [float(surface.loss(torch.tensor(point, dtype=torch.float64), names)) for point in surface.minima]
    lowest = min([float(losses[np.isfinite(losses)].min(initial=np.inf)), float(first.min()), *known])
    return Basins(
        surface=surface.name,
        steps=steps,
        lrs=tuple(lrs),
        size=size,
        first=first.reshape(size, size),
        final={each.rule.name: losses[i] for i, each in enumerate(rules)},
        lowest=lowest,
    )


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
