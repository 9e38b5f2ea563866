"""Lanczos' method against LAPACK."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ravine.landscapes.lanczos import lanczos

EXACT = 1e-9  # relative, in float64


def symmetric(size: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    square = torch.randn(size, size, generator=draw, dtype=torch.float64)
    return (square + square.T) / 2


def products(matrices: Tensor):
    return lambda vectors: (matrices @ vectors[:, :, None])[:, :, 0]


def start(num: int, size: int) -> Tensor:
    return torch.randn(num, size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_both_ends_of_several_matrices_at_once() -> None:
    matrices = torch.stack([symmetric(60, seed) * scale for seed, scale in ((0, 1.0), (1, 100.0), (2, 1e-3))])
    found = lanczos(products(matrices), start(3, 60), num_top=3, tolerance=1e-10, most_steps=60)
    for matrix, spectrum in zip(matrices, found, strict=True):
        exact = torch.linalg.eigvalsh(matrix).numpy()
        np.testing.assert_allclose(spectrum.top[0], exact[-1], rtol=EXACT)
        np.testing.assert_allclose(spectrum.lowest, exact[0], rtol=EXACT)
        np.testing.assert_allclose(spectrum.top, exact[:-4:-1], rtol=1e-5)


def test_what_is_told_as_error_bounds_the_error() -> None:
    matrices = symmetric(200, 3)[None]
    exact = torch.linalg.eigvalsh(matrices[0]).numpy()
    for steps in (8, 12, 20):
        (spectrum,) = lanczos(products(matrices), start(1, 200), num_top=3, tolerance=0.0, most_steps=steps)
        assert spectrum.num_steps == steps
        for value, error in zip(spectrum.top, spectrum.top_error, strict=True):
            assert np.abs(exact - value).min() <= error
        assert np.abs(exact - spectrum.lowest).min() <= spectrum.lowest_error
    assert spectrum.top_error[0] > 1e-6, "so few steps are not exact, and the error says so"


def test_it_ends_early_where_it_is_exact_enough() -> None:
    diagonal = torch.cat([torch.linspace(-0.1, 0.1, 198, dtype=torch.float64), torch.tensor([50.0, -30.0])])
    (spectrum,) = lanczos(lambda v: diagonal * v, start(1, 200), tolerance=1e-3)
    assert spectrum.num_steps <= 12
    np.testing.assert_allclose([spectrum.top[0], spectrum.lowest], [50.0, -30.0], rtol=1e-3)


def test_a_matrix_of_low_rank_among_others() -> None:
    """Its vectors span an invariant subspace after few steps: it must not disturb the other, nor invent values."""
    few = torch.zeros(40, dtype=torch.float64)
    few[:2] = torch.tensor([3.0, 1.0])
    matrices = torch.stack([torch.diag(few), symmetric(40, 4)])
    low, other = lanczos(products(matrices), start(2, 40), num_top=2, tolerance=1e-10, most_steps=40)
    np.testing.assert_allclose(low.top, [3.0, 1.0], rtol=EXACT)
    np.testing.assert_allclose(low.lowest, 0.0, atol=EXACT)
    np.testing.assert_allclose(other.top[0], torch.linalg.eigvalsh(matrices[1])[-1], rtol=EXACT)


def test_a_matrix_of_zeros_and_one_of_a_single_number() -> None:
    (nothing,) = lanczos(lambda v: 0.0 * v, start(1, 5))
    assert (nothing.top.tolist(), nothing.lowest) == ([0.0], 0.0)
    (one,) = lanczos(lambda v: -7.0 * v, start(1, 1), num_top=3)
    np.testing.assert_allclose([*one.top, one.lowest], [-7.0, -7.0])
