"""The disk space of the weights that are kept along training, and of their averages."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravine.engine.network import Network
from ravine.errors import StudyError
from ravine.free_memory import gib
from ravine.launch.enter import kept_times
from ravine.launch.subject import Subject, by_structure
from ravine.messages import count
from ravine.study import Run, Study
from ravine.study.averages import Averages
from ravine.study.bank import BANK, bank_steps
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


def room_of(keep: Keep, runs: Sequence[Run], subject: Subject) -> Room:
    """The disk space that the kept weights of some runs will take.

    Args:
        keep: how often weights are kept.
        runs: the runs.
        subject: the study with its data and models.
    """
    times: list[int] = []
    size = 0
    for same in by_structure(runs):
        num_train = len(subject.data_of(same).train)
        found = [kept_times(keep, run, num_train) for run in same]
        times += filter(None, found)
        size += sum(found) * _bytes(subject.network(same))
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
    if study.keep is not None:
        _check_free(room.size, folder, f"keep.every = {json.dumps(study.keep.every)}: {room.line()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragesRoom:
    """The disk space of the averages of some runs.

    Args:
        num_runs: number of runs.
        each: bytes of one average of all of them.
        bank: bytes of their banks; 0 without.
        steps: how often a bank stores its averages; of all runs the largest number.
    """

    num_runs: int
    each: int
    bank: int
    steps: int

    @staticmethod
    def of(
        averages: Averages, runs: Sequence[Run], network: Callable[[Sequence[Run]], Network]
    ) -> AveragesRoom:
        """The disk space that averages of some runs will take.

        Args:
            averages: which there are.
            runs: the runs.
            network: makes the network of runs of one structure.
        """
        each, bank, steps = 0, 0, 0
        for same in by_structure(runs):
            found = network(same)
            num = len(bank_steps(averages.bank, same[0].recipe.steps))
            each += len(same) * _bytes(found)
            bank += len(same) * num * len(BANK) * _parameter_bytes(found)
            steps = max(steps, num)
        return AveragesRoom(num_runs=len(runs), each=each, bank=bank, steps=steps)

    def lines(self, averages: Averages) -> list[str]:
        """Lines for people."""
        runs = count(self.num_runs, "run")
        lines = []
        if averages.names:
            lines.append(
                f"averages of the weights: {', '.join(averages.names)}; each takes {gib(self.each)} for {runs}"
            )
        if averages.bank:
            lines.append(
                f"bank: {len(BANK)} averages at {count(self.steps, 'step')}, {len(BANK) * self.steps} vectors a run: "
                f"{gib(self.bank)} for {runs}"
            )
        return lines

    def check(self, folder: Path) -> None:
        """Refuse a bank that does not fit on the disk.

        Raises:
            StudyError: it does not fit.
        """
        if self.bank:
            _check_free(
                self.bank,
                folder,
                f"averages.bank: the averages of {count(self.num_runs, 'run')} take {gib(self.bank)}",
            )


def _check_free(size: int, folder: Path, about: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StudyError(f"{about}, and {gib(free)} are free where the store is: keep fewer, or none")


def _bytes(network: Network) -> int:
    """Bytes of one run's weights and buffers."""
    buffers = dict(network.module.named_buffers())
    total = sum(buffers[name].numel() * buffers[name].element_size() for name in network.buffers)
    return total + _parameter_bytes(network)


def _parameter_bytes(network: Network) -> int:
    """Bytes of one run's trained parameters."""
    return network.dtype.itemsize * sum(math.prod(shape) for shape in network.layout.shapes)
