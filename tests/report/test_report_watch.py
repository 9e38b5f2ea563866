"""How a launch that is watched answers signals."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from ravine.launch.progress import Event, Planned, Progress
from ravine.report.watch import reached_words, watch

PLANNED = Planned(num_runs=1, num_known=0, num_resumed=0, lines=())


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """A test run in the background of a shell has Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(*seconds: float) -> None:
    """Ctrl-C so many seconds from now."""
    for delay in seconds:
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_while_a_checkpoint_is_written_a_second_interrupt_waits() -> None:
    kept: list[str] = []

    def events() -> Iterator[Event]:
        try:
            interrupt(0.0, 0.1)
            time.sleep(0.05)
            yield PLANNED
            raise AssertionError("the first interrupt ends it here")
        finally:
            time.sleep(0.2)  # the second one comes now
            kept.append("all of it")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as stopped:
        watch(events(), Console(quiet=True), "s")
    assert stopped.value.args == (signal.SIGINT,)
    assert kept == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is before


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
