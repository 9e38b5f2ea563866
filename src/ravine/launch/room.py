"""The disk space of the weights that are kept along training."""

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
    """The disk space of the kept weights of some runs.

    Args:
        num_runs: number of runs.
        times: how often a run's weights are kept; of all runs the largest number.
        size: bytes for all runs, at most: a run that diverges takes less.
    """

    num_runs: int
    times: int
    size: int

    def line(self) -> str:
        """A line for people."""
        runs = count(self.num_runs, "run")
        return f"the weights of {runs} are kept {count(self.times, 'time')} along the way: {gib(self.size)}"


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
    times, size = [0], 0
    for same in by_structure(runs):
        recipe = same[0].recipe
        times.append(keep.times(recipe.steps, len(data.train) // recipe.batch_size))
        size += len(same) * times[-1] * _bytes(network(same))
    return Room(num_runs=len(runs), times=max(times), size=size)


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
        every = f'"{study.keep.every}"' if study.keep.every == "epoch" else f"{study.keep.every}"
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
