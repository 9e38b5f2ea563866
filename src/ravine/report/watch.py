"""Shows a launch while it goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from ravine.launch.progress import TRAINING, Event, Planned, Preparing, Trained
from ravine.launch.progress import Progress as Reached
from ravine.messages import count
from ravine.report.plan import show_plan
from ravine.times import duration

if TYPE_CHECKING:
    from ravine.launch.lr_range import LrRange, RangeStep

_LOG_SECONDS = 30.0  # between two lines where there is no terminal to draw a bar on
_FIRST_GUESS_SECONDS = 0.5  # so long something must have gone on before it is said how long it will
_PATIENCE_SECONDS = 1.0  # so long after a first Ctrl-C a second one means: at once


def watch(events: Iterator[Event], console: Console, name: str, *, higher_is_better: bool = True) -> Trained:
    """Carry out a launch to its end, with a line on the plan and a live bar.

    Args:
        events: from `ravine.launch.launch`.
        console: where to show it.
        name: of the study.
        higher_is_better: whether the best score so far is an accuracy.

    Returns:
        How it ended.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, its number the argument; by then everything that was done is kept.
    """
    bar = _bar(console, TextColumn("{task.fields[words]}"))
    shown_at, expected, about = time.monotonic(), False, ""
    # The events are closed, and a checkpoint written, while signals still wait.
    with _interrupts() as interrupted, closing(events), bar:  # type: ignore[type-var]
        task = bar.add_task("planning", total=None, words="")
        for event in events:
            if isinstance(event, Preparing):
                bar.update(task, description=event.about, completed=event.done, total=event.all)
                if bar.disable and time.monotonic() - shown_at > _LOG_SECONDS:
                    console.print(Text(f"  {event.about}: {event.done:,} of {event.all:,}"), soft_wrap=True)
                    shown_at = time.monotonic()
            elif isinstance(event, Planned):
                show_plan(event, console, name)
                about, expected = event.about, False
                bar.update(task, description=about, completed=0.0, total=1.0)
            elif isinstance(event, Reached):
                share = event.run_steps / max(event.all_run_steps, 1)
                if not expected and event.seconds_left:  # 0: all is done, there is nothing to expect
                    expected = True
                    of = "" if about == TRAINING else f" of {about}"
                    words = f"  expected time{of}, from the first steps: {duration(event.seconds_left)}"
                    console.print(Text(words), soft_wrap=True)
                words = reached_words(event, higher_is_better)
                bar.update(task, completed=share, words=words)
                if bar.disable and time.monotonic() - shown_at > _LOG_SECONDS:
                    of = "" if about == TRAINING else f"{about}: "
                    console.print(Text(f"  {of}{share:.0%}, {words}"), soft_wrap=True)
                    shown_at = time.monotonic()
            else:
                return event
            if interrupted:
                raise KeyboardInterrupt(interrupted[0])
    raise AssertionError("a launch ends with Trained")


def watch_range(events: Iterator[RangeStep | list[LrRange]], console: Console) -> list[LrRange]:
    """Carry out a learning-rate range test, with a live bar.

    Args:
        events: from `ravine.launch.lr_range`.
        console: where to show it.

    Returns:
        What it found.
    """
    with _bar(console) as bar:
        task = bar.add_task("testing learning rates", total=None)
        for event in events:
            if isinstance(event, list):
                return event
            bar.update(task, completed=event.done, total=event.all)
    raise AssertionError("a test ends with its findings")


def follow(events: Iterator[Any], kind: type[Any], console: Console, about: str) -> Any:
    """Carry out something long with a live bar, or with a line now and then where there is no terminal.

    Args:
        events: progress, then what was found.
        kind: the class of progress events, which have ``done`` and ``all``.
        console: where to show it.
        about: what is done.

    Returns:
        What was found.
    """
    phase, first, began = "", 0, time.monotonic()
    shown_at: float | None = None
    with _bar(console, TextColumn("{task.fields[words]}")) as bar:
        task = bar.add_task(about, total=None, words="")
        for event in events:
            if not isinstance(event, kind):
                return event
            now, what = time.monotonic(), getattr(event, "about", about)
            if what != phase:
                phase, first, began = what, event.done, now
            words = ""
            if first < event.done < event.all and now - began > _FIRST_GUESS_SECONDS:
                words = f"{duration((now - began) * (event.all - event.done) / (event.done - first))} left"
            bar.update(task, completed=event.done, total=event.all, description=what, words=words)
            due = shown_at is None or now - shown_at > _LOG_SECONDS
            if bar.disable and due and words:
                console.print(Text(f"  {what}: {event.done:,} of {event.all:,}, {words}"))
                shown_at = now
    raise AssertionError("it ends with what was found")


def _bar(console: Console, *more: TextColumn) -> Progress:
    """A live bar, drawn on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        *more,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def reached_words(event: Reached, higher_is_better: bool) -> str:
    """How far training is, in a line; the best score is an accuracy in per cent, or else a loss."""
    parts = [
        f"{event.runs_done:,}/{count(event.num_runs, 'run')}",
        f"{event.run_steps:,}/{count(event.all_run_steps, 'step')}",
    ]
    if event.best is not None:
        best = f"{event.best:.1%}" if higher_is_better else f"{event.best:.4g}"
        parts.append(f"best {best} ({event.best_label})")
    if event.num_diverged:
        parts.append(f"{event.num_diverged:,} diverged")
    if event.seconds_left is not None:
        parts.append(f"{duration(event.seconds_left)} left")
    return ", ".join(parts)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Within it, a signal to stop waits for a moment at which everything can be kept.

    A further Ctrl-C does not, where that takes long. Two in a row are one: a hasty hand, or a shell and its
    scheduler that both send it.

    Yields:
        The signals that came.
    """
    came: list[int] = []
    first = 0.0
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def note(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        came.append(number)
        if len(came) == 1:
            first = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - first > _PATIENCE_SECONDS:
            raise KeyboardInterrupt(number)

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, note) for number in numbers if _ours(number)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ours(number: int) -> bool:
    """Whether a signal may be caught: not one that is ignored, as `nohup` asks, or that the program handles itself."""
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
