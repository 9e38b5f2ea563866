"""Studies over folds whose networks ravine trains: how often equals are told apart, and how often 2 points are found.

A study trains one rule with three learning rates and twice as many seeds as a procedure needs. The first half of the
seeds is one procedure and the second half the other: equals that differ by their luck, and tune by themselves. For 2
points some right answers of the second one's stored predictions become wrong as they are read, on validation and test.
Training is `ravine.run` into a store of its own; choice and verdict are those of any study.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from folds_procedures import SEEDS, Array, Draw, exchanged, rate, real, row

import ravine
from ravine.data.deal_folds import FoldOf
from ravine.metrics import METRICS
from ravine.outcomes.folds import folds_of
from ravine.outcomes.trials import Predicted, trials
from ravine.store import RunRecord
from ravine.verdict import ACCURACY, judge

GAP = 0.02
WAYS = ("equal", "any", "some")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A data set, and what is trained on it."""

    name: str
    draw: Draw
    hidden: int
    epochs: int


def run_networks(reps: int) -> None:
    """A row for each data set and way to split it."""
    settings = (
        Setting(name="digits, 400 of 1,797", draw=real("digits", 400), hidden=16, epochs=8),
        Setting(name="breast cancer, all 569", draw=real("breast_cancer"), hidden=8, epochs=6),
        Setting(name="wine, all 178", draw=real("wine"), hidden=8, epochs=10),
        Setting(name="digits, all 1,797", draw=real("digits"), hidden=16, epochs=3),
    )
    titles = ("equals separable", "2 points found, any examples", "the same examples", "the wrong way")
    row("data", "what is judged", "runs a config", "accuracy", "studies", *titles)
    print("|---" * 9 + "|")
    for setting in settings:
        for folds, repeats, seeds in ((5, 1, SEEDS), (0, 0, 5 * SEEDS), (5, 2, SEEDS)):
            said, accuracies = dict.fromkeys(WAYS, 0), []
            wrong_way = 0
            for study in range(reps):
                found, accuracy = judged(setting, study, folds, repeats, seeds)
                accuracies.append(accuracy)
                for way, first in found.items():
                    said[way] += first != 0 if way == "equal" else first == 1
                    wrong_way += way != "equal" and first == -1
            row(
                setting.name,
                f"{folds} folds x {repeats}" if folds else "one split",
                max(1, folds * repeats) * seeds,
                f"{100 * np.mean(accuracies):.1f} %",
                reps,
                *(rate(said[way], reps) for way in WAYS),
                rate(wrong_way, 2 * reps),
            )


def judged(
    setting: Setting, study: int, folds: int, repeats: int, seeds: int
) -> tuple[dict[str, int], float]:
    """One study: by way, 1 where the first procedure is called better, -1 the second, 0 neither; and the accuracy.

    Args:
        setting: data and network.
        study: its number, which draws the examples and deals the splits.
        folds, repeats: of the data; 0 for one split.
        seeds: of each procedure.
    """
    x, y = setting.draw(np.random.default_rng([study, folds, repeats, 12]))
    split = {"split": {"folds": folds, "repeats": repeats}} if folds else {}
    asked = ravine.Study(
        name="folds",
        data=ravine.from_arrays(x, y, split_seed=study, **split),
        model={"kind": "mlp", "hidden": [setting.hidden]},
        epochs=setting.epochs,
        batch_size=32,
        seeds=2 * seeds,
        rules=[{"kind": "adam", "lr": [3e-3, 1e-2, 3e-2]}],
    )
    with TemporaryDirectory() as folder:
        results = ravine.run(asked, store=folder, quiet=True)
        runs = [
            replace(
                run,
                rule="ab"[run.seed // seeds],
                config=f"{run.config}{run.seed // seeds}",
                seed=run.seed % seeds,
            )
            for run in results.runs
        ]
        found = {}
        for way in WAYS:
            store = Spoilt(
                results, [] if way == "equal" else [run for run in runs if run.rule == "b"], study, way
            )
            found[way], accuracy = (over_folds if folds else on_one_split)(store, runs, results)
            if way == "equal":
                reached = accuracy
    return found, reached


def over_folds(store: Spoilt, runs: Sequence[RunRecord], results: ravine.Results) -> tuple[int, float]:
    """What the verdict over folds says, and the mean accuracy."""
    found = folds_of(cast(Any, store), runs, results.study.data_fingerprint, METRICS["accuracy"])
    (pair,) = found.pairs
    ahead = pair.first if pair.difference > 0.0 else pair.second
    return _said(pair.separable, ahead), float(np.mean([rule.test for rule in found.rules]))


def on_one_split(store: Spoilt, runs: Sequence[RunRecord], results: ravine.Results) -> tuple[int, float]:
    """What the verdict of a study with one split says, and the mean accuracy."""
    predicted = Predicted(store=cast(Any, store), labels=results.labels)
    verdict = judge(trials(runs, predicted), predicted.test_scores, measure=ACCURACY)
    return _said(verdict.separable, verdict.best), float(np.mean([rule.test for rule in verdict.rules]))


def _said(separable: bool, ahead: str | None) -> int:
    return (1 if ahead == "a" else -1) if separable else 0


class Spoilt:
    """A store in which some runs lose 2 points as their predictions are read.

    Args:
        results: of the study.
        worse: the runs.
        study: draws which answers.
        way: "any": each run loses other answers; "some": all lose those of the same examples.
    """

    def __init__(self, results: ravine.Results, worse: Sequence[RunRecord], study: int, way: str) -> None:
        self.labels = results.source.labels
        self._source, self._study, self._way = results.source, study, way
        self._worse = {run.id: run for run in worse}
        self._fingerprint = results.study.data_fingerprint

    def tensors(self, kind: str, run_id: str) -> dict[str, Array]:
        """A run's predictions."""
        return self.tensors_many(kind, [run_id])[run_id]

    def tensors_many(self, kind: str, run_ids: Sequence[str]) -> dict[str, dict[str, Array]]:
        """By run: its predictions."""
        found = self._source.tensors_many(kind, run_ids)
        return {
            run_id: self._spoilt(self._worse[run_id], tensors) if run_id in self._worse else tensors
            for run_id, tensors in found.items()
        }

    def _spoilt(self, run: RunRecord, tensors: dict[str, Array]) -> dict[str, Array]:
        part = run.recipe.get("part")
        fold = FoldOf.of(part) if part else None
        labels = self.labels.of(fold.key(self._fingerprint) if fold else self._fingerprint)
        own = zlib.crc32(run.id.encode()) if self._way == "any" else 0
        at = (fold.repeat, fold.fold) if fold else (0, 0)
        found = dict(tensors)
        for split, answers in (("validation", labels.validation), ("test", labels.test)):
            rng = np.random.default_rng([self._study, own, len(split), *at])
            right = tensors[split].argmax(axis=1) == answers
            lost = right & (rng.random(len(right)) < GAP / max(float(right.mean()), GAP))
            found[split] = exchanged(tensors[split], lost)
        return found
