"""Averages of the weights while a cohort trains: which runs have them, and what else they are evaluated with.

Shapes: R run, A average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.scheduled import Scheduled
from ravine.engine.setting import Setting
from ravine.engine.state import Data, averaged_name
from ravine.engine.statistics import Statistics

MOST_FOR_CURVES = 1024
"""Training examples by which BatchNorm's statistics are estimated along the way; at the end all are used."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Averaging:
    """The averages of a cohort, and the statistics of its norms for them.

    Args:
        names: of the averages; () where there are none.
        batchnorm: as in `ravine.study.averages.Averages`.
        along: estimates statistics along the way.
        at_end: estimates them at the end.
    """

    names: tuple[str, ...]
    batchnorm: str
    along: Statistics
    at_end: Statistics

    @staticmethod
    def of(cohort: Cohort, network: Network, train: Data, backend: str) -> Averaging:
        """The averages of a cohort.

        Args:
            cohort: its runs.
            network: their model.
            train: the training set.
            backend: of the program.
        """
        averages, size = cohort.averages, cohort.recipe.batch_size
        return Averaging(
            names=() if averages is None else averages.names,
            batchnorm="last" if averages is None else averages.batchnorm,
            along=Statistics(network, train.x, size, MOST_FOR_CURVES, backend),
            at_end=Statistics(network, train.x, size, None, backend),
        )

    def begun(self, name: str, scheduled: Scheduled, step: int, going: Sequence[int]) -> list[int]:
        """Those rows of the program that go on and whose average of this name has weights after so many steps."""
        first_R = scheduled.first_AR[self.names.index(name)]
        return [row for row in going if 0 < first_R[row] <= step]

    def others(
        self, name: str, setting: Setting, points_RP: Tensor, rows: Sequence[int], *, at_end: bool
    ) -> Mapping[str, Tensor]:
        """Every tensor of the model that is not trained, (R, ...) by name, as it is evaluated with an average.

        Args:
            name: of the average.
            setting: of the program.
            points_RP: the average.
            rows: of the program, that have it.
            at_end: whether all training examples are used.
        """
        others, state = setting.others, setting.state
        if self.batchnorm == "average":
            kept = {each: averaged_name(name, each) for each in state.buffers}
            return {
                **others,
                **{each: state.averaged[key] for each, key in kept.items() if key in state.averaged},
            }
        statistics = self.at_end if at_end else self.along
        if self.batchnorm == "again" and statistics:
            return statistics.estimate(points_RP, others, rows)
        return others
