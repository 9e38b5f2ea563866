"""Student t and its sum with a normal, against SciPy and against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from ravine.verdict.student import Error, half_width, tail


def student(df: float) -> Error:
    return Error(seed=1.0, df=df, floor=0.0, example=0.0)


@pytest.mark.parametrize("df", [1, 2, 2.5, 3, 4, 8, 30, 200, 1e4, 1e6])
def test_tail_equals_scipys(df: float) -> None:
    for x in (0.0, 0.1, 1.0, 2.0, 4.3, 12.7, 40.0):
        # 1e-9: the trapezoid rule with 200 nodes; far below any p-value that is ever shown
        assert tail(student(df), x) == pytest.approx(2 * stats.t.sf(x, df), abs=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3.7, 9, 120])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.05 / 66, 1e-5])
def test_quantile_equals_scipys(df: float, alpha: float) -> None:
    assert half_width(student(df), alpha) == pytest.approx(stats.t.isf(alpha / 2, df), rel=1e-7)


def test_infinite_df_is_a_normal() -> None:
    error = Error(seed=3.0, df=math.inf, floor=0.0, example=4.0)
    assert half_width(error, 0.05) == pytest.approx(5.0 * stats.norm.isf(0.025), rel=1e-8)


@pytest.mark.parametrize(("seed", "df", "example"), [(1.0, 2, 0.3), (0.2, 4, 1.0), (1.0, 1, 1.0)])
def test_sum_equals_a_numeric_convolution(seed: float, df: float, example: float) -> None:
    def density_times_tail(z: float) -> float:
        inside = stats.t.cdf((2.0 - example * z) / seed, df) - stats.t.cdf((-2.0 - example * z) / seed, df)
        return float(stats.norm.pdf(z) * (1.0 - inside))

    expected, _ = integrate.quad(density_times_tail, -9, 9, epsabs=1e-11, limit=200)
    error = Error(seed=seed, df=df, floor=0.0, example=example)
    assert tail(error, 2.0) == pytest.approx(expected, abs=1e-8)


def test_floor_equals_a_simulation() -> None:
    rng = np.random.default_rng(0)
    w = rng.chisquare(2, 400_000) / 2
    draws = rng.standard_normal(400_000) * np.sqrt(np.maximum(1.0 / w, 1.5**2))
    error = Error(seed=1.0, df=2, floor=1.5, example=0.0)
    # four standard errors of the simulated share
    assert tail(error, 4.0) == pytest.approx((np.abs(draws) > 4.0).mean(), abs=4 * math.sqrt(0.1 / 400_000))


def test_floor_only_widens() -> None:
    widths = [half_width(Error(seed=1.0, df=3, floor=f, example=0.5), 0.05) for f in (0, 0.5, 1, 2)]
    assert widths == sorted(widths)


def test_no_error_at_all() -> None:
    none = Error(seed=0.0, df=2, floor=0.0, example=0.0)
    assert (tail(none, 0.0), tail(none, 0.1), half_width(none, 0.05)) == (1.0, 0.0, 0.0)
