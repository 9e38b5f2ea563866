"""What goes into a verdict: trials, checked once and gathered by configuration.

A trial is one finished run as the verdict sees it: who it was, and how well each validation example went.
Scores are per example and higher is better: 1 or 0 for a correct or wrong class, minus the squared error of
a regression. Nothing about the test set is known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError

Scores = NDArray[np.number[Any]] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: its rule, configuration and seed, and its validation score per example.

    Args:
        rule: label of the rule, opaque text.
        config: id of the recipe without its seed.
        hypers: the configuration's values, `lr` among them if it has one.
        seed: runs of one seed share initial weights and batch order, over all rules: that makes them pairs.
        run: id of the run; what `judge` hands to its `test` function.
        diverged: the run broke off.
        broken_at_start: it did so before its first step: whatever its lr.
        stage: 2 where the configuration was tried because of what others of its rule had shown.
        validation: (n_validation,) score per example, higher is better; None if the run diverged.
    """

    rule: str
    config: str
    hypers: Mapping[str, float | str]
    seed: int
    run: str
    diverged: bool
    validation: Scores | None
    broken_at_start: bool = False
    stage: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One configuration of a rule with everything validation says about it.

    `lost` counts the seeds of its rule that did not end with finite scores: diverged, or not run;
    `broken_at_start` those of the diverged that did so before their first step.
    """

    rule: str
    config: str
    hypers: Mapping[str, float | str]
    runs: Mapping[int, str]  # finished seed -> run id
    scores: Mapping[int, float]  # finished seed -> mean validation score
    validation: Mapping[int, Scores]  # finished seed -> validation score per example
    diverged: int
    lost: int
    broken_at_start: int = 0
    stage: int = 1

    @property
    def mean(self) -> float:
        """Mean validation score over the finished seeds; minus infinity if there is none."""
        return math.fsum(self.scores.values()) / len(self.scores) if self.scores else -math.inf

    @property
    def lr(self) -> float | None:
        """The learning rate, if the rule has a numeric one."""
        return number(self.hypers.get("lr"))


def number(value: object) -> float | None:
    """`value` as a finite float; None for text, switches and infinities."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return float(value) if math.isfinite(float(value)) else None


def gather(trials: Sequence[Trial]) -> dict[str, list[Candidate]]:
    """Trials as candidates, per rule; rules sorted by label, so that the order of the trials is forgotten.

    A trial whose scores are not all finite counts as diverged.

    Raises:
        InputError: no trials, a configuration with the same seed twice, or validation sets of different
            sizes.
    """
    if not trials:
        raise InputError("trials: nothing to judge, there is no finished or diverged run")
    groups: dict[str, dict[str, list[Trial]]] = {}
    sizes: dict[int, str] = {}
    for trial in trials:
        groups.setdefault(trial.rule, {}).setdefault(trial.config, []).append(trial)
        if trial.validation is not None and not trial.diverged:
            sizes.setdefault(
                np.shape(trial.validation)[0] if np.ndim(trial.validation) == 1 else -1, trial.run
            )
    if -1 in sizes or 0 in sizes:
        run = sizes.get(-1, sizes.get(0, ""))
        raise InputError(f"trials: run {run!r} has no validation scores of shape (n_validation,) with n >= 1")
    if len(sizes) > 1:
        (n, run), (m, other) = sorted(sizes.items())[:2]
        raise InputError(
            f"trials: runs {run!r} and {other!r} were validated on {n} and {m} examples; one set is needed"
        )
    return {rule: _candidates(rule, groups[rule]) for rule in sorted(groups)}


def _candidates(rule: str, configs: Mapping[str, Sequence[Trial]]) -> list[Candidate]:
    all_seeds = {trial.seed for members in configs.values() for trial in members}
    candidates = []
    for config in sorted(configs):
        members = sorted(configs[config], key=lambda trial: trial.seed)
        if len({trial.seed for trial in members}) < len(members):
            raise InputError(f"trials: rule {rule!r}, configuration {config!r} has a seed more than once")
        runs: dict[int, str] = {}
        scores: dict[int, float] = {}
        validation: dict[int, Scores] = {}
        for trial in members:
            if trial.diverged or trial.validation is None:
                continue
            mean = float(np.mean(trial.validation, dtype=np.float64))
            if math.isfinite(mean):
                runs[trial.seed], scores[trial.seed] = trial.run, mean
                validation[trial.seed] = trial.validation
        candidates.append(
            Candidate(
                rule=rule,
                config=config,
                hypers=dict(members[0].hypers),
                runs=runs,
                scores=scores,
                validation=validation,
                diverged=len(members) - len(scores),
                lost=len(all_seeds) - len(scores),
                stage=members[0].stage,
                broken_at_start=sum(trial.diverged and trial.broken_at_start for trial in members),
            )
        )
    return candidates


def scorer(task: str, scale: Sequence[float] = ()) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """What gives each example its score, higher is better: 1 or 0 for right or wrong, or minus the squared error.

    Of labels it is the share of right ones; a label is predicted where its probability is above one half. Of several
    targets it is minus the mean squared error, each in units of its own variance in training.

    Args:
        task: "classification", "regression" or "multilabel".
        scale: (T,) the standard deviation of each of several targets in training; (): there is one.

    Returns:
        A function of predictions and answers: logits (n, K) and classes (n,) or labels (n, K), or values and answers
        (n,) or (n, T).

    Example:
        >>> scorer("multilabel")(np.array([[2.0, -1.0]]), np.array([[1, 1]])).tolist()
        [0.5]
        >>> scorer("regression", [1.0, 10.0])(np.array([[1.0, 20.0]]), np.array([[0.0, 0.0]])).tolist()
        [-2.5]
    """
    if task == "multilabel":

        def share(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
            found: np.ndarray = ((predictions > 0.0) == (labels > 0)).mean(axis=1)
            return found

        return share
    if task == "regression" and len(scale):
        deviations = np.asarray(scale, dtype=np.float64)

        def in_variances(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
            off = (predictions.astype(np.float64) - targets) / deviations
            squares: np.ndarray = np.square(off).mean(axis=1)
            return -squares

        return in_variances
    if task == "regression":

        def error(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
            squares: np.ndarray = np.square(predictions.reshape(-1).astype(np.float64) - target)
            return -squares

        return error

    def right(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
        hits: np.ndarray = predictions.argmax(axis=1) == target
        return hits.astype(np.float64)

    return right
