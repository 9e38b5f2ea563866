"""All that the step of a cohort is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ravine.engine.cohort import Cohort
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.state import Constants, Data, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All that a step is made of.

    Args:
        fused: all runs at once under vmap; False: exactly one run, without it.
        full_batch: every batch is the whole training set.
        num_seeds: S, how many seeds the batches are drawn for.
        drew: whether the model has drawn random numbers itself, in the step that goes on.
    """

    cohort: Cohort
    network: Network
    loss: Loss
    data: Data
    state: State
    constants: Constants
    fused: bool
    full_batch: bool
    num_seeds: int
    drew: Callable[[], bool] = bool
