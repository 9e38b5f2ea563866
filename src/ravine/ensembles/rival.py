"""One run as long as all members together: what the same training could have been spent on.

There are several such runs, one for each seed, and the question is what one of them reaches. So each test example's
loss is the mean over the seeds, and is compared with the ensemble's loss on the same example. The best of the seeds
would have cost as many times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.asked import Asked, Own
from ravine.ensembles.cells import Cells
from ravine.ensembles.judged import Judged, judged
from ravine.ensembles.members import as_members
from ravine.ensembles.pool import Pool
from ravine.store import Labels, RunRecord, Store

Array = NDArray[np.float64]
Outputs = Mapping[str, np.ndarray]

NAME = "one long run"
_LONGEST = 80  # letters of a study's name

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
    def own(self) -> Own | None:
        """Likewise by the study's metric; None where that is what is usual."""
        found = [each.own for each in self.seeds if each.own is not None]
        if not found:
            return None
        return Own(
            validation=float(np.mean([each.validation for each in found])),
            test=float(np.mean([each.test for each in found])),
        )

    @property
    def per_example(self) -> dict[str, Array]:
        """Each test example's mean loss over the seeds."""
        names = self.seeds[0].per_example
        return {name: np.mean([each.per_example[name] for each in self.seeds], axis=0) for name in names}

    def range(self, score: str) -> tuple[float, float]:
        """The lowest and the highest seed's test score."""
        values = [each.test[score] for each in self.seeds]
        return min(values), max(values)


def rival_name(study: str, times: int) -> str:
    """What the study of the longer runs is called."""
    suffix = f"-rival-{times}"
    return study[: _LONGEST - len(suffix)] + suffix


def rivals_of(store: Store, study: str, winner: RunRecord, most: int) -> dict[int, list[RunRecord]]:
    """The longer runs of a winner that a store has, those that are done, by how many times as long they are.

    Args:
        store: where they are.
        study: name of the winner's study.
        winner: a run of it.
        most: times, at most.
    """
    names = {record.name for record in store.studies()}
    found = {}
    for times in range(2, most + 1):
        name = rival_name(study, times)
        runs = store.runs(name) if name in names else []
        own = [run for run in runs if run.status == "done" and _same(run.recipe, winner.recipe)]
        if own:
            found[times] = own
    return found


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two recipes differ in their length alone."""
    keys = (first.keys() | second.keys()) - {"steps", "evaluate_every", "schedule"}
    return all(first.get(key) == second.get(key) for key in keys)


def pools_of(runs: Sequence[RunRecord]) -> dict[str, Pool]:
    """Each run alone as a pool, by its name."""
    return {member.name: Pool.alone(member) for member in as_members(runs)}


def rival_of(
    runs: Sequence[RunRecord],
    times: int,
    epochs: float,
    labels: Labels,
    validation: Outputs,
    test: Outputs,
    asked: Asked | None = None,
) -> Rival:
    """Score the runs.

    Args:
        runs: those that are done, a seed each.
        times: how many times as long as a run of the winner they are.
        epochs: of one.
        labels: the right answers.
        validation, test: their outputs by name.
        asked: the study's metric; None: it is judged by what is usual.
    """
    return Rival(
        times=times,
        epochs=epochs,
        seeds=tuple(
            judged(NAME, pool, Cells.of(labels), (validation, labels.validation), (test, labels.test), asked)
            for pool in pools_of(runs).values()
        ),
    )


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
