"""The time that is expected of a launch."""

import time

import pytest

from ravine.launch.progress import Meter


def test_steps_of_small_and_large_networks_are_not_taken_for_the_same_work(monkeypatch):
    """Heads come first and are cheap: what they take says little of steps, and much of work."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    cheap, dear = (1_000, 1.0), (500, 100.0)  # run-steps of two cohorts, and what one takes
    meter = Meter(1_500, 2, higher_is_better=True, all_work=1_000 * 1.0 + 500 * 100.0)

    meter.begin_cohort(cheap[1])
    meter.at(0)
    now[0] += 100.0
    meter.at(cheap[0])
    after_cheap = now[0]
    assert meter.read().seconds_left == pytest.approx(50 * after_cheap)

    meter.end_cohort(cheap[0], 1, 0)
    meter.begin_cohort(dear[1])
    now[0] += 50 * after_cheap
    meter.end_cohort(dear[0], 1, 0)
    end = meter.read()
    assert end.seconds_left == 0.0
    assert end.run_steps == end.all_run_steps == 1_500


def test_steps_of_a_checkpoint_took_no_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    meter = Meter(200, 1, higher_is_better=True, all_work=200 * 7.0)
    meter.begin_cohort(7.0)
    meter.resume(100)
    meter.at(100)
    now[0] = 10.0
    meter.at(150)
    assert meter.read().seconds_left == pytest.approx(10.0)
