"""Axes of numbers at the ends of what a float holds."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import pytest

from ravine.report.chart import _power, accuracy_axis, log_axis, log_ticks
from ravine.report.verdict_texts import interval_scale
from ravine.verdict import ACCURACY, SQUARED_ERROR, Verdict


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


@pytest.mark.parametrize(
    ("losses", "texts"),
    [
        ((0.1, 0.2, 0.3), ["0.10", "0.15", "0.20", "0.25", "0.30"]),
        ((1e-14, 2e-14, 3e-14), ["1.0e-14", "1.5e-14", "2.0e-14", "2.5e-14", "3.0e-14"]),
        ((1e-14, 1e-14, 1e-14), ["9.8e-15", "9.9e-15", "1.00e-14", "1.01e-14", "1.02e-14"]),
        ((1e298, 1e299, 1e300), ["0", "2e+299", "4e+299", "6e+299", "8e+299", "1.0e+300"]),
        ((0.0, 5e-324, 1e-323), ["0", "5e-301", "1.0e-300"]),
        ((0.0, 0.0, 0.0), ["0", "5e-301", "1.0e-300"]),
        ((3000.1, 3000.2, 3000.5), ["3000.1", "3000.2", "3000.3", "3000.4", "3000.5"]),
    ],
)
def test_the_axis_of_intervals_has_short_texts_for_any_loss(
    losses: tuple[float, float, float], texts: list[str]
) -> None:
    drawn = interval_scale(_judged(*(0.0 - loss for loss in losses), regression=True))
    assert drawn is not None
    assert [tick["text"] for tick in drawn["ticks"]] == texts
    places = [tick["x"] for tick in drawn["ticks"]]
    assert places == sorted(set(places))


@pytest.mark.parametrize("scores", [(0.0, 0.5, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.97, 0.99, 1.0)])
def test_an_axis_of_accuracies_has_no_number_beyond_0_and_100(scores: tuple[float, float, float]) -> None:
    drawn = interval_scale(_judged(*scores, regression=False))
    assert drawn is not None
    numbers = [float(tick["text"]) for tick in drawn["ticks"]]
    assert numbers
    assert 0 <= min(numbers) <= max(numbers) <= 100


def _judged(low: float, middle: float, high: float, *, regression: bool) -> Verdict:
    """What an interval plot reads of a verdict: one rule's score and its interval."""
    rule = SimpleNamespace(ci=(low, high), test=middle)
    return cast(Verdict, SimpleNamespace(rules=(rule,), measure=SQUARED_ERROR if regression else ACCURACY))
