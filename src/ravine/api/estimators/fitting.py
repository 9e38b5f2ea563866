"""From examples to a predictor: a study in a temporary store, which is gone afterwards."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from ravine.api.estimators.exact import exact
from ravine.api.estimators.grid import MOST_RUNS, NAME, Wanted, checked_runs
from ravine.data import Dataset
from ravine.errors import InputError
from ravine.launch.launch import launch
from ravine.launch.pace import pace
from ravine.messages import shown
from ravine.nn.spec import MLP
from ravine.outcomes.runs import METRICS, Cell, plain
from ravine.predictors.choice import chosen
from ravine.predictors.predictor import Predictor
from ravine.predictors.stored import predictor_of
from ravine.report.watch import watch
from ravine.store import RunRecord, Store
from ravine.study.definition import definition_of
from ravine.times import seconds_of

_TRIED = 24  # runs of the study whose pace is measured
_SHARE = 0.9  # of a budget, that is planned to be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What came out of `fit`.

    Args:
        predictor: the ensemble, on the processor.
        runs: how many there were.
        table: a row per run.
    """

    predictor: Predictor
    runs: int
    table: list[dict[str, Cell]]


def fit(
    data: Dataset,
    wanted: Wanted,
    *,
    began: float,
    runs: Any,
    budget: Any,
    size: int,
    device: str,
    backend: str,
    verbose: bool,
) -> Fitted:
    """Train a study and make a predictor of its runs.

    Args:
        data: without a test part.
        wanted: what is tried.
        began: when `fit` was called, of `time.perf_counter`.
        runs: how many; of no meaning where there is a budget.
        budget: a time, or None.
        size: members of the ensemble, at most.
        device, backend: as in `ravine.run`.
        verbose: show the plan and a bar.

    Raises:
        InputError: one line that says what is wrong.
    """
    number = (
        checked_runs(runs) if budget is None else _affordable(data, wanted, began, budget, device, backend)
    )
    study = wanted.study(data, number)
    with TemporaryDirectory(prefix="ravine-") as folder:
        store = Store(folder)
        events = launch(
            study, store, definition=definition_of(study), data=data, device=device, backend=backend
        )
        console = Console(file=sys.stderr, quiet=not verbose)
        watch(events, console, NAME, higher_is_better=data.task != "regression")
        choice = chosen(store, NAME, "greedy", size=size)
        predictor = predictor_of(choice, store, find=lambda: (study, None), device="cpu")
        records = store.runs(NAME)
    # Convolutions in float64 take long, and modules of the user's may refuse it.
    if isinstance(study.model, MLP):
        predictor = exact(predictor)
    weights = choice.pool.weights
    return Fitted(
        predictor=predictor,
        runs=study.num_runs,
        table=[_row(run, weights) for run in sorted(records, key=lambda run: _order(run, weights))],
    )


def _affordable(data: Dataset, wanted: Wanted, began: float, budget: Any, device: str, backend: str) -> int:
    """How many runs a budget pays for, at least one for each rule: measured on some steps of some of them."""
    seconds = seconds_of(budget)
    if seconds is None:
        raise InputError(
            f'budget = {shown(budget)}: must be a time such as "60s", "5 min" or a number of seconds'
        )
    least = wanted.fewest_runs(data)
    measured = pace(wanted.study(data, max(least, _TRIED)), data=data, device=device, backend=backend)
    left = _SHARE * seconds - (time.perf_counter() - began)
    return min(max(measured.runs_in(left), least), MOST_RUNS)


def _row(run: RunRecord, weights: Mapping[str, float]) -> dict[str, Cell]:
    """A run as plain data, with its weight in the ensemble; what it does not have is None."""
    metrics = {name: plain(run.metrics.get(name)) for name in METRICS if name in run.metrics}
    return {
        "run": run.id,
        "rule": run.rule,
        **run.hypers,
        "seed": run.seed,
        "status": run.status,
        "seconds": plain(run.seconds),
        **metrics,
        "weight": weights.get(run.id, 0.0),
    }


def _order(run: RunRecord, weights: Mapping[str, float]) -> tuple[float, float, str]:
    """Members first, those with the largest weight before the others; then by validation loss."""
    return -weights.get(run.id, 0.0), run.metrics.get("validation_loss", math.inf), run.id
