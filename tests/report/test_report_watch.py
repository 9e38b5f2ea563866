"""How a launch that is watched answers signals."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rich.console import Console

from ravine.launch.progress import Event, Planned, Progress, Trained
from ravine.report.watch import follow, reached_words, watch

PLANNED = Planned(num_runs=1, num_known=0, num_resumed=0, lines=())


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """A test run in the background of a shell has Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(*seconds: float, number: int = signal.SIGINT) -> None:
    """Ctrl-C, or another signal, so many seconds from now."""
    for delay in seconds:
        threading.Timer(delay, os.kill, (os.getpid(), number)).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_a_checkpoint_is_written_a_second_signal_waits(number: signal.Signals) -> None:
    kept: list[str] = []

    def events() -> Iterator[Event]:
        try:
            interrupt(0.1, number=number)
            os.kill(os.getpid(), number)
            yield PLANNED
            raise AssertionError("the first interrupt ends it here")
        finally:
            time.sleep(0.2)  # the second one comes now
            kept.append("all of it")

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stopped:
        watch(events(), Console(quiet=True), "s")
    assert stopped.value.args == (number,)
    assert kept == ["all of it"]
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_a_step_that_takes_long() -> None:
    def events() -> Iterator[Event]:
        yield PLANNED
        interrupt(0.1, 1.3)
        time.sleep(20.0)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        watch(events(), Console(quiet=True), "s")
    assert 1.2 < time.monotonic() - began < 10.0


@pytest.mark.parametrize(("higher", "words"), [(True, "best 25.0% (sgd)"), (False, "best 0.25 (sgd)")])
def test_the_best_so_far_is_an_accuracy_or_a_loss(higher: bool, words: str) -> None:
    reached = Progress(
        run_steps=1, all_run_steps=4, runs_done=0, num_runs=2, num_diverged=0, best=0.25, best_label="sgd",
        seconds_left=None,
    )  # fmt: skip
    assert words in reached_words(reached, higher)


@dataclass(frozen=True)
class Step:
    """How far something is."""

    done: int
    all: int


def test_where_there_is_no_terminal_a_line_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 10.0, 20.0, 25.0, 60.0, 70.0))  # the start, then one for each step
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), width=80)
    steps = [Step(done, 10) for done in (2, 4, 5, 8, 10)]
    assert follow(iter([*steps, "found"]), Step, console, "measuring") == "found"
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == ["  measuring: 4 of 10, 30.0 s left", "  measuring: 8 of 10, 16.7 s left"]


def test_progress_says_which_phase_it_is_of() -> None:
    """Where there is no terminal, in the lines that are printed now and then."""
    reached = Progress(
        run_steps=1, all_run_steps=4, runs_done=0, num_runs=2, num_diverged=0, best=None, best_label="",
        seconds_left=3.0,
    )  # fmt: skip
    events: list[Event] = []
    for about in ("phase 1 of 2, head", "phase 2 of 2, all"):
        events += [Planned(num_runs=1, num_known=0, num_resumed=0, lines=(), about=about), reached, reached]
    events.append(Trained(seconds=1.0, num_trained=1, num_diverged=0))
    out = io.StringIO()
    watch(iter(_closable(events)), Console(file=out, width=200), "s")
    said = [line.strip() for line in out.getvalue().splitlines() if "expected" in line]
    assert said == [
        "expected time of phase 1 of 2, head, from the first steps: 3.0 s",
        "expected time of phase 2 of 2, all, from the first steps: 3.0 s",
    ]


def _closable(events: list[Event]) -> Iterator[Event]:
    yield from events
