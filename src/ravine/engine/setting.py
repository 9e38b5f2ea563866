"""All that the step of a cohort is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Constants, Data, State
from ravine.rules.base import DEPLOYED


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All that a step is made of.

    Args:
        cohort: the runs.
        objective: what they make small.
        data: the training set.
        state: what a step changes.
        constants: what it only reads.
        num_seeds: S, how many seeds the batches are drawn for.
        drew: whether the model has drawn random numbers itself, in the step that goes on.
    """

    cohort: Cohort
    objective: Objective
    data: Data
    state: State
    constants: Constants
    num_seeds: int
    drew: Callable[[], bool] = bool

    @property
    def network(self) -> Network:
        """The model."""
        return self.objective.network

    @property
    def others(self) -> dict[str, Tensor]:
        """Every tensor of the model that is not trained, (R, ...) by name."""
        return {**self.constants.fixed, **self.state.buffers}

    def point(self, name: str = DEPLOYED) -> Tensor:
        """One of the points of the runs' rules, (R, P): without a name the one to evaluate."""
        return self.state.point(self.cohort, self.constants.hypers, name)

    @property
    def full_batch(self) -> bool:
        """Whether every batch is the whole training set."""
        return self.cohort.recipe.full_batch
