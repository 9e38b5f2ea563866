"""All metrics of a study: of every run on validation, and on test of what validation chose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError
from ravine.grid import Grid
from ravine.messages import count
from ravine.metrics import METRICS, Metric, check_answers, check_task, names_of, values_of, weighted
from ravine.outcomes.runs import Cell, plain, plain_data
from ravine.outcomes.trials import Predicted
from ravine.outcomes.trivial import Trivial
from ravine.outcomes.words import NOTHING, signed, two_digits

if TYPE_CHECKING:
    from ravine.store import Labels, RunRecord
    from ravine.verdict import Verdict

SPLITS = ("validation", "test")

_OF_TARGETS = (
    "metrics are means over targets, each in its own unit; a verdict by squared error is in units of variance"
)


Cells = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnFold:
    """The metrics of a rule on one fold.

    Args:
        rule: label.
        part: which fold.
        validation, test: each metric, the mean over the seeds of the config that this fold's validation chose.
    """

    rule: str
    part: FoldOf
    validation: Cells
    test: Cells


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MetricTable:
    """All metrics of a study's runs. ``results.metrics()`` makes one.

    Attributes:
        metrics: those that the data have a value of, by the name of a column.
        noun: what one of `rules` is called.
        validation: of every finished run, by its id, each metric on validation.
        test: of each rule each metric on test: the mean over the seeds of the config that validation chose.
        chosen: of each rule the mean over the same seeds on validation.
        trivial: of the trivial predictor each metric, by split; empty where there is none.
        runs: the finished runs.
        notes: why others have no value, and what those of several targets are, a sentence each.
        folds: of a study with folds, each rule on each fold; `test`, `chosen` and `trivial` then are means over folds,
            and `validation` is of a run on its own fold.
        spread: of these means, by split and rule, the standard deviation over folds of each metric.
    """

    metrics: Mapping[str, Metric]
    noun: str
    validation: Mapping[str, Cells]
    test: Mapping[str, Cells]
    chosen: Mapping[str, Cells]
    trivial: Mapping[str, Cells]
    runs: tuple[RunRecord, ...]
    notes: tuple[str, ...]
    folds: tuple[OnFold, ...] = ()
    spread: Mapping[str, Mapping[str, Cells]] = field(default_factory=dict)

    def table(self) -> list[dict[str, Cell]]:
        """A row per finished run with its metrics on validation, for a data frame or a CSV file."""
        return [
            {
                "run": run.id,
                self.noun: run.rule,
                **{name: plain(value) for name, value in run.hypers.items()},
                "seed": run.seed,
                **{f"validation_{name}": plain(value) for name, value in self.validation[run.id].items()},
            }
            for run in self.runs
        ]

    def json(self) -> dict[str, Any]:
        """All of it as one object of plain, finite numbers: what ``ravine metrics --json`` prints."""

        def numbers(of: Mapping[str, Cells]) -> dict[str, dict[str, Cell]]:
            return {
                name: {each: plain(value) for each, value in values.items()} for name, values in of.items()
            }

        return {
            "metrics": list(self.metrics),
            "chosen": {
                rule: {"validation": numbers(self.chosen)[rule], "test": values}
                for rule, values in numbers(self.test).items()
            },
            **self._of_folds(),
            "trivial": numbers(self.trivial),
            "notes": list(self.notes),
            "table": self.table(),
        }

    def _of_folds(self) -> dict[str, Any]:
        """Of a study with folds, the spread over them and each of them, as JSON has it."""
        if not self.folds:
            return {}
        return {
            "spread": plain_data(self.spread),
            "folds": [
                {
                    self.noun: each.rule,
                    **each.part.content(),
                    **plain_data({"validation": each.validation, "test": each.test}),
                }
                for each in self.folds
            ],
        }

    def grids(self) -> tuple[Grid, Grid]:
        """On validation and on test, a row per metric and a column per rule, each with what validation chose for it."""
        validation, test = (
            self._grid(split, of) for split, of in zip(SPLITS, (self.chosen, self.test), strict=True)
        )
        return validation, test

    def _grid(self, split: str, of: Mapping[str, Cells]) -> Grid:
        columns = {**of, **({"trivial": self.trivial[split]} if split in self.trivial else {})}
        spread = self.spread.get(split, {})
        rows = tuple(
            (
                metric.title,
                *(
                    shown(metric, values.get(name, math.nan), spread.get(rule, {}).get(name))
                    for rule, values in columns.items()
                ),
            )
            for name, metric in self.metrics.items()
        )
        num = len({each.part for each in self.folds})
        what = (
            f"of the hypers that each fold's validation chose: the mean over {count(num, 'fold')}, and ± its standard "
            "deviation over them"
            if num
            else "of the hypers that validation chose, the mean over seeds"
        )
        return Grid(
            title="",
            before=(f"{split}, {what}",),
            columns=("metric", *columns),
            rows=rows,
            left=("metric",),
            after=tuple(f"note: {text}" for text in self.notes) if split == "test" else (),
        )

    def __str__(self) -> str:
        return "\n\n".join(str(grid) for grid in self.grids())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())


def shown(metric: Metric, value: float, spread: float | None = None) -> str:
    """A value as people read it, with its spread where it has one."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{100 * value:.1f} %" if metric.percent else f"{value:.4g}"
    if spread is not None and math.isfinite(spread):
        text += f" ± {100 * spread:.1f}" if metric.percent else f" ± {two_digits(spread)}"
    return signed(text)


