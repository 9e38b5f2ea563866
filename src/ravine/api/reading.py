"""A study's data, read with a bar where that takes long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from rich.console import Console

from ravine.data import Dataset
from ravine.data.decoding import Decoding
from ravine.study import Study
from ravine.study.reading import reading_data


def read_watched(
    study: Study, search: Path | None, console: Console, stopped: Event | None = None
) -> Dataset:
    """A study's data, with a bar where pictures have to be decoded; what came out of the cache is yet to be verified.

    Args:
        study: the study.
        search: its file's folder.
        console: where progress is shown.
        stopped: set by whoever does not want the data any more.
    """
    steps = reading_data(study, search)
    try:
        first = next(steps)
    except StopIteration as end:
        data: Dataset = end.value
        return data
    from ravine.report.watch import follow

    def events() -> Iterator[Decoding | Dataset]:
        yield first
        while True:
            try:
                yield next(steps)
            except StopIteration as end:
                yield end.value
                return
            if stopped is not None and stopped.is_set():
                raise KeyboardInterrupt

    found: Dataset = follow(events(), Decoding, console, first.about)
    return found
