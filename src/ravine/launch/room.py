"""What keeping weights along training takes on the disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravine.data import Dataset
from ravine.engine.network import Network
from ravine.errors import StudyError
from ravine.free_memory import gib
from ravine.launch.subject import by_structure
from ravine.messages import count
from ravine.study import Run, Study
from ravine.study.keep import Keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the kept weights of some runs take.

    Args:
        num_runs: how many runs.
        times: how often weights are kept along the run that has most of them.
        size: bytes of all, at most: a run that diverges has fewer.
    """

    num_runs: int
    times: int
    size: int

    def line(self) -> str:
        """For people, in a line."""
        runs = count(self.num_runs, "run")
        return f"the weights of {runs} are kept {count(self.times, 'time')} along the way: {gib(self.size)}"


def room_of(
    keep: Keep, runs: Sequence[Run], network: Callable[[Sequence[Run]], Network], data: Dataset
) -> Room:
    """The room for these runs.

    Args:
        keep: what is kept.
        runs: some runs.
        network: the network of runs of one structure.
        data: their data set.
    """
    times, size = [0], 0
    for same in by_structure(runs):
        recipe = same[0].recipe
        times.append(keep.times(recipe.steps, len(data.train) // recipe.batch_size))
        size += len(same) * times[-1] * _bytes(network(same))
    return Room(num_runs=len(runs), times=max(times), size=size)


def check_room(study: Study, room: Room, folder: Path) -> None:
    """See that there is room on a disk.

    Raises:
        StudyError: there is not.
    """
    free = shutil.disk_usage(folder).free
    if room.size > free and study.keep is not None:
        every = f'"{study.keep.every}"' if study.keep.every == "epoch" else f"{study.keep.every}"
        raise StudyError(
            f"keep.every = {every}: {room.line()}, and {gib(free)} are free where the store is: keep fewer, or none"
        )


def _bytes(network: Network) -> int:
    """Of one run's weights and buffers."""
    buffers = dict(network.module.named_buffers())
    total = sum(buffers[name].numel() * buffers[name].element_size() for name in network.buffers)
    return total + 4 * sum(math.prod(shape) for shape in network.layout.shapes)
