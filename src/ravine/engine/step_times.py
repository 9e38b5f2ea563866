"""How long a step of some runs takes with a backend: measured now, or in an earlier launch on this machine.

What decides between backends is kept, so that the next launch begins to train at once, and decides the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch

from ravine.cached import find, keep
from ravine.data import Dataset
from ravine.engine.network import Network
from ravine.native.machine import made_by
from ravine.study import Run
from ravine.study.augment import techniques
from ravine.study.recipe import MARKS
from ravine.version import sources

_KIND = "times"
_MOST_BYTES = 1 << 22
_WORTH_KEEPING = 0.2  # seconds that measuring takes
_UNDISTURBED = 0.8  # of one processor, while measuring: with less, other programs were measured too
_SECONDS, _ALONE = "seconds", "alone"


@final
@dataclass(slots=True, kw_only=True)
class StepTimes:
    """The times of runs of one structure.

    Args:
        network: of the runs.
        data: their data set.
        measure: ``(runs, backend) -> seconds``, of a step of all of them.
        keeps: whether times are kept.
    """

    network: Network
    data: Dataset
    measure: Callable[[Sequence[Run], str], float]
    keeps: bool
    _known: dict[str, float] = field(default_factory=dict)

    def of(self, runs: Sequence[Run], backend: str) -> float:
        """Seconds of a step of some runs. If this object has measured it before, it does so again: the smaller counts.

        Args:
            runs: as many at each call with that backend.
            backend: a word of `ravine.engine.programs.BACKENDS`.
        """
        kept = self.kept(runs, backend)
        if kept is not None:
            return kept
        began, worked = time.perf_counter(), time.process_time()
        found = min(self.measure(runs, backend), self._known.get(backend, float("inf")))
        taken, worked = time.perf_counter() - began, time.process_time() - worked
        self._known[backend] = found
        if self.keeps and taken > _WORTH_KEEPING:
            measured = {_SECONDS: np.array([found]), _ALONE: np.array([worked > _UNDISTURBED * taken])}
            keep(_KIND, self._key(runs, backend), measured, most=_MOST_BYTES)
        return found

    def kept(self, runs: Sequence[Run], backend: str) -> float | None:
        """The same, if an earlier launch has measured it, and no other program beside it."""
        if backend in self._known:
            return None
        found = self._found(runs, backend)
        return float(found[_SECONDS][0]) if found and found[_ALONE][0] else None

    def at_most(self, runs: Sequence[Run], backend: str) -> float | None:
        """Seconds that a step does not exceed, if an earlier launch has measured it, whatever went on beside it."""
        found = self._found(runs, backend)
        return float(found[_SECONDS][0]) if found else None

    def _found(self, runs: Sequence[Run], backend: str) -> Mapping[str, np.ndarray] | None:
        return find(_KIND, self._key(runs, backend)).arrays if self.keeps else None

    def _key(self, runs: Sequence[Run], backend: str) -> dict[str, object]:
        """All that the time depends on, but for the numbers of the runs."""
        recipe, hypers = runs[0].recipe, [run.recipe.hypers for run in runs]
        return {
            "model": {key: value for key, value in recipe.model.items() if key not in MARKS},
            **({} if self.network.native else {"precision": self.network.precision}),
            "parameters": [list(map(list, self.network.layout.shapes)), len(self.network.sections.each)],
            "rules": sorted({run.recipe.rule for run in runs}),
            "hypers": sorted({name for each in hypers for name, value in each.items() if value}),
            **({} if recipe.loss is None else {"loss": dict(recipe.loss)}),
            **({} if self.data.train.weights is None else {"weights": True}),
            "augmented": sorted(techniques(hypers)),
            "examples": [recipe.batch_size, recipe.full_batch, *self.data.input_shape],
            "runs": len(runs),
            "threads": torch.get_num_threads(),
            "backend": backend,
            "by": f"{made_by()}, PyTorch {torch.__version__}, ravine {sources()}",
        }
