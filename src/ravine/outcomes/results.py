"""What came out of a study: its runs, the verdict on them, and the numbers for whatever comes next.

    results = Results.load(store, "digits-rules")
    results.verdict.sentences     # the answer, in words
    results.table()               # one plain row per run
    results.json()                # what `ravine run --json` prints

`judging.py` says how the verdict comes about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError, StoreError, StudyError
from ravine.grid import Grid
from ravine.messages import plural
from ravine.metrics import DEFAULT, Metric
from ravine.outcomes import words
from ravine.outcomes.averages import AverageRow, average_words, averages
from ravine.outcomes.by_target import ByTarget
from ravine.outcomes.curves import Curves
from ravine.outcomes.entries import Entries
from ravine.outcomes.fold_metrics import fold_metric_table
from ravine.outcomes.fold_mistakes import fold_mistakes
from ravine.outcomes.folds import FoldsResult
from ravine.outcomes.framed import framed
from ravine.outcomes.judging import judgement_of
from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.levels import compared_by, levelled
from ravine.outcomes.looking import Judged, mistakes_of
from ravine.outcomes.metric import (
    Validated,
    as_weighted,
    judged_by,
    metric_of,
    validated_by,
    valued_averages,
)
from ravine.outcomes.metric_table import MetricTable, metric_table
from ravine.outcomes.mistakes import Mistakes
from ravine.outcomes.out_of_fold import OutOfFold, out_of_fold_of
from ravine.outcomes.regression import Errors
from ravine.outcomes.regularized import regularized_json, regularized_words
from ravine.outcomes.rows import columns_of, row_of
from ravine.outcomes.runs import METRICS, Cell, Curve, entry, plain, plain_data
from ravine.outcomes.stages import StageRow, stage_words, stages
from ravine.outcomes.trials import Predicted
from ravine.outcomes.trivial import Trivial
from ravine.outcomes.verdict_grid import verdict_grid
from ravine.store.records import FINISHED
from ravine.study.metric import is_default
from ravine.study.modes import AtTest, Mode
from ravine.verdict import Overfitting, Verdict

if TYPE_CHECKING:
    from ravine.data import Dataset
    from ravine.store import Labels, RunRecord, Store, StudyRecord


_ERRORS = tuple(f"validation_{name}" for name in Errors.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Results:
    """A study with its runs and the verdict on them. Make one with ``Results.load``.

    Attributes:
        study: the stored study: its definition, when and on what it was run.
        runs: every run, finished or not, in the order of the study; `rule` of each is what it is compared by.
        compare: what the verdict compares: "rule", or another factor, whose levels then are in the place of rules.
        labels: the data set's labels, task, classes and sizes.
        asked: how the study wants its runs evaluated at test; None: by the mean pass alone.
        mode: how the runs predict that the verdict is about; None: by the mean pass.
        metric: what configs were chosen by, and what the verdict is about.
        verdict: which rule is best, and whether that can be said at all.
        warnings: what a reader must know before believing the verdict.
        validation_errors: of a regression with one target, by run: errors on validation in the target's unit.
        test_errors: likewise, by rule: those of the chosen config on the test data, over its seeds.
        by_target: of a regression with several targets, the errors of each; else None.
        regularized: of a study with ``tune = "regularize"``: which rules overfit, and which keep dropout.
        trivial: what a predictor that looks at no input reaches, which a model must beat; None: not known of the task.
        ladder: of a study with one: each arm with n examples per class; the verdict then has words alone.
        folds: of a study with them: each rule on each fold, and the procedures compared over all.
        source: the store that curves are read from, when they are asked for.
        data: the data set, where it is at hand: after `ravine.run`; not of a study that was read from a store.
    """

    study: StudyRecord
    compare: str
    runs: tuple[RunRecord, ...]
    labels: Labels
    asked: AtTest | None
    mode: Mode | None
    metric: Metric
    verdict: Verdict
    warnings: tuple[str, ...]
    validation_errors: Mapping[str, Errors]
    test_errors: Mapping[str, Errors]
    regularized: tuple[Overfitting, ...]
    source: Store
    by_target: ByTarget | None = None
    trivial: Trivial | None = None
    ladder: LadderResult | None = None
    folds: FoldsResult | None = None
    data: Dataset | None = None
    _curves: Curves = field(default_factory=Curves, repr=False, compare=False)

    @classmethod
    def load(
        cls, store: Store, study_name: str, *, compare: str | None = None, metric: Metric | None = None
    ) -> Results:
        """Read a study and judge it.

        Args:
            store: where it is kept.
            study_name: its name.
            compare: the factor whose levels are judged: "rule", "model", "dropout", or any other that varies; None:
                what the study says.
            metric: what runs are judged by; None: what the study says.

        Raises:
            StoreError: there is no such study, or none of its runs has finished.
            StudyError: what is to be compared does not vary, or is a range; or the metric does not fit the data.
        """
        study = store.study(study_name)
        compare = compared_by(study.definition) if compare is None else compare
        runs = levelled(store.runs(study_name), compare, study.definition)
        labels = store.labels.of(study.data_fingerprint)
        if not any(run.status in FINISHED for run in runs):
            raise StoreError(
                f"study {study_name!r}: {words.none_of(len(runs))} finished, so there is nothing to"
                " report; `ravine run` with its file continues"
            )
        metric = metric_of(study.definition, labels.task) if metric is None else metric
        metric = as_weighted(metric, labels)
        found = judgement_of(store, study, compare, runs, labels, metric)
        return cls(
            study=study,
            compare=compare,
            runs=found.runs,
            labels=labels,
            asked=found.asked,
            mode=found.mode,
            metric=metric,
            verdict=found.verdict,
            warnings=found.warnings,
            validation_errors=found.validation_errors,
            test_errors=found.test_errors,
            by_target=found.by_target,
            regularized=found.regularized,
            source=store,
            trivial=found.trivial,
            ladder=found.ladder,
            folds=found.folds,
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
    def is_usual(self) -> bool:
        """Whether runs are judged by what is usual for their task: accuracy, or the squared error."""
        return is_default(self.metric, self.labels.task)

    @property
    def asks_otherwise(self) -> bool:
        """Whether runs are judged by another metric than the one that the study says, which then has to be named."""
        try:
            judged = judged_by(self.study.definition)
        except StudyError:  # a function of a program, which no text names
            return False
        usual = DEFAULT[self.labels.task] if judged is None else judged.name
        return self.metric.asked != usual

    @property
    def rules(self) -> tuple[str, ...]:
        """The labels of all rules, or of the levels of what is compared, in the order of the study."""
        return tuple(dict.fromkeys(run.rule for run in self.runs))

    @property
    def noun(self) -> str:
        """What one of `rules` is called: "rule", "model", "variant", or "level" of any other factor."""
        return self.verdict.noun

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
        return self.validated.column

    @property
    def validated(self) -> Validated:
        """What runs' values on validation are that configs are compared by."""
        return validated_by(self.metric, self.labels.task)

    @property
    def stages(self) -> tuple[StageRow, ...]:
        """What decay gained, a row per rule of a staged study that has runs of the second stage."""
        return () if self.regularized else stages(self.runs, self.validated)

    def metrics(self) -> MetricTable:
        """All metrics of every run on validation, and on test of what validation chose; computed when asked for.

        With folds those of a rule are means over folds, with their standard deviation over them.

        Raises:
            InputError: the study has a ladder, whose runs learn from parts of the training examples.
        """
        if self.ladder is not None:
            raise InputError(
                f"study {self.name!r} has a ladder: its runs learn from different numbers of examples, so there is no "
                "table of their metrics; run a study like it without ladder"
            )
        if self.folds is not None:
            fingerprint = self.study.data_fingerprint
            return fold_metric_table(self.source, self.runs, fingerprint, self.folds, self.noun, self.metric)
        predicted = Predicted(store=self.source, labels=self.labels, mode=self.mode)
        return metric_table(predicted, self.runs, self.verdict, self.metric, self.trivial)

    @property
    def averages(self) -> tuple[AverageRow, ...]:
        """What averages of the weights reach on validation at each rule's chosen config; () where there are none."""
        own = [run for run in self.runs if run.config in self.chosen]
        predicted = Predicted(store=self.source, labels=self.labels, metric=self.metric)
        return averages(valued_averages(predicted, own), self.chosen, self.validated)

    @property
    def error_columns(self) -> Mapping[str, Errors] | None:
        """`test_errors`, where there is one target, whose errors are columns of the verdict; else None."""
        return self.test_errors if self.is_regression and not self.labels.targets else None

    @property
    def error_floor(self) -> float:
        """Half a validation example, in per cent: where an error of zero is drawn on a log axis."""
        return 50.0 / max(1, self.labels.sizes[1])

    def curves(self, metric: str, runs: Sequence[str] | None = None) -> dict[str, Curve]:
        """Curves over the steps of training, read when asked for and kept.

        Args:
            metric: ``train_loss``, ``train_accuracy``, ``validation_loss`` or ``validation_accuracy``; of an average
                of the weights a name such as ``ema 0.99/validation_loss``.
            runs: ids of runs; None for all.

        Returns:
            For each run that has the curve: steps done, and the values there.
        """
        wanted = [run.id for run in self.runs] if runs is None else list(runs)
        return self._curves.of(self.source, metric, wanted)

    def read_curves(self, metrics: Sequence[str], runs: Sequence[str]) -> None:
        """Read curves that will be asked for one after another, in one go.

        Args:
            metrics: as in `curves`.
            runs: ids of runs.
        """
        self._curves.read(self.source, metrics, runs)

    def mistakes(self, *, rule: str | None = None, split: str | None = None, num: int = 20) -> Mistakes:
        """What runs get wrong: the confusion matrix, each class, and the hardest examples; see `ravine.mistakes`."""
        if self.folds is not None:
            fingerprint = self.study.data_fingerprint
            return fold_mistakes(self._judged, self.folds, fingerprint, rule=rule, split=split, num=num)
        return mistakes_of(self._judged, rule=rule, split=split, num=num)

    def out_of_fold(self, *, rule: str | None = None) -> OutOfFold:
        """Predictions of all examples by networks that have not seen them; see `ravine.out_of_fold`."""
        return out_of_fold_of(self._judged, self.folds, self.study.data_fingerprint, rule)

    @property
    def has_mistakes(self) -> bool:
        """Whether `mistakes` has something to look at."""
        return self._judged.has_mistakes

    @property
    def _judged(self) -> Judged:
        predicted = Predicted(store=self.source, labels=self.labels, mode=self.mode)
        return Judged(
            name=self.name, runs=self.runs, verdict=self.verdict, predicted=predicted, data=self.data
        )

    def columns(self) -> list[str]:
        """The columns of ``table``, in order."""
        errors = () if self.by_target is None else self.by_target.columns
        errors = errors if self.error_columns is None else _ERRORS
        metrics = (*METRICS[::2], *errors) if self.is_regression else METRICS
        own = () if self.score_metric in metrics else (self.score_metric,)
        return columns_of(self.runs, self.noun, (*metrics, *own))

    def table(self) -> list[dict[str, Cell]]:
        """One plain row per run, for a data frame or a CSV file; what a run doesn't have is None.

        A hyper named like one of the fixed columns is left out: the column is what it says.
        """
        columns = self.columns()
        more = {} if self.by_target is None else {run.id: self.by_target.of_run(run.id) for run in self.runs}
        return [
            row_of(run, columns, self.noun, self.validation_errors.get(run.id), more.get(run.id, {}))
            for run in self.runs
        ]

    def frame(self, library: str) -> Any:
        """`table` as a data frame, where that library is installed.

        Args:
            library: "pandas" or "polars".

        Raises:
            InputError: it is neither, or not installed.
        """
        return framed(self.table(), library)

    def json(self) -> dict[str, Any]:
        """The results as one object of plain, finite numbers: what ``ravine run --json`` prints."""
        return {
            "study": self.name,
            "runs": len(self.runs),
            "diverged": self.num_diverged,
            "seconds": plain(self.seconds),
            "backend": self.backend,
            **({} if self.compare == "rule" else {"compare": self.compare}),
            **({} if self.is_usual else {"metric": self.metric.name}),
            plural(self.noun): [self._entries.of_rule(rule) for rule in self.verdict.rules],
            **({"trivial": self._entries.of_trivial(self.trivial)} if self.trivial is not None else {}),
            "best": self.verdict.best,
            "separable": bool(self.verdict.separable),
            **entry("gains", [plain_data(gain.json()) for gain in self.verdict.gains]),
            **({"ladder": self.ladder.json()} if self.ladder is not None else {}),
            **({"folds": self.folds.json()} if self.folds is not None else {}),
            "warnings": list(self.warnings),
            "notes": list(self.study.notes),
            **entry("stages", [row.json() for row in self.stages]),
            **entry("regularize", [regularized_json(row, self.verdict.measure) for row in self.regularized]),
            **entry("averages", [row.json() for row in self.averages]),
            "table": self.table(),
        }

    @property
    def _entries(self) -> Entries:
        names = ("val_loss", "test_loss") if self.is_regression else ("val_accuracy", "test_accuracy")
        if not self.is_usual:
            names = f"val_{self.metric.column}", f"test_{self.metric.column}"
        return Entries(verdict=self.verdict, names=names, errors=self.error_columns, by_target=self.by_target)

    def readable(self, score: float | None) -> float:
        """A score of the verdict as people know it: an accuracy, or a loss without its minus; NaN if None."""
        return words.readable(self.verdict.measure, score)

    def grid(self) -> Grid:
        """The verdict as a small table: its sentences, a row per rule, what to read before relying on it."""
        return verdict_grid(
            self.name,
            self.verdict,
            self.runs,
            self.ladder,
            errors=self.error_columns,
            trivial=self.trivial,
            after=(
                *stage_words(self.stages, self.validated),
                *regularized_words(self.regularized, self.verdict.measure),
                *average_words(self.averages, self.validated),
                *(f"! {text}" for text in self.warnings),
                *(f"note: {text}" for text in self.study.notes),
            ),
        )

    def grids(self) -> tuple[Grid, ...]:
        """The verdict as a table, and behind it errors of each target, where there are several."""
        more = () if self.by_target is None else (self.by_target.grid(self.noun),)
        return (self.grid(), *more)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.grids()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())
