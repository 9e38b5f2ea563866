"""By which mode a study's runs are judged, and what a config that is scored by it is called in the log of test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ravine.messages import count
from ravine.study import content_id
from ravine.study.modes import AtTest, Mode

if TYPE_CHECKING:
    from ravine.store import RunRecord, Store


def judged_mode(
    asked: AtTest | None, store: Store, finished: Sequence[RunRecord]
) -> tuple[Mode | None, list[str]]:
    """The mode that the verdict is about.

    Args:
        asked: how the study wants its runs evaluated.
        store: where the evaluations are.
        finished: its runs that have ended.

    Returns:
        The mode; None for the mean pass, also as long as some run lacks an evaluation; then a warning says so.
    """
    mode = None if asked is None else asked.judged
    if mode is None:
        return None, []
    done = [run.id for run in finished if run.status == "done"]
    lacking = len(done) - len(store.evaluated.having(mode.id, done))
    if not lacking:
        return mode, []
    have = "has" if lacking == 1 else "have"
    return None, [
        f"{count(lacking, 'run')} {have} not been evaluated by {mode.name} yet, so the verdict is about the mean pass. "
        "Run the study file again."
    ]


def config_id(config: str, mode: Mode | None) -> str:
    """The id under which a config is logged that is scored on test by a mode."""
    return config if mode is None else content_id({"config": config, "mode": mode.content})


def mode_words(mode: Mode | None) -> str:
    """A mode in the log of test, with a comma behind it; nothing for the mean pass."""
    return "" if mode is None else f"{mode.words}, "
