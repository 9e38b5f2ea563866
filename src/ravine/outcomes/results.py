"""What came out of a study: its runs, the verdict on them, and the numbers for whatever comes next.

    results = Results.load(store, "digits-rules")
    results.verdict.sentences     # the answer, in words
    results.table()               # one plain row per run
    results.json()                # what `ravine run --json` prints

Only validation scores are read for every run. Test predictions are opened for the configs that the verdict
has already chosen, and for no others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.errors import StoreError
from ravine.outcomes.runs import FINISHED, METRICS, Cell, Curve, plain
from ravine.outcomes.stages import StageRow, stages
from ravine.outcomes.trials import Predicted, trials
from ravine.verdict import Verdict, judge

if TYPE_CHECKING:
    from ravine.store import Labels, RunRecord, Store, StudyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A study with its runs and the verdict on them. Make one with ``Results.load``.

    Attributes:
        study: the stored study: its definition, when and on what it was run.
        runs: every run, finished or not, in the order of the study.
        labels: the data set's labels, task, classes and sizes.
        verdict: which rule is best, and whether that can be said at all.
        warnings: what a reader must know before believing the verdict.
        source: the store that curves are read from, when they are asked for.
    """

    study: StudyRecord
    runs: tuple[RunRecord, ...]
    labels: Labels
    verdict: Verdict
    warnings: tuple[str, ...]
    source: Store
    _curves: dict[tuple[str, str], Curve] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, store: Store, study_name: str) -> Results:
        """Read a study and judge it.

        Args:
            store: where it is kept.
            study_name: its name.

        Raises:
            StoreError: there is no such study, or none of its runs has finished.
        """
        study = store.study(study_name)
        runs = tuple(store.runs(study_name))
        labels = store.labels(study.data_fingerprint)
        finished = [run for run in runs if run.status in FINISHED]
        if not finished:
            raise StoreError(
                f"study {study_name!r}: none of its {len(runs)} runs has finished, so there is nothing to"
                " report; `ravine run` with its file goes on from where it stopped"
            )
        predicted = Predicted(store=store, labels=labels)
        verdict = judge(trials(finished, predicted), test=predicted.test_scores, task=labels.task)
        warnings = list(verdict.warnings)
        if len(finished) < len(runs):
            warnings.insert(
                0,
                f"{len(runs) - len(finished)} of {len(runs)} runs have not finished: everything here covers"
                f" the other {len(finished)}. The study file, run again, goes on from where it stopped.",
            )
        return cls(
            study=study, runs=runs, labels=labels, verdict=verdict, warnings=tuple(warnings), source=store
        )

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def is_regression(self) -> bool:
        """True where the scores are losses, not accuracies."""
        return self.labels.task == "regression"

    @property
    def rules(self) -> tuple[str, ...]:
        """The labels of all rules, in the order of the study."""
        return tuple(dict.fromkeys(run.rule for run in self.runs))

    @property
    def num_diverged(self) -> int:
        """How many runs diverged."""
        return sum(run.status == "diverged" for run in self.runs)

    @property
    def seconds(self) -> float:
        """Seconds that the finished runs were trained, over all launches; runs that train at once share theirs."""
        return math.fsum(run.seconds or 0.0 for run in self.runs)

    @property
    def backend(self) -> str:
        """What trained the runs, the most used first, such as ``fused``; empty if not noted."""
        used = [run.backend for run in self.runs if run.backend]
        return " + ".join(sorted(set(used), key=lambda name: (-used.count(name), name)))

    @property
    def chosen(self) -> frozenset[str]:
        """The configs that the verdict chose, one per rule that has a run to choose."""
        return frozenset(result.config for result in self.verdict.rules if result.config is not None)

    @property
    def score_metric(self) -> str:
        """The validation metric that configs are compared by."""
        return "validation_loss" if self.is_regression else "validation_accuracy"

    @property
    def stages(self) -> tuple[StageRow, ...]:
        """What decay gained, a row per rule of a staged study that has runs of the second stage."""
        return stages(self.runs, self.labels.task)

    @property
    def error_floor(self) -> float:
        """Half a validation example, in per cent: where an error of zero is drawn on a log axis."""
        return 50.0 / max(1, self.labels.sizes[1])

    def curves(self, metric: str, runs: Sequence[str] | None = None) -> dict[str, Curve]:
        """Curves over the steps of training, read when asked for and kept.

        Args:
            metric: ``train_loss``, ``train_accuracy``, ``validation_loss`` or ``validation_accuracy``.
            runs: ids of runs; None for all.

        Returns:
            For each run that has the curve: steps done, and the values there.
        """
        wanted = [run.id for run in self.runs] if runs is None else list(runs)
        missing = [run_id for run_id in wanted if (metric, run_id) not in self._curves]
        if missing:
            found = self.source.curves(missing, metric)
            nothing = (np.zeros(0, np.int64), np.zeros(0, np.float32))
            self._curves.update({(metric, run_id): found.get(run_id, nothing) for run_id in missing})
        return {
            run_id: self._curves[metric, run_id] for run_id in wanted if len(self._curves[metric, run_id][0])
        }

    def columns(self) -> list[str]:
        """The columns of ``table``, in order."""
        hypers = dict.fromkeys(name for run in self.runs for name in run.hypers if name != "lr")
        metrics = METRICS[::2] if self.is_regression else METRICS
        return [
            *("run", "rule", "lr", *hypers, "seed", "status", "step", "num_steps", "diverged_at", "seconds"),
            *metrics,
        ]

    def table(self) -> list[dict[str, Cell]]:
        """One plain row per run, for a data frame or a CSV file; what a run doesn't have is None.

        A hyper named like one of the fixed columns is left out: the column is what it says.
        """
        columns = self.columns()
        return [_row(run, columns) for run in self.runs]

    def json(self) -> dict[str, Any]:
        """The results as one object of plain, finite numbers: what ``ravine run --json`` prints."""
        two = self.stages
        return {
            "study": self.name,
            "runs": len(self.runs),
            "diverged": self.num_diverged,
            "seconds": plain(self.seconds),
            "backend": self.backend,
            "rules": [self._rule_entry(place) for place in range(len(self.verdict.rules))],
            "best": self.verdict.best,
            "separable": bool(self.verdict.separable),
            "warnings": list(self.warnings),
            "notes": list(self.study.notes),
            **({"stages": [row.json() for row in two]} if two else {}),
        }

    def _rule_entry(self, place: int) -> dict[str, Any]:
        result = self.verdict.rules[place]
        others = {key: plain(value) for key, value in result.hypers.items() if key != "lr"}
        names = ("val_loss", "test_loss") if self.is_regression else ("val_accuracy", "test_accuracy")
        entry = {"rule": result.rule, "lr": plain(result.lr), **others}
        for name, score in zip(names, (result.validation, result.test), strict=True):
            entry[name] = plain(self.readable(score))
        # A loss is minus its score, so the bounds change places.
        bounds = sorted(self.readable(end) for end in result.ci or ())
        return entry | {"ci": [plain(end) for end in bounds] or [None, None]}

    def readable(self, score: float | None) -> float:
        """A score of the verdict as people know it: an accuracy, or a loss without its minus; NaN if None."""
        return math.nan if score is None else 0.0 - score if self.is_regression else score

    def _repr_html_(self) -> str:
        """How Jupyter shows it: the sentences and a row per rule."""
        rows = self.json()["rules"]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_show(row.get(name)))}</td>" for name in columns) + "</tr>"
            for row in rows
        )
        words = "".join(f"<p>{escape(text)}</p>" for text in self.verdict.sentences)
        notes = [f"note: {text}" for text in self.study.notes]
        warnings = "".join(f"<li>{escape(text)}</li>" for text in (*self.warnings, *notes))
        return (
            f"<div><strong>{escape(self.name)}</strong>{words}"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            + (f"<ul>{warnings}</ul>" if warnings else "")
            + "</div>"
        )


def _row(run: RunRecord, columns: Sequence[str]) -> dict[str, Cell]:
    known: Mapping[str, object] = {
        **run.metrics,
        **run.hypers,
        "run": run.id,
        "rule": run.rule,
        "seed": run.seed,
        "status": run.status,
        "step": run.step,
        "num_steps": run.num_steps,
        "diverged_at": run.diverged_at,
        "seconds": run.seconds,
    }
    return {name: plain(known.get(name)) for name in columns}


def _show(value: object) -> str:
    """A cell of the small table: four digits are enough to look at."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return " to ".join(_show(bound) for bound in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
