"""Says what a launch is going to do."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ravine.launch.progress import Planned
from ravine.messages import count


def show_plan(event: Planned, console: Console, name: str) -> None:
    """Say what a launch will do."""
    for line in _plan_lines(event, name):
        console.print(Text(line), soft_wrap=not console.is_terminal)


def _plan_lines(event: Planned, name: str) -> list[str]:
    known = f", {event.num_known:,} of them known already" if event.num_known else ""
    return [f"{name}: {count(event.num_runs, 'run')}{known}", *(f"  {line}" for line in event.lines)]
