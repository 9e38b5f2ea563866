"""Curves of a study's runs over the steps of training, read once from a store when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ravine.outcomes.runs import Curve

if TYPE_CHECKING:
    from ravine.store import Store


@dataclass(frozen=True, slots=True)
class Curves:
    """Those that have been read.

    Args:
        known: by metric and id of the run; without a step where the run has none.
    """

    known: dict[tuple[str, str], Curve] = field(default_factory=dict)

    def read(self, source: Store, metrics: Sequence[str], runs: Sequence[str]) -> None:
        """Read what is missing, in one go."""
        missing = [run for run in runs if any((metric, run) not in self.known for metric in metrics)]
        if missing:
            for metric, found in source.curves_of(missing, metrics).items():
                self.known.update({(metric, run): curve for run, curve in found.items()})

    def of(self, source: Store, metric: str, runs: Sequence[str]) -> dict[str, Curve]:
        """For each run that has the curve: steps done, and the values there."""
        self.read(source, (metric,), runs)
        return {run: self.known[metric, run] for run in runs if len(self.known[metric, run][0])}
