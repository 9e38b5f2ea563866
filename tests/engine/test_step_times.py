"""What a step takes is measured once on a machine, and not kept where other programs were measured too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from engine_runs import all_runs, network_of, study

from ravine.engine import step_times
from ravine.engine.step_times import StepTimes
from ravine.study import Run


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(step_times, "_WORTH_KEEPING", 0.0)


def _times(*found: float, busy: bool = True, keeps: bool = True) -> tuple[StepTimes, list[Run]]:
    """As a new launch has them; each measurement finds the next of these."""
    made, left = study(), iter(found)
    runs = all_runs(made)[:2]

    def measure(_runs: Sequence[Run], _backend: str) -> float:
        until = time.perf_counter() + 0.02
        while busy and time.perf_counter() < until:
            pass
        if not busy:
            time.sleep(0.02)
        return next(left)

    return StepTimes(network=network_of(made, runs), data=made.data, measure=measure, keeps=keeps), runs


def test_a_second_launch_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_times, "_UNDISTURBED", 0.01)  # whatever else goes on beside the tests
    times, runs = _times(3.0, 2.0, 5.0)
    assert times.of(runs, "native") == 3.0
    assert times.of(runs, "native") == 2.0  # once more
    again, runs = _times()
    assert again.of(runs, "native") == 2.0
    other, runs = _times(7.0, 8.0)
    assert other.of(runs, "serial") == 7.0
    assert other.of(runs[:1], "native") == 8.0


def test_what_was_measured_beside_others_is_measured_again() -> None:
    times, runs = _times(3.0, busy=False)
    assert times.of(runs, "native") == 3.0
    again, runs = _times(4.0)
    assert again.at_most(runs, "native") == 3.0  # other programs only add to it
    assert again.kept(runs, "native") is None
    assert again.of(runs, "native") == 4.0
    other, runs = _times()
    assert other.at_most(runs, "serial") is None


def test_accelerators_are_measured_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_times, "_UNDISTURBED", 0.0)
    for found in (3.0, 4.0):
        times, runs = _times(found, keeps=False)
        assert times.of(runs, "fused") == found
