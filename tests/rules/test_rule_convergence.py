"""Every rule gets to the bottom of a parabola and of Rosenbrock's valley."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rules_reference import ON_VECTORS, defaults, walk

from ravine.rules import rule

# kind: (lr, steps, distance from the minimum at the end) on each surface
PARABOLA = {
    "sgd": (0.1, 200, 1e-6),
    "momentum": (0.02, 300, 1e-3),
    "nesterov": (0.02, 300, 1e-5),
    "nesterov_lookahead": (0.02, 300, 1e-5),
    "nesterov_torch": (0.02, 300, 1e-5),
    "adagrad": (1.0, 300, 1e-4),
    "rmsprop": (0.003, 1200, 5e-3),  # its steps don't shrink: it stays within about lr
    "adam": (0.05, 600, 1e-3),
    "adamw": (0.05, 600, 2e-2),  # its decay moves the minimum
    "nadam": (0.05, 600, 1e-3),
    "lion": (0.002, 2000, 1e-2),  # its steps are lr long however near it is
    "schedule_free_adamw": (0.1, 1000, 1e-2),
}
ROSENBROCK = {
    "sgd": (1e-3, 20_000, 0.02),
    "momentum": (5e-4, 5_000, 0.02),
    "nesterov": (5e-4, 5_000, 0.02),
    "nesterov_lookahead": (5e-4, 5_000, 0.02),
    "nesterov_torch": (5e-4, 5_000, 0.02),
    "adagrad": (0.5, 10_000, 0.1),
    "rmsprop": (1e-3, 10_000, 0.1),
    "adam": (0.02, 5_000, 0.02),
    "adamw": (0.02, 5_000, 0.1),
    "nadam": (0.02, 5_000, 0.02),
    "lion": (3e-4, 20_000, 0.1),
    "schedule_free_adamw": (0.02, 10_000, 0.1),
}


def parabola(x: torch.Tensor) -> torch.Tensor:
    """The gradient of (x - 1)^2 / 2 with curvatures 1 to 10."""
    return torch.linspace(1.0, 10.0, x.numel(), dtype=x.dtype) * (x - 1.0)


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    """The gradient of (1 - a)^2 + 100 (b - a^2)^2, whose minimum is (1, 1)."""
    a, b = x.unbind()
    return torch.stack([-2.0 * (1.0 - a) - 400.0 * a * (b - a * a), 200.0 * (b - a * a)])


def test_every_rule_is_in_the_tables() -> None:
    assert set(PARABOLA) == set(ROSENBROCK) == set(ON_VECTORS)


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_parabola(kind: str) -> None:
    lr, num_steps, near = PARABOLA[kind]
    x = torch.tensor([-2.0, 3.0, 0.0], dtype=torch.float64)
    end = walk(rule(kind), x, parabola, np.full(num_steps, lr), defaults(rule(kind)))[-1]
    assert float((end - 1.0).abs().max()) < near


# Thousands of steps each: one of each family here, the others with --all.
FAMILIES = ("momentum", "nesterov", "adam")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in FAMILIES else pytest.mark.slow) for kind in ON_VECTORS]
)
def test_rosenbrock(kind: str) -> None:
    lr, num_steps, near = ROSENBROCK[kind]
    x = torch.tensor([-1.0, 1.5], dtype=torch.float64)
    end = walk(rule(kind), x, rosenbrock, np.full(num_steps, lr), defaults(rule(kind)))[-1]
    assert float((end - 1.0).abs().max()) < near
