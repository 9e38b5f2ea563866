"""Principal planes against NumPy's SVD, and filter-normalized directions against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.landscapes import plane as module_under_test
from ravine.landscapes.plane import filter_normalized, principal_plane
from ravine.tensors import Layout
from ravine.verdict.barrier import barrier


@pytest.mark.parametrize("columns", [1 << 20, 37])
def test_the_plane_is_that_of_an_svd(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_under_test, "_COLUMNS", columns)
    draw = np.random.default_rng(0)
    points = np.cumsum(draw.normal(size=(30, 200)), axis=0) + 5.0
    axes = principal_plane(torch.from_numpy(points.copy()))
    centred = points - points.mean(0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(axes.center_P, points.mean(0), atol=1e-12)
    np.testing.assert_allclose(axes.shares, (sizes**2 / (sizes**2).sum())[:2], rtol=1e-10)
    for i in range(2):
        sign = np.sign(axes.axes_2P[i].numpy() @ right[i])
        np.testing.assert_allclose(axes.axes_2P[i], sign * right[i], atol=1e-9)
        np.testing.assert_allclose(axes.places_M2[:, i], sign * left[:, i] * sizes[i], atol=1e-8)
        assert axes.places_M2[-1, i] > axes.places_M2[0, i]
    rest = centred - axes.places_M2.numpy() @ axes.axes_2P.numpy()
    np.testing.assert_allclose(axes.off_M, np.linalg.norm(rest, axis=1), rtol=1e-8)
    np.testing.assert_allclose(axes.far_M, np.linalg.norm(centred, axis=1), rtol=1e-10)


def test_a_random_walk_has_the_shares_that_theory_gives_it() -> None:
    """6 / (pi k)^2 of the variance along axis k (Antognini and Sohl-Dickstein, 2018): what a path has by itself."""
    draw = torch.Generator().manual_seed(1)
    walk = torch.randn(200, 20_000, generator=draw).cumsum(0)
    shares = principal_plane(walk).shares
    assert shares[0] == pytest.approx(6 / np.pi**2, abs=0.01)
    assert shares[1] == pytest.approx(6 / (4 * np.pi**2), abs=0.01)


def test_points_on_a_line_and_in_one_place() -> None:
    line = principal_plane(
        torch.arange(5.0, dtype=torch.float64)[:, None] * torch.ones(1, 4, dtype=torch.float64)
    )
    assert line.shares == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    np.testing.assert_allclose(line.places_M2[:, 0], np.arange(-2, 3) * 2.0, atol=1e-12)
    same = principal_plane(torch.ones(4, 3))
    assert same.shares == (0.0, 0.0)
    assert torch.isfinite(same.axes_2P).all()


def test_directions_are_as_long_as_the_filters() -> None:
    layout = Layout.of(
        {"conv.weight": (3, 2, 5, 5), "conv.bias": (3,), "linear.weight": (4, 7), "norm.weight": (4,)}
    )
    weights = torch.randn(layout.size, generator=torch.Generator().manual_seed(2))
    first, second = (layout.view_one(filter_normalized(layout, weights, 0, i)) for i in (0, 1))
    ours = layout.view_one(weights)
    for name in ("conv.weight", "linear.weight"):
        expected = ours[name].flatten(1).norm(dim=1)
        np.testing.assert_allclose(first[name].flatten(1).norm(dim=1), expected, rtol=1e-5)
        cosine = (first[name] * second[name]).sum() / first[name].norm() / second[name].norm()
        assert abs(cosine) < 0.5
    for name in ("conv.bias", "norm.weight"):
        assert not first[name].any()
    again = filter_normalized(layout, weights, 0, 0)
    other = filter_normalized(layout, weights, 1, 0)
    assert torch.equal(layout.view_one(again)["linear.weight"], first["linear.weight"])
    assert not torch.equal(other, again)
    weights[layout.offsets[2] :] = 0.0
    assert not layout.view_one(filter_normalized(layout, weights, 0, 0))["linear.weight"].any()


def test_a_barrier_is_above_the_line_between_the_ends() -> None:
    x = np.linspace(0, 1, 5)
    assert barrier(x, np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == (0.0, 0.0)
    assert barrier(x, np.array([1.0, 0.5, 0.2, 0.5, 1.0])) == (0.0, 0.0)
    assert barrier(x, np.array([0.0, 1.0, 0.5, 7.0, 8.0])) == (1.0, 0.75)
    assert barrier(x, np.array([0.0, 1.0, np.nan, 7.0, 8.0])) == (np.inf, 0.5)
