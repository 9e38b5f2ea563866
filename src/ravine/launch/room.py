"""The disk space of the weights that are kept along training."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravine.data import Dataset
from ravine.engine.network import Network
from ravine.errors import StudyError
from ravine.free_memory import gib
from ravine.launch.enter import kept_times
from ravine.launch.subject import by_structure
from ravine.messages import count
from ravine.study import Run, Study
from ravine.study.keep import Keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The disk space of the kept weights of some runs.

    Args:
        num_runs: number of runs whose weights are kept.
        num_without: number of runs that have none of the steps.
        times: how often a run's weights are kept; of all runs the smallest and the largest number.
        size: bytes for all runs, at most: a run that diverges takes less.
    """

    num_runs: int
    num_without: int
    times: tuple[int, int]
    size: int

    def line(self) -> str:
        """A line for people."""
        low, high = self.times
        times = count(high, "time") if low == high else f"{low:,} to {count(high, 'time')}"
        return (
            f"the weights of {count(self.num_runs, 'run')} are kept {times} along the way: {gib(self.size)}"
        )

    def lines(self) -> list[str]:
        """The same, and one about runs without kept weights, if there are any."""
        if not self.num_without:
            return [self.line()]
        none = "has none" if self.num_without == 1 else "have none"
        without = f"keep: {count(self.num_without, 'run')} without restarts {none} kept along the way"
        return [*([self.line()] if self.num_runs else []), without]


def room_of(
    keep: Keep, runs: Sequence[Run], network: Callable[[Sequence[Run]], Network], data: Dataset
) -> Room:
    """The disk space that the kept weights of some runs will take.

    Args:
        keep: how often weights are kept.
        runs: the runs.
        network: makes the network of runs of one structure.
        data: their data set.
    """
    times: list[int] = []
    size = 0
    for same in by_structure(runs):
        found = [kept_times(keep, run, len(data.train)) for run in same]
        times += filter(None, found)
        size += sum(found) * _bytes(network(same))
    return Room(
        num_runs=len(times),
        num_without=len(runs) - len(times),
        times=(min(times, default=0), max(times, default=0)),
        size=size,
    )


def check_room(study: Study, room: Room, folder: Path) -> None:
    """Refuse a study whose kept weights do not fit on the disk.

    Args:
        study: the study.
        room: what its weights take.
        folder: of the store.

    Raises:
        StudyError: they do not fit.
    """
    free = shutil.disk_usage(folder).free
    if room.size > free and study.keep is not None:
        every = json.dumps(study.keep.every)
        raise StudyError(
            f"keep.every = {every}: {room.line()}, and {gib(free)} are free where the store is: keep fewer, or none"
        )


def weights_room(runs: Sequence[Run], network: Callable[[Sequence[Run]], Network]) -> str:
    """The room that the weights of some runs take once, in words.

    Args:
        runs: the runs.
        network: makes the network of runs of one structure.
    """
    return gib(sum(len(same) * _bytes(network(same)) for same in by_structure(runs)))


def _bytes(network: Network) -> int:
    """Bytes of one run's weights and buffers."""
    buffers = dict(network.module.named_buffers())
    total = sum(buffers[name].numel() * buffers[name].element_size() for name in network.buffers)
    return total + 4 * sum(math.prod(shape) for shape in network.layout.shapes)
