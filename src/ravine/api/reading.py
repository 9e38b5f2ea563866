"""A study's data, read with a bar where that takes long."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console

from ravine.api.studies import read_any
from ravine.data import Dataset
from ravine.data.decoding import Decoding
from ravine.data.duplicates import Duplicates, find_duplicates
from ravine.study import Study
from ravine.study.reading import reading_data, sheet_of


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
    data: Dataset = watched(reading_data(study, search), console, stopped)
    return data


def watched(steps: Generator[Decoding, None, Any], console: Console, stopped: Event | None = None) -> Any:
    """What comes out of something that may have to decode pictures; a bar is drawn if it does.

    Args:
        steps: how far it is, and what comes out.
        console: where progress is shown.
        stopped: set by whoever does not want it any more.
    """
    try:
        first = next(steps)
    except StopIteration as end:
        return end.value
    from ravine.report.watch import follow

    def events() -> Iterator[Any]:
        yield first
        while True:
            try:
                yield next(steps)
            except StopIteration as end:
                yield end.value
                return
            if stopped is not None and stopped.is_set():
                raise KeyboardInterrupt

    return follow(events(), Decoding, console, first.about)


def duplicates(
    study: Path | str, *, overrides: Sequence[str] = (), trust: Sequence[str] = (), quiet: bool = False
) -> Duplicates | None:
    """Pictures that two splits of a study's data have, with a bar where pictures have to be decoded.

    Args:
        study: path of a study file.
        overrides: texts such as "data.size=64".
        trust: as in `run`.
        quiet: show no progress.

    Returns:
        What was found; None where the data are no pictures of the user's own.

    Raises:
        InputError: an image cannot be read.
    """
    read, _, search = read_any(study, overrides, trust)
    if isinstance(read.data, Dataset):
        return None
    steps = find_duplicates(read.data, search, sheet_of(read, search))
    found: Duplicates | None = watched(steps, Console(file=sys.stderr, quiet=quiet))
    return found
