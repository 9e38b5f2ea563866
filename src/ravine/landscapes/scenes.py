"""What is found of a loss landscape: plain numbers, without PyTorch.

Shapes: T kept step of a run, A and B points of a grid along its first and second axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ravine.messages import positive, whole_number
from ravine.store import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How a landscape is looked at.

    Args:
        points: of a grid along each of its axes, and of a line.
        reach: how far a filter-normalized map goes: at 1 a direction is as long as the weights of its filter.
        examples: training examples that are looked at, at most: the first ones.
        seed: of the random directions.
    """

    points: int = 51
    reach: float = 1.0
    examples: int = 10_000
    seed: int = 0

    def check(self) -> None:
        """See that they can be used.

        Raises:
            InputError: they cannot.
        """
        whole_number("points", self.points, 3, 501)
        positive("reach", self.reach, 1e6)
        whole_number("examples", self.examples, 1)
        whole_number("seed", self.seed, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked at.

    Args:
        runs: whose paths share a plane; at least one.
        around: about which runs there is a map.
        pairs: between which runs there is a line.
        labels: what each of them is called, by id.
    """

    runs: tuple[RunRecord, ...]
    around: tuple[RunRecord, ...]
    pairs: tuple[tuple[RunRecord, RunRecord], ...]
    labels: Mapping[str, str]

    @property
    def every(self) -> list[RunRecord]:
        """All runs that are needed, each once."""
        named = [*self.runs, *self.around, *(run for pair in self.pairs for run in pair)]
        return list({run.id: run for run in named}.values())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """A run's path through the plane.

    Args:
        run: its id.
        label: what it is called.
        steps: steps done, rising, int64 (T,); the last is the run's end.
        points: where its projections lie, (T, 2).
        losses: at its own weights, with its own buffers, (T,).
        shadows: at the projections, (T,): what the map shows there.
        off: distances of its weights from the plane, (T,).
        outside: share of the run's variance about the plane's centre that is not in the plane.
        end_outside: likewise of its end alone.
    """

    run: str
    label: str
    steps: np.ndarray
    points: np.ndarray
    losses: np.ndarray
    shadows: np.ndarray
    off: np.ndarray
    outside: float
    end_outside: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """The plane of the first two principal components of several runs' weights along training.

    Args:
        x, y: the grid, as distances in weight space, (A,) and (B,).
        losses: (B, A).
        shares: of the variance of all points along each axis.
        outside: share of it that is in neither.
        routes: the runs' paths.
        buffers_of: label of the run whose buffers the map was evaluated with; None for a model without buffers.
    """

    x: np.ndarray
    y: np.ndarray
    losses: np.ndarray
    shares: tuple[float, float]
    outside: float
    routes: tuple[Route, ...]
    buffers_of: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Around:
    """The loss along two filter-normalized random directions from a run's weights.

    Args:
        run: its id.
        label: what it is called.
        x: the grid along either direction, (A,); 0 is the run.
        losses: (A, A): a row for each multiple of the second direction.
        lengths: Euclidean lengths of both directions.
        loss: at the run.
    """

    run: str
    label: str
    x: np.ndarray
    losses: np.ndarray
    lengths: tuple[float, float]
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """The loss on the straight line between two runs.

    Args:
        first, second: ids of the runs.
        labels: what they are called.
        x: shares of the way from the first to the second, (A,).
        losses: (A,).
        accuracies: (A,); for regression the losses once more.
        barrier: the most by which the loss is above the straight line between its values at both ends; 0 or more.
        at: where that is.
        distance: between the runs, in weight space.
    """

    first: str
    second: str
    labels: tuple[str, str]
    x: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray
    barrier: float
    at: float
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landscape:
    """The loss around runs of a study.

    Args:
        study: its name.
        task: "classification" or "regression".
        num_examples: training examples that were looked at.
        num_parameters: of the model.
        plane: the runs' paths in a plane they share; None where no weights were kept along training.
        around: maps about single runs.
        lines: between pairs of runs.
        backend: what evaluated the points.
    """

    study: str
    task: str
    num_examples: int
    num_parameters: int
    plane: Plane | None
    around: tuple[Around, ...]
    lines: tuple[Line, ...]
    backend: str

    def json(self) -> dict[str, Any]:
        """All numbers as plain data; what is not finite is None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
