"""Newton's method on a surface: against the optimizer, on a quadratic, at a saddle, and on the page."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.errors import InputError
from ravine.optim import Newton
from ravine.report.surface_picture import collect
from ravine.surfaces import path, scene, surface
from ravine.surfaces.builtin import own_surface
from ravine.surfaces.newton import newton, saddle_free_newton

ROUNDING = 1e-9  # of the map, over ten steps that may multiply it


@pytest.mark.parametrize("name", ["rosenbrock", "himmelblau", "rotated_ellipse", "saddle"])
@pytest.mark.parametrize("saddle_free", [False, True])
def test_a_path_is_the_optimizers(name: str, saddle_free: bool) -> None:
    ground = surface(name)
    rule = (saddle_free_newton if saddle_free else newton)(ground)
    found = path(rule, ground, hypers={}, steps=10)
    point = torch.nn.Parameter(torch.tensor(ground.start, dtype=torch.float64))
    optimizer = Newton([point], saddle_free=saddle_free, tolerance_grad=0.0)
    params = {key: torch.tensor(each.default, dtype=torch.float64) for key, each in ground.params.items()}
    expected = [point.detach().numpy().copy()]
    for _ in range(10):
        optimizer.step(lambda: ground.loss(point, params))
        expected.append(point.detach().numpy().copy())
    np.testing.assert_allclose(found.points, np.array(expected), atol=ROUNDING, rtol=ROUNDING)


def test_one_step_is_enough_on_a_quadratic_and_half_a_step_halves_the_way() -> None:
    ground = surface("rotated_ellipse")
    found = path(newton(ground), ground, hypers={"lr": 1.0}, steps=1)
    assert np.abs(found.points[1]).max() < 1e-14
    found = path(newton(ground), ground, hypers={"lr": 0.5}, steps=3)
    np.testing.assert_allclose(found.points[3], np.array(ground.start) / 8, rtol=1e-12)


def test_one_goes_to_the_saddle_and_the_other_leaves_it() -> None:
    ground = surface("saddle")
    stuck, free = (
        path(kind(ground), ground, hypers={}, steps=60).points[-1] for kind in (newton, saddle_free_newton)
    )
    np.testing.assert_allclose(stuck, (0.0, 0.0), atol=1e-12)
    np.testing.assert_allclose(free, (0.0, 1.0), atol=1e-9)


def test_a_surface_that_is_flat_or_ends_somewhere_stops_no_page() -> None:
    flat = own_surface(lambda x: x[0] * 2.0, (-1.0, 1.0, -1.0, 1.0))
    assert np.isfinite(path(newton(flat), flat, hypers={}, steps=3).losses).all()  # no curvature, no step
    root = own_surface(lambda x: x[0] ** 1.5 + x[1] ** 2, (0.0, 1.0, -1.0, 1.0))
    for start in ((0.5, 0.5), (0.0, 0.5)):  # a step to -0.5, where there is no loss; no second derivative
        losses = path(newton(root), root, start=start, hypers={}, steps=3).losses
        assert np.isfinite(losses).tolist() == [True, False, False, False]


def test_it_is_there_where_it_is_asked_for() -> None:
    shown = scene("saddle", rules=["newton", "sgd"], steps=5)
    assert set(shown.fixed) == {"newton"}
    assert shown.fixed["newton"].lr == 1.0
    assert shown.fixed["newton"].reason == "rule newton: it takes second derivatives"
    assert max(shown.fixed["newton"].paths) <= 2.0
    assert collect(shown).lines[0].label.startswith("newton, lr 1: loss")
    assert "newton" not in {rule.name for rule in scene("saddle", rules=["sgd"], steps=5).rules}


def test_mistakes_name_it() -> None:
    with pytest.raises(InputError, match="unknown rule 'newtn': did you mean 'newton'"):
        scene("saddle", rules=["newtn"])
    with pytest.raises(InputError, match=r"rule newton: lr = 5\.0: must be a number above 0 and at most 2"):
        scene("saddle", rules=["newton"], lr=5.0)
