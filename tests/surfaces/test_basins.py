"""Where rules end up, computed by machine code: the losses that paths in Python have."""

from __future__ import annotations

from base64 import b64decode
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from ravine.rules import RULES, regularize, rule
from ravine.surfaces import SURFACES, own_surface, path, surface
from ravine.surfaces.basins import basins
from ravine.surfaces.traced import trace_rule
from thinning import thinned

PLAIN = [name for name in SURFACES if not name.startswith("noisy_")]


def starts(ground: Any, size: int) -> list[tuple[int, int, tuple[float, float]]]:
    left, right, bottom, top = ground.domain
    xs, ys = np.linspace(left, right, size), np.linspace(bottom, top, size)
    return [(j, i, (xs[i], ys[j])) for j in range(size) for i in range(size)]


GROUNDS = ("ellipse", "rosenbrock", "noisy_himmelblau", "rastrigin")
KINDS = [kind for kind, each in RULES.items() if each.others is None]


@pytest.mark.parametrize(("kind", "name"), thinned(product(KINDS, GROUNDS), strength=1))
def test_every_rule_ends_where_its_path_does(kind: str, name: str) -> None:
    ground = surface(name)
    lrs = (ground.lrs[0], ground.lrs[1] / 10)
    found = basins(ground, [trace_rule(rule(kind))], lrs=lrs, size=2, steps=40, seed=9)
    for place, lr in enumerate(lrs):
        for j, i, start in starts(ground, 2):
            ended = path(rule(kind), ground, start=start, hypers={"lr": lr}, steps=40, seed=9).losses[-1]
            assert found.final[kind][place, j, i] == pytest.approx(ended, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", PLAIN)
def test_every_surface_is_the_same_in_machine_code(name: str) -> None:
    ground = surface(name)
    adam = trace_rule(rule("adam"))
    found = basins(ground, [adam], lrs=(0.01,), size=2, steps=70)
    for j, i, start in starts(ground, 2):
        here = path(rule("adam"), ground, start=start, hypers={"lr": 0.01}, steps=70)
        assert found.first[j, i] == pytest.approx(here.losses[0], rel=1e-12, abs=1e-12)
        assert found.final["adam"][0, j, i] == pytest.approx(here.losses[-1], rel=1e-8, abs=1e-12)


def test_branches_powers_and_penalties_are_too() -> None:
    def mine(x: torch.Tensor) -> torch.Tensor:
        steep = torch.where((x[0] > 0) & ~(x[1] > 1), x[0].abs() ** 2.5, x[0].abs())
        return steep + torch.atan2(x[1], x[0] + 3) ** 2 + x.clamp(-1, 1).sum().cosh() + x.amax()

    ground = own_surface(mine, (-2.0, 2.0, -2.0, 2.0))
    heavy = regularize(rule("momentum"), ["weight_decay", "l1"])
    found = basins(ground, [trace_rule(heavy)], lrs=(0.02,), size=4, steps=60)
    for j, i, start in starts(ground, 4):
        ended = path(heavy, ground, start=start, hypers={"lr": 0.02}, steps=60).losses[-1]
        assert found.final["momentum"][0, j, i] == pytest.approx(ended, rel=1e-9)


def test_the_page_gets_a_byte_for_each_final_loss() -> None:
    ground = surface("ellipse")
    found = basins(ground, [trace_rule(rule("sgd"))], lrs=(0.001, 0.05, 1.0), size=4, steps=200)
    told = found.json()
    codes = np.frombuffer(b64decode(told["rules"][0]["codes"]), dtype=np.uint8).reshape(3, 4, 4)
    assert (codes[2] == 255).all()  # all diverge: 1 > 2 / 25
    assert (codes[:2] != 255).all()
    height = told["low"] + codes[:2] / 254 * (told["high"] - told["low"])
    expected = np.log10(np.maximum(found.final["sgd"][:2], 1e-12))
    assert np.abs(height - expected).max() <= (told["high"] - told["low"]) / 254
    quartiles = np.array(told["rules"][0]["quartiles"])
    assert quartiles[1] == pytest.approx(np.quantile(expected[1], (0.25, 0.5, 0.75)), abs=2e-3)
    assert quartiles[2] == pytest.approx(told["high"], abs=1e-3)
    assert told["success"] == pytest.approx(np.log10(1e-4 * np.median(found.first)))