def metric_table(
    predicted: Predicted,
    runs: Sequence[RunRecord],
    verdict: Verdict,
    metric: Metric,
    trivial: Trivial | None,
) -> MetricTable:
    """Compute them out of stored predictions.

    Args:
        predicted: reads them.
        runs: of the study.
        verdict: on it; only runs that it chose are looked at on test.
        metric: what it is about, which is listed too.
        trivial: the trivial predictor; None: there is none.
    """
    labels = predicted.labels
    metrics, left_out = usable(labels, metric)
    done = tuple(run for run in runs if run.status == "done")
    outputs = predicted.outputs("validation", [run.id for run in done])
    values = computed(metrics, labels, "validation", list(outputs.values()))
    validation = {
        run: {name: float(each[i]) for name, each in values.items()} for i, run in enumerate(outputs)
    }
    test, chosen = {}, {}
    for rule in verdict.rules:
        if rule.config is None:
            continue
        found = list(predicted.outputs("test", rule.runs).values())
        of_test = computed(metrics, labels, "test", found)
        test[rule.rule] = {name: float(np.mean(each)) for name, each in of_test.items()}
        chosen[rule.rule] = {
            name: float(np.mean([validation[run][name] for run in rule.runs])) for name in metrics
        }
    return MetricTable(
        metrics=metrics,
        noun=verdict.noun,
        validation=validation,
        test=test,
        chosen=chosen,
        trivial={} if trivial is None else of_trivial(metrics, labels, trivial),
        runs=tuple(run for run in done if run.id in validation),
        notes=left_out + notes_of(labels),
    )


def notes_of(labels: Labels) -> tuple[str, ...]:
    """What to know of the metrics of a data set."""
    return (_OF_TARGETS,) if labels.targets else ()


def usable(labels: Labels, metric: Metric, fold: str = "") -> tuple[dict[str, Metric], tuple[str, ...]]:
    """The metrics that both parts have a value of, and why others have none.

    Args:
        labels: the right answers.
        metric: one that is listed beside those of the task.
        fold: what the fold is called that they are of; empty where there are none.
    """
    names = names_of(labels.task)
    wanted = {name: METRICS[name] for name in names}
    if labels.weights is not None:
        counted = [weighted(each, labels.task) for each in wanted.values()]
        wanted |= {each.name: each for each in counted}
    wanted.setdefault(metric.name, metric)
    found, left = {}, []
    for each in wanted.values():
        try:
            check_task(each, labels.task, len(labels.classes))
        except InputError:  # of another number of classes
            continue
        try:
            for split in SPLITS:
                weights = labels.weights_of(split) if each.of else None
                check_answers(
                    each, labels.task, _answers(labels, split), labels.classes, split, fold, weights
                )
        except InputError as error:
            left.append(f"{each.title} is left out: it {str(error).partition(': ')[2]}")
            continue
        found[each.column] = each
    return found, tuple(left)


def computed(
    metrics: Mapping[str, Metric], labels: Labels, split: str, outputs: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Each metric of each output, by the name of a column."""
    answers, weights = _answers(labels, split), labels.weights_of(split)
    found = values_of(list(metrics.values()), labels.task, outputs, answers, weights)
    return {column: found[metric.name] for column, metric in metrics.items()}


def _answers(labels: Labels, split: str) -> np.ndarray:
    return labels.validation if split == "validation" else labels.test


def of_trivial(
    metrics: Mapping[str, Metric], labels: Labels, trivial: Trivial
) -> dict[str, dict[str, float]]:
    """Each metric of the trivial predictor, by split."""
    found = {}
    for split, answers in zip(SPLITS, (labels.validation, labels.test), strict=True):
        values = computed(metrics, labels, split, [trivial.outputs(len(answers))])
        found[split] = {name: float(each[0]) for name, each in values.items()}
    return found
