"""One run as long as all members together: what the same training could have been spent on.

There are several such runs, one for each seed, and the question is what one of them reaches. So each test example's
loss is the mean over the seeds, and is compared with the ensemble's loss on the same example. The best of the seeds
would have cost as many times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.judged import Judged, judged
from ravine.ensembles.members import as_members
from ravine.ensembles.pool import Pool
from ravine.store import Labels, RunRecord

Array = NDArray[np.float64]
Outputs = Mapping[str, np.ndarray]

NAME = "one long run"

Train: TypeAlias = Callable[[RunRecord, int], Sequence[RunRecord]]
"""(a run of the winner, times) -> its config so many times as long, with all seeds: those that are done."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rival:
    """What one such run reaches, by the mean over its seeds.

    Attributes:
        name: for people.
        times: how many times as long as a run of the winner it is.
        epochs: of one run.
        seeds: each of them.
    """

    name: str = NAME
    times: int
    epochs: float
    seeds: tuple[Judged, ...]

    @property
    def validation(self) -> dict[str, float]:
        """Mean scores, each at its own temperature."""
        return _means([each.validation for each in self.seeds])

    @property
    def test(self) -> dict[str, float]:
        """Likewise."""
        return _means([each.test for each in self.seeds])

    @property
    def per_example(self) -> dict[str, Array]:
        """Each test example's mean loss over the seeds."""
        names = self.seeds[0].per_example
        return {name: np.mean([each.per_example[name] for each in self.seeds], axis=0) for name in names}

    def range(self, score: str) -> tuple[float, float]:
        """The lowest and the highest seed's test score."""
        values = [each.test[score] for each in self.seeds]
        return min(values), max(values)


def pools_of(runs: Sequence[RunRecord]) -> dict[str, Pool]:
    """Each run alone as a pool, by its name."""
    return {member.name: Pool.of([member], [1.0], "mean") for member in as_members(runs)}


def rival_of(
    runs: Sequence[RunRecord],
    times: int,
    epochs: float,
    labels: Labels,
    validation: Outputs,
    test: Outputs,
) -> Rival:
    """Score the runs.

    Args:
        runs: those that are done, a seed each.
        times: how many times as long as a run of the winner they are.
        epochs: of one.
        labels: the right answers.
        validation, test: their outputs by name.
    """
    return Rival(
        times=times,
        epochs=epochs,
        seeds=tuple(
            judged(NAME, pool, labels.task, (validation, labels.validation), (test, labels.test))
            for pool in pools_of(runs).values()
        ),
    )


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
