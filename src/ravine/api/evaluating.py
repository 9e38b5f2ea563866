"""Evaluation at test of runs that have finished."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from ravine.data import Dataset
from ravine.host_memory import check_address_space
from ravine.launch.modes import lacking_modes
from ravine.store import Store
from ravine.study import Study


def evaluate_lacking(
    study: Study, opened: Store, data: Dataset, search: Path | None, *, device: str, console: Console
) -> None:
    """Evaluate finished runs by those modes of their study that the store lacks; without any, import nothing more."""
    if not lacking_modes(study, opened):
        return
    check_address_space()
    from ravine.launch.evaluate import Evaluating, evaluate
    from ravine.report.watch import follow

    events = evaluate(study, opened, data=data, search=search, device=device)
    ended = follow(events, Evaluating, console, "evaluating")
    for line in ended.lines:
        console.print(Text(line), soft_wrap=True)
