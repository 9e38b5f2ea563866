"""Axes of numbers at the ends of what a float holds."""

from __future__ import annotations

import math

import pytest

from ravine.report.chart import _power, accuracy_axis, log_axis, log_ticks


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


@pytest.mark.parametrize(
    ("low", "high"), [(5e-324, 1e-323), (0.0, 1e-320), (1.0, 1.0), (1.0, 1 + 2e-16), (1e3, 1.0)]
)
def test_a_span_too_narrow_for_ticks_has_none(low: float, high: float) -> None:
    assert log_ticks(low, high) == []


def test_ticks_reach_over_everything_a_float_holds() -> None:
    ticks = log_ticks(5e-324, 1.7e308)
    assert ticks[0] < 1e-200
    assert ticks[-1] > 1e200


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (20.0, "20"),
        (2e-4, "2×10<sup>−4</sup>"),
        (0.1 * 3e-3, "3×10<sup>−4</sup>"),
        (9.99999999e-5, "10<sup>−4</sup>"),
        (5e-324, "4.94066×10<sup>−324</sup>"),
        (1e300, "10<sup>300</sup>"),
    ],
)
def test_powers_of_ten_are_written_for_any_float(value: float, words: str) -> None:
    assert _power(value) == words
