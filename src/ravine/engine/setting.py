"""All that the step of a cohort is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ravine.data import Dataset
from ravine.engine.augmenting import Augmenting
from ravine.engine.cohort import Cohort
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Constants, Data, State
from ravine.rules.base import DEPLOYED


@dataclass(frozen=True, slots=True, kw_only=True)
class OfRuns:
    """What a step takes that depends on the folds of its runs.

    Args:
        batch_index_R, of_set, of_loss: as `Constants` have them.
    """

    batch_index_R: Tensor
    of_set: dict[str, Tensor]
    of_loss: dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All that a step is made of.

    Args:
        cohort: the runs.
        objective: what they make small.
        data: the training set, or the batches of a step where these are augmented.
        state: what a step changes.
        constants: what it only reads.
        num_orders: S, how many batches are drawn for a step: of each seed, or of each seed and fold.
        augmenting: makes batches before the steps; None: a step takes its examples from the training set.
        drew: whether the model has drawn random numbers itself, in the step that goes on.
    """

    cohort: Cohort
    objective: Objective
    data: Data
    state: State
    constants: Constants
    num_orders: int
    augmenting: Augmenting | None = None
    drew: Callable[[], bool] = bool

    @staticmethod
    def of(
        cohort: Cohort,
        model: tuple[Network, dict[str, Tensor], Tensor | None],
        data: tuple[Dataset, Data],
        state: State,
        seeds: Sequence[int],
        num_orders: int,
        *,
        fused: bool,
        several_steps: bool,
        num_threads: int,
        own: OfRuns | None = None,
    ) -> Setting:
        """The setting of a cohort, whose batches come out of the training set, or are made by a stage before the steps.

        Args:
            cohort: the runs.
            model: of the runs, its parameters that are not trained, and the weights that it was made with, where a run
                is pulled there.
            data: their data set, and its training part on the device.
            state: what a step changes.
            seeds: in the order of their batches.
            num_orders: how many batches are drawn for a step.
            fused: whether a step is of all runs at once.
            several_steps: whether the program takes several at once.
            num_threads: that make batches.
            own: what depends on the folds of the runs; None: there are none.
        """
        network, fixed, origin = model
        objective = Objective(network=network, loss=Loss.of(cohort.recipe.loss, data[0]), fused=fused)
        examples = data[1]
        constants = Constants.of(cohort, network, (fixed, origin), seeds, examples.x.device, objective.loss)
        augmenting = Augmenting.of(cohort, *data, seeds, several=several_steps, num_threads=num_threads)
        if augmenting is not None:
            objective, examples = replace(objective, made=True), augmenting.batch
            if not cohort.searches:  # else each run has a batch of its own, at a step of its own
                constants = replace(constants, batch_index_R=augmenting.groups.of_run_R)
        if own is not None:
            constants = replace(
                constants, batch_index_R=own.batch_index_R, of_set=own.of_set, of_loss=own.of_loss
            )
        return Setting(
            cohort=cohort,
            objective=objective,
            data=examples,
            state=state,
            constants=constants,
            num_orders=num_orders,
            augmenting=augmenting,
        )

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
        return self.state.point(self.cohort, self.network.sections, self.constants.hypers, name)

    @property
    def full_batch(self) -> bool:
        """Whether every batch is the whole training set."""
        return self.cohort.recipe.full_batch

    @property
    def takes_all(self) -> bool:
        """Whether a step takes `data` as they are, instead of some rows."""
        return self.keeps_batch or self.augmenting is not None

    @property
    def keeps_batch(self) -> bool:
        """Whether every batch is all of `data`; that of a fold is some rows of what all folds share."""
        return self.full_batch and not self.constants.of_set
