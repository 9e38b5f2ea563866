"""Axes of numbers at the ends of what a float holds."""

from __future__ import annotations

import math

import pytest

from ravine.report.chart import accuracy_axis, log_axis, log_ticks


@pytest.mark.parametrize(
    "values",
    [
        [2.6e-14, 1.0],
        [1e-14],
        [1e-300, 1e300],
        [0.1, 1e-310],
        [1e-320, 1.0],
        [1e-320],
        [5e-324, 1.7e308],
        [0.0, math.inf],
    ],
)
def test_any_positive_numbers_make_an_axis(values: list[float]) -> None:
    axis = log_axis(values)
    for tick in axis.get("tickvals", []):
        assert 0 < tick < math.inf
    assert len(axis.get("tickvals", [])) == len(axis.get("ticktext", []))
    accuracy_axis(values)


def test_ticks_of_a_short_span_of_tiny_numbers_stay_apart() -> None:
    ticks = log_ticks(1.0e-14, 1.5e-14)
    assert len(set(ticks)) == len(ticks) > 1
    assert all(1.0e-14 <= tick <= 1.5e-14 for tick in ticks)
