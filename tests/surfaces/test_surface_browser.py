"""The JavaScript of rules and surfaces, in a real browser: the numbers that Python has."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravine.report.surface import html
from ravine.rules import rule
from ravine.surfaces import SURFACES, path, scene, surface
from ravine.surfaces.javascript import program
from ravine.surfaces.noise import noise
from ravine.surfaces.traced import trace_rule, trace_surface

pytestmark = pytest.mark.browser

PLAIN = [name for name in SURFACES if not name.startswith("noisy_")]

SCENE = scene("ellipse", rules=["nesterov", "adam"], ema=0.9)
WALKED = {each.rule.name: each.rule for each in SCENE.traced}  # with the penalties that the page has


@pytest.fixture
def page(tab: Any, page_path: Path) -> Any:
    """The page of all rules and surfaces."""
    path = page_path.with_name("all.html")
    if tab.url != path.as_uri():
        path.write_text(html(SCENE, maps=False), encoding="utf-8")
        tab.goto(path.as_uri())
    return tab


def test_the_noise_is_pythons(page: Any) -> None:
    for seed in (0, 1, 123_456_789, 2**32 - 1):
        drawn = page.evaluate(f"[...ravine.noise({seed}, 500)]")
        np.testing.assert_allclose(np.reshape(drawn, (500, 2)), noise(seed, 500).numpy(), rtol=0, atol=1e-14)


WALK = """([rule, surface, settings, seed, steps]) => {
    const draws = settings.scale ? ravine.noise(seed, steps) : null;
    const path = ravine.walk(ravine.rules[rule], ravine.surfaces[surface], { ...settings, steps, draws });
    return [path.count, [...path.points], [...path.losses]];
}"""


# Each rule on one of the surfaces, so that each surface has its turn; with --all each rule on all of them.
SOME = [(kind, [PLAIN[at % len(PLAIN)]], 100) for at, kind in enumerate(WALKED)]
ALL = [pytest.param(kind, PLAIN, 300, marks=pytest.mark.slow, id=f"{kind}-everywhere") for kind in WALKED]


@pytest.mark.parametrize(
    ("kind", "grounds", "steps"), [*(pytest.param(*each, id=each[0]) for each in SOME), *ALL]
)
def test_a_path_in_the_page_is_pythons(page: Any, kind: str, grounds: list[str], steps: int) -> None:
    """To 1e-9 of the map or of the point's distance, for all steps, or until a start 1e-15 beside has gone elsewhere.

    Rounding differs in a few functions (sines, say). Where a path multiplies it, on Rastrigin's hills, nothing can be
    the same for ever: there a twin that starts 1e-15 of the map to the right says how far the comparison holds.
    """
    compared = 0
    numbers = random.Random(f"paths of {kind}")
    for name in grounds:
        ground = surface(name)
        left, right, bottom, top = ground.domain
        size = max(right - left, top - bottom)
        for scale in (0.0, ground.noise_scale):
            start = (numbers.uniform(left, right), numbers.uniform(bottom, top))
            walker = WALKED[kind]
            hypers = {
                key: hyper.default if hyper.default is not None else 0.1
                for key, hyper in walker.hypers.items()
            }
            hypers |= {"weight_decay": 0.01 * bool(scale), "l1": 0.001 * bool(scale)}
            hypers["lr"] = math.exp(numbers.uniform(*map(math.log, ground.lrs)))
            given: dict[str, Any] = {"hypers": hypers, "steps": steps, "noise": scale, "seed": 7}
            here = path(walker, ground, start=start, **given)
            twin = path(walker, ground, start=(start[0] + 1e-15 * size, start[1]), **given)
            settings = {
                "start": start,
                "hypers": list(hypers.values()),
                "params": [param.default for param in ground.params.values()],
                "scale": scale,
            }
            count, points, losses = page.evaluate(WALK, [kind, name, settings, 7, steps])
            length = np.maximum(np.abs(here.points).max(axis=1), size)
            apart = np.abs(here.points - twin.points).max(axis=1) / length
            known = int(np.argmax(~(apart < 1e-11))) or steps + 1
            if np.isfinite(here.losses[:known]).all():
                assert count >= known, (name, scale)
            off = np.abs(np.reshape(points, (-1, 2)) - here.points).max(axis=1) / length
            assert off[:known].max() <= 1e-9, (name, scale, known)
            high = np.maximum(np.abs(here.losses), here.losses[0])
            assert (np.abs(losses - here.losses) / high)[:known].max() <= 1e-9, (name, scale, known)
            compared += known
    share = 0.8 if grounds == PLAIN else 0.5
    assert compared > share * 2 * len(grounds) * (steps + 1)


def test_a_diverging_path_ends_where_pythons_does(page: Any) -> None:
    here = path(rule("sgd"), surface("rosenbrock"), hypers={"lr": 0.1}, steps=50)
    settings = {"start": list(surface("rosenbrock").start), "hypers": [0.1, 0, 0], "params": [], "scale": 0}
    count, _, _ = page.evaluate(WALK, ["sgd", "rosenbrock", settings, 0, 50])
    assert count == np.isfinite(here.losses).sum() < 20


def test_a_step_is_what_the_past_does_and_what_the_gradient_adds(page: Any) -> None:
    script = """() => {
        const settings = { start: [-1.5, 2], hypers: [0.001, 0.9, 0, 0], params: [], steps: 9, scale: 0, draws: null };
        const rule = ravine.rules.momentum;
        const path = ravine.walk(rule, ravine.surfaces.rosenbrock, settings);
        return [ravine.parts(rule, path, 5, settings.hypers), [...path.points], [...path.grads], [...path.states]];
    }"""
    parts, points, grads, states = page.evaluate(script)
    for i in (0, 1):
        assert parts["past"][i] == pytest.approx(-0.001 * 0.9 * states[10 + i], rel=1e-12)
        assert parts["step"][i] - parts["past"][i] == pytest.approx(-0.001 * grads[10 + i], rel=1e-9)
        assert points[12 + i] - points[10 + i] == pytest.approx(parts["step"][i], rel=1e-9)


def test_a_rule_and_a_surface_of_the_users_need_no_javascript(page: Any) -> None:
    import torch

    from ravine.surfaces import own_surface

    def valley(x: torch.Tensor) -> torch.Tensor:
        matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
        return torch.log1p(x @ matrix @ x) + torch.where(x[0] > 0, x[0], -2 * x[0]) + x.norm() ** 3 / 9

    def update(grad: Any, state: Any, param: Any, hypers: Any, t: Any) -> Any:
        length = (grad * grad).sum(-1, keepdim=True).sqrt()
        return -hypers["lr"] * grad / (length + 0.1) / t.sqrt(), state

    ground = own_surface(valley, (-2.0, 2.0, -2.0, 2.0))
    mine = replace(rule("sgd"), name="</script>", update=update)
    script = program([trace_surface(ground)], [trace_rule(mine)])
    assert "</script>" not in script
    page.evaluate(f"(() => {{ {script}; window.own = ravine; }})()")
    settings = {"start": [1.3, -0.7], "hypers": [0.3], "params": [], "steps": 50, "scale": 0, "draws": None}
    points = page.evaluate(
        f"[...own.walk(own.rules['</script>'], own.surfaces.valley, {json.dumps(settings)}).points]"
    )
    here = path(mine, ground, start=(1.3, -0.7), hypers={"lr": 0.3}, steps=50)
    np.testing.assert_allclose(np.reshape(points, (-1, 2)), here.points, rtol=0, atol=1e-9)
