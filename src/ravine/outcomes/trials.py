"""Stored runs as scores per example: what a verdict, a second stage and whatever else reads predictions begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ravine.errors import StoreError
from ravine.metrics import Metric, parts_of
from ravine.outcomes.member import Member
from ravine.store.averaged import kind_of
from ravine.store.records import FINISHED
from ravine.study import STAGE
from ravine.study.metric import is_default
from ravine.verdict import Trial, scorer

if TYPE_CHECKING:
    from ravine.store import Labels, RunRecord, Store
    from ravine.study.modes import Mode

Split = Literal["validation", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The stored predictions of runs that are done, and their scores against the right answers.

    Args:
        store: where the predictions are.
        labels: the right answers of the data set that the runs were trained on.
        mode: how the runs predict at test; None: by the mean pass, as training stores it.
        metric: what they are judged by; None: what is usual for the task.
    """

    store: Store
    labels: Labels
    mode: Mode | None = None
    metric: Metric | None = None

    def answers(self, split: Split) -> np.ndarray:
        """(N,) right answers: classes, or values in the target's own units; (N, K) of labels, (N, T) several values."""
        return self.labels.validation if split == "validation" else self.labels.test

    def outputs(self, split: Split, run_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """By run: logits (N, K), or values in the target's own units, (N,) or (N, T).

        Raises:
            StoreError: a run has none, or a file is damaged.
        """
        if self.mode is None:
            stored = self.store.tensors_many("predictions", run_ids)
        else:
            stored = self.store.evaluated.read(self.mode.id, run_ids)
            for run_id in run_ids:
                if run_id not in stored:
                    raise StoreError(
                        f"run {run_id}: not evaluated by {self.mode.name} yet; `ravine run` does it"
                    )
        return {run_id: self._of_split(run_id, split, tensors) for run_id, tensors in stored.items()}

    def of_members(self, split: Split, members: Sequence[Member]) -> dict[str, np.ndarray]:
        """By name of the member, of those at a run's end or at an average: as `outputs`."""
        found: dict[str, np.ndarray] = {}
        for average in dict.fromkeys(member.average for member in members):
            some = {member.run: member.name for member in members if member.average == average}
            kind = kind_of(average, "predictions") if average else "predictions"
            stored = self.store.tensors_many(kind, list(some))
            found |= {some[run]: self._of_split(run, split, tensors) for run, tensors in stored.items()}
        return found

    def _of_split(self, run_id: str, split: Split, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        found, answers = tensors.get(split), self.answers(split)
        if self.labels.task == "classification":
            fits = found is not None and found.ndim == 2 and len(found) == len(answers)
        else:
            fits = found is not None and found.shape == answers.shape
        if found is None or not fits or found.dtype.kind != "f":
            raise StoreError(
                f"run {run_id}: its stored predictions are not those of its data's {split} examples"
            )
        return found

    def scores(self, split: Split, run_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """By run, (N,): what each example contributes to a score of which higher is better, and which is their mean.

        Of what is usual for a task see `ravine.verdict.scorer`, of any other metric `ravine.metrics`: minus its parts
        where lower is better.
        """
        found = self.outputs(split, run_ids)
        return dict(zip(found, self._scored(split, list(found.values())), strict=True))

    def test_scores(self, run_id: str) -> np.ndarray:
        """A run's scores on the test data, (N,). Only for runs that validation has chosen already."""
        if self.mode is None:
            found = self._of_split(run_id, "test", self.store.tensors("predictions", run_id))
        else:
            found = self.outputs("test", [run_id])[run_id]
        return self._scored("test", [found])[0]

    def _scored(self, split: Split, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        answers, task = self.answers(split), self.labels.task
        if self.metric is None or is_default(self.metric, task):
            score = scorer(task, self.labels.scale)
            return [score(found, answers) for found in outputs]
        sign = -1.0 if self.metric.lower else 1.0
        weights = self.labels.weights_of(split)
        return [sign * parts for parts in parts_of(self.metric, task, outputs, answers, weights)]

    def test_outputs(self, run_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """What runs put out on the test data. Only for runs whose `test_scores` a verdict has read."""
        return self.outputs("test", run_ids)


def trials(runs: Sequence[RunRecord], predicted: Predicted) -> list[Trial]:
    """The finished ones of some runs as a verdict takes them, with their validation scores.

    Args:
        runs: in any state; a run that has not finished is left out.
        predicted: reads their predictions.
    """
    finished = [run for run in runs if run.status in FINISHED]
    validation = predicted.scores("validation", [run.id for run in finished if run.status == "done"])
    return [
        Trial(
            rule=run.rule,
            config=run.config,
            hypers=run.hypers,
            seed=run.seed,
            run=run.id,
            diverged=run.status == "diverged",
            broken_at_start=run.diverged_at == 0,
            validation=validation.get(run.id),
            stage=int(run.hypers.get(STAGE, 1)),
        )
        for run in finished
    ]
