"""Errors of each of several targets in its own unit, beside the one score that a verdict is about.

Shapes: N example, T target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.folds import by_fold
from ravine.outcomes.regression import MEAN, Errors
from ravine.outcomes.rows import plain_errors
from ravine.outcomes.runs import Cell
from ravine.outcomes.trials import Predicted
from ravine.outcomes.trivial import trivial_of
from ravine.outcomes.words import shown_r2
from ravine.study.metric import is_default
from ravine.verdict import Verdict

if TYPE_CHECKING:
    from ravine.metrics import Metric
    from ravine.outcomes.folds import FoldsResult
    from ravine.outcomes.trivial import Trivial
    from ravine.store import Labels, RunRecord, Store

_UNLIKE = 2.0  # deviations of two targets that a mean over them is not fair to


@dataclass(frozen=True, slots=True, kw_only=True)
class ByTarget:
    """Errors of each target.

    Attributes:
        names: of the targets.
        runs: on validation, by run.
        rules: on test, by rule: those of the chosen config, over its seeds.
        trivial: on test, of always predicting the mean of each target; None: not known.
        over: what the errors of a rule are means over.
    """

    names: tuple[str, ...]
    runs: Mapping[str, tuple[Errors, ...]]
    rules: Mapping[str, tuple[Errors, ...]]
    trivial: tuple[Errors, ...] | None
    over: str = "seeds"

    @property
    def columns(self) -> tuple[str, ...]:
        """What a table of runs has of it: ``validation_rmse_`` and the name of a target, and so on."""
        return tuple(f"validation_{each}_{name}" for name in self.names for each in Errors.__slots__)

    def of_run(self, run: str) -> dict[str, Cell]:
        """The cells of `columns`."""
        return self._cells(self.runs.get(run), "validation")

    def of_rule(self, rule: str) -> dict[str, Cell]:
        """The same of a rule on test: ``test_rmse_`` and the name of a target, and so on."""
        return self._cells(self.rules.get(rule), "test")

    def of_trivial(self) -> dict[str, Cell]:
        """The same of the predictor that looks at no input."""
        return self._cells(self.trivial, "test")

    def grid(self, noun: str) -> Grid:
        """A row for each rule and target.

        Args:
            noun: what a rule is called.
        """
        found = self.rules if self.trivial is None else {**self.rules, MEAN: self.trivial}
        rows = tuple(
            (rule, name, f"{each.rmse:.4g}", f"{each.mae:.4g}", shown_r2(each))
            for rule, errors in found.items()
            for name, each in zip(self.names, errors, strict=True)
        )
        return Grid(
            before=(f"Test errors of each target in its own unit, over {self.over}:",),
            columns=(noun, "target", "RMSE", "MAE", "R²"),
            rows=rows,
            left=(noun, "target"),
        )

    def _cells(self, errors: Sequence[Errors] | None, split: str) -> dict[str, Cell]:
        every: Sequence[Errors | None] = [None] * len(self.names) if errors is None else errors
        return {
            f"{key}_{name}": value
            for name, each in zip(self.names, every, strict=True)
            for key, value in plain_errors(each, split).items()
        }


def errors_by_target(
    predicted: Predicted,
    runs: Sequence[str],
    verdict: Verdict,
    tested: Mapping[str, np.ndarray],
    trivial: Trivial | None,
) -> ByTarget | None:
    """Errors of each target; None where there are not several.

    Args:
        predicted: reads predictions.
        runs: ids of the runs whose validation scores are finite.
        verdict: what was chosen.
        tested: test scores of the runs that validation chose, by run: of no others test is read.
        trivial: the predictor that looks at no input; None: there is none.
    """
    labels = predicted.labels
    if not labels.targets:
        return None
    validation = predicted.outputs("validation", list(runs))
    test = predicted.outputs("test", list(tested))
    rules = {}
    for rule in verdict.rules:
        seeds = [_errors(test[run], labels.test) for run in rule.runs if run in test]
        if seeds:
            rules[rule.rule] = _mean(seeds)
    return ByTarget(
        names=labels.targets,
        runs={run: _errors(found, labels.validation) for run, found in validation.items()},
        rules=rules,
        trivial=None if trivial is None else _errors(trivial.output[None], labels.test),
    )


def errors_over_folds(
    store: Store, folds: FoldsResult, fingerprint: str, rules: Sequence[str], runs: Sequence[RunRecord]
) -> ByTarget | None:
    """Errors of each target over the folds of a study; None where there are not several.

    Args:
        store: where its predictions are.
        folds: what each fold's validation chose: of no other runs test is read.
        fingerprint: of the whole data set.
        rules: in the order of the verdict.
        runs: of the study.
    """
    targets = store.labels.of(fingerprint).targets
    if not targets:
        return None
    of_rule: dict[str, list[tuple[Errors, ...]]] = {}
    of_run: dict[str, tuple[Errors, ...]] = {}
    without_inputs = []
    for part, own in by_fold(runs).items():
        labels = store.labels.of(part.key(fingerprint))
        predicted = Predicted(store=store, labels=labels)
        done = predicted.outputs("validation", [run.id for run in own if run.status == "done"])
        of_run |= {
            run: _errors(found, labels.validation) for run, found in done.items() if np.isfinite(found).all()
        }
        for chosen in (each for each in folds.chosen if each.part == part):
            tested = predicted.test_outputs(chosen.runs)
            of_rule.setdefault(chosen.rule, []).extend(
                _errors(found, labels.test) for found in tested.values()
            )
        trivial = trivial_of(labels)
        without_inputs += [] if trivial is None else [_errors(trivial.output[None], labels.test)]
    return ByTarget(
        names=targets,
        runs=of_run,
        rules={rule: _mean(of_rule[rule]) for rule in rules if rule in of_rule},
        trivial=_mean(without_inputs) if without_inputs else None,
        over="folds and seeds",
    )


def _mean(several: Sequence[tuple[Errors, ...]]) -> tuple[Errors, ...]:
    return tuple(Errors.mean(each) for each in zip(*several, strict=True))


def unlike_units(metric: Metric, labels: Labels) -> list[str]:
    """The caution that a mean over targets, each in its own unit, is mostly about one of them; [] where it is not.

    Args:
        metric: what runs are judged by.
        labels: the right answers, and how far each target spreads in training.
    """
    spread = labels.scale
    in_units = metric.lower and not metric.own and not is_default(metric, labels.task)
    if not in_units or len(spread) < 2 or max(spread) < _UNLIKE * min(spread):
        return []
    most = labels.targets[int(np.argmax(spread))]
    alike = "" if metric.of else "; by mse, the default, and by r2 all count alike"
    return [
        f"The {metric.title} is a mean over {count(len(spread), 'target')}, each in its own unit: {most} "
        f"varies most, and so counts most{alike}."
    ]


def _errors(values_NT: np.ndarray, answers_NT: np.ndarray) -> tuple[Errors, ...]:
    off = values_NT.astype(np.float64) - answers_NT
    return tuple(
        Errors.of(-np.square(each), answers) for each, answers in zip(off.T, answers_NT.T, strict=True)
    )
