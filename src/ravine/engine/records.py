"""What the engine yields: plain records, no disk, no screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment to look up: shown progress, an interrupt, a checkpoint.

    Args:
        step: steps done.
        snapshot: everything that is needed to go on from here, copied when it is called.
    """

    step: int
    snapshot: Callable[[], Arrays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of the runs that go on, at one step.

    Args:
        step: steps done.
        runs: ids of these runs.
        scores: for each metric one float32 per run. Those of an average have its name before them, as in
            "ema 0.99/validation_loss", and are not a number where it has no weights yet.
        diverged: runs that were found to have diverged since the last evaluation, and at which step.
    """

    step: int
    runs: tuple[str, ...]
    scores: Mapping[str, np.ndarray]
    diverged: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The weights of the runs that go on, at one step.

    Args:
        step: steps done.
        runs: ids of these runs.
        weights: trained parameters, as they would be deployed, and buffers by name, (runs, ...).
    """

    step: int
    runs: tuple[str, ...]
    weights: Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Banked:
    """The averages of the bank, of the runs that go on, at one step.

    Args:
        step: steps done.
        runs: ids of these runs.
        weights: trained parameters (runs, ...); before their names is that of the average, as in
            "bank mean/linear1.weight".
    """

    step: int
    runs: tuple[str, ...]
    weights: Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaged:
    """What an average of the weights came to.

    Args:
        runs: ids of the runs that have it, in the order of the rows below.
        metrics: final scores by name, one per run.
        weights: parameters, averaged, and buffers by name, (runs, ...).
        predictions: as of `Finished`.
    """

    runs: tuple[str, ...]
    metrics: Mapping[str, np.ndarray]
    weights: Arrays
    predictions: Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a cohort.

    Args:
        runs: ids of the runs that came to their end, in the order of the rows below.
        diverged: the others, each with the step at which its loss ceased to be a finite number.
        metrics: final scores by name, one per run.
        weights: parameters and buffers by name, (runs, ...).
        predictions: "validation" and "test": logits (runs, n, K), or (runs, n) in the target's own units.
        lengths: where runs of several folds have different numbers of examples, how many each has, (runs,) by name: the
            rest of its row in `predictions` is not a number.
        seconds: training time.
        backend: what trained it.
        averages: by name what the averages of the weights came to.
        stopped: runs that stopped, and after which step: at it, their averages are.
        restored: runs that may stop, and the step whose weights they end with.
        kept: where others go on from these runs, what they need beside the weights (`ravine.engine.beginning.End`), in
            the order of `runs`.
    """

    runs: tuple[str, ...]
    diverged: Mapping[str, int]
    metrics: Mapping[str, np.ndarray]
    weights: Arrays
    predictions: Arrays
    seconds: float
    backend: str
    averages: Mapping[str, Averaged] = field(default_factory=dict)
    stopped: Mapping[str, int] = field(default_factory=dict)
    restored: Mapping[str, int] = field(default_factory=dict)
    kept: Arrays = field(default_factory=dict)
    lengths: Arrays = field(default_factory=dict)


Record = Tick | Evaluation | Kept | Banked | Finished
