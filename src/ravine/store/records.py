"""What goes into a store and what comes out of it: frozen data, no SQL, no files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from ravine.errors import StoreError

Parsed = TypeVar("Parsed", dict[str, Any], list[Any])


def parsed(text: str, kind: type[Parsed], about: str) -> Parsed:
    """JSON text as the database has it.

    Args:
        text: the text.
        kind: what it must be: a dict or a list.
        about: what it says something of, for the error.

    Raises:
        StoreError: it is no JSON, or something else than it must be.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError, TypeError):
        found = None
    if not isinstance(found, kind):
        raise StoreError(
            f"{about}: the store's entry is damaged: {str(text)[:60]!r} is not a JSON {kind.__name__}"
        )
    return found


Status = Literal["planned", "running", "done", "diverged"]
RESTORED = "restored_step"
"""The metric of a run with early stopping that says which step's weights it has."""
FINISHED: tuple[Status, ...] = ("done", "diverged")
"""What a run is in the end; nothing trains it any more."""
Kind = Literal["weights", "predictions"]
Hypers = Mapping[str, float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One call that trained some runs of a study.

    Args:
        started_at: ISO time, UTC.
        seconds: wall time from start to end; None for one that was killed or still goes on.
        command: what reproduces it.
        file: the study's file, as the caller named it; None for a study made in Python.
        versions: of ravine, torch, numpy, Python.
        hardware: of the machine, for people to read.
        plan: one line: backend, number of cohorts and so on.
    """

    started_at: str
    seconds: float | None
    command: str
    file: str | None
    versions: dict[str, str]
    hardware: dict[str, str | int]
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """A study as stored: its TOML text, the data it was trained on, who trained it when, and what was noted."""

    name: str
    definition: str
    base: str
    data_fingerprint: str
    created_at: str
    launches: tuple[Launch, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be planned: a recipe with a seed, and the hash of both as its id.

    Args:
        id: 16 hex digits.
        config: id of the same recipe without its seed.
        rule: label of the update rule, such as "adam".
        hypers: the values that the study's grid chose, lr included.
        seed: seed of the run.
        recipe: everything that defines the run, as JSON-ready data.
        num_steps: steps it will take.
    """

    id: str
    config: str
    rule: str
    hypers: Hypers
    seed: int
    recipe: Mapping[str, Any]
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as stored; `status` says how far it came.

    Args:
        step: steps done, as of the last checkpoint; for a diverged run the step at which it diverged, for one that
            stopped early the step at which it did.
        diverged_at: that step, or None. Known from a checkpoint on, while the status is still "running".
        seconds: training time of this run's share of its cohort; None until it has finished.
        backend: what trained it, None until it has finished.
        metrics: final numbers; one that was NaN or infinite is absent. `RESTORED` is among them where early stopping
            decided which weights the run has.

    The other fields are those of `NewRun`.
    """

    id: str
    config: str
    rule: str
    hypers: dict[str, float | str]
    seed: int
    recipe: dict[str, Any]
    status: Status
    step: int
    num_steps: int
    diverged_at: int | None
    seconds: float | None
    backend: str | None
    metrics: dict[str, float]

    @property
    def weights_of(self) -> int:
        """The step whose weights a finished run has: its last, or where early stopping put back better ones."""
        return int(self.metrics.get(RESTORED, self.step))

    @property
    def stopped(self) -> bool:
        """Whether it stopped before its planned end."""
        return self.status == "done" and self.step < self.num_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How one run of a cohort ended.

    Args:
        id: of the run.
        diverged_at: step at which it diverged, None if it did not.
        step: steps done.
        seconds: its share of the training time.
        backend: what trained it, such as "fused compiled cpu".
        metrics: final numbers; NaN and infinities are left out of the store.
    """

    id: str
    diverged_at: int | None
    step: int
    seconds: float
    backend: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AveragedTensors:
    """What an average of the weights leaves of some runs of a cohort.

    Args:
        runs: ids of the runs, (R,).
        weights: tensors (R, ...) by name.
        predictions: likewise.
    """

    runs: Sequence[str]
    weights: Mapping[str, np.ndarray]
    predictions: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRecord:
    """A cohort that was started and has not finished: what is needed to go on with it."""

    id: str
    run_ids: tuple[str, ...]
    plan: dict[str, Any]
    step: int
    checkpoint: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """The right answers of a data set, kept so that a report needs no data.

    Args:
        name: of the data set.
        task: "classification", "regression" or "multilabel".
        classes: names of the classes or labels, () for regression.
        sizes: number of examples in training, validation and test part.
        validation: (n_validation,) class index int64, or target in its own units; (n_validation, T) of several targets;
            of labels (n_validation, K) int64, 0 or 1.
        test: (n_test,) likewise.
        training_mean: what training answers are on average: the share of each class, (K,), or the mean of the target in
            its own units, (1,); None in stores that older versions wrote.
        targets: names of the targets of a regression with several; else ().
        scale: (T,) standard deviation of each of these in training; else ().
        weights: (n_validation,) and (n_test,) how much each example counts in scores; None: all count alike.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    sizes: tuple[int, int, int]
    validation: np.ndarray
    test: np.ndarray
    training_mean: np.ndarray | None = None
    targets: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    weights: tuple[np.ndarray, np.ndarray] | None = None

    def weights_of(self, split: str) -> np.ndarray | None:
        """Of the examples of "validation" or "test"; None: all count alike."""
        return None if self.weights is None else self.weights[("validation", "test").index(split)]
