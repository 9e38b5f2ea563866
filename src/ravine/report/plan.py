"""Says what a launch is going to do."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ravine.launch.progress import TRAINING, Planned


def show_plan(event: Planned, console: Console, name: str) -> None:
    """Say what a launch will do."""
    for line in _plan_lines(event, name):
        console.print(Text(line), soft_wrap=not console.is_terminal)


def _plan_lines(event: Planned, name: str) -> list[str]:
    heading = name if event.about == TRAINING else f"{name}, {event.about}"
    return [f"{heading}: {event.runs}", *(f"  {line}" for line in event.lines)]
