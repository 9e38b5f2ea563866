"""Runs as rows of a plain table, and the errors of a regression beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ravine.outcomes.regression import Errors
from ravine.outcomes.runs import Cell, plain
from ravine.verdict import Trial, Verdict

if TYPE_CHECKING:
    from ravine.store import Labels, RunRecord


def errors_of(
    labels: Labels, found: Sequence[Trial], verdict: Verdict, tested: Mapping[str, np.ndarray]
) -> tuple[dict[str, Errors], dict[str, Errors]]:
    """Of a regression with one target: validation errors by run, and test errors by rule; weighted as scores are."""
    if labels.task != "regression" or labels.targets:
        return {}, {}
    validation = {
        trial.run: Errors.of(np.asarray(trial.validation), labels.validation, labels.weights_of("validation"))
        for trial in found
        if trial.validation is not None and np.isfinite(trial.validation).all()
    }
    by_rule = {
        rule.rule: [
            Errors.of(tested[run], labels.test, labels.weights_of("test"))
            for run in rule.runs
            if run in tested
        ]
        for rule in verdict.rules
    }
    return validation, {rule: Errors.mean(seeds) for rule, seeds in by_rule.items() if seeds}


def plain_errors(errors: Errors | None, prefix: str) -> dict[str, Cell]:
    """As plain data, each name behind the name of its split."""
    return {f"{prefix}_{name}": plain(getattr(errors, name, None)) for name in Errors.__slots__}


def columns_of(runs: Sequence[RunRecord], noun: str, metrics: Sequence[str]) -> list[str]:
    """The columns of a table of runs, in order: what a run is, its hypers, how it ended, and its metrics."""
    hypers = dict.fromkeys(name for run in runs for name in run.hypers if name != "lr")
    ended = ("status", "step", "num_steps", "diverged_at", "seconds")
    return ["run", noun, "lr", *hypers, "seed", *ended, *metrics]


def row_of(
    run: RunRecord,
    columns: Sequence[str],
    noun: str,
    errors: Errors | None,
    more: Mapping[str, Cell] = MappingProxyType({}),
) -> dict[str, Cell]:
    """A run's cells by column; what it does not have is None."""
    known: Mapping[str, object] = {
        **run.metrics,
        **plain_errors(errors, "validation"),
        **more,
        **run.hypers,
        **(run.recipe.get("part") or {}),  # whole numbers, which hypers have as floats
        "run": run.id,
        noun: run.rule,
        "seed": run.seed,
        "status": run.status,
        "step": run.step,
        "num_steps": run.num_steps,
        "diverged_at": run.diverged_at,
        "seconds": run.seconds,
    }
    return {name: plain(known.get(name)) for name in columns}
