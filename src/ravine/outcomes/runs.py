"""What any reader of stored runs asks of them: final values, configs with their seeds, hypers in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.metrics import lower_named
from ravine.store.records import FINISHED

if TYPE_CHECKING:
    from ravine.store import RunRecord

Curve = tuple[np.ndarray, np.ndarray]  # steps done (int64), values (float32)
Cell = float | str | None

OBJECTIVE, OPTIMUM = "head_objective", "head_optimum"
"""Metrics of a run that trained a linear head, where they were measured: its loss, and the least that there is."""
METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def validation_metric(task: str) -> str:
    """What configs are compared by on validation: the loss of a regression, else the accuracy."""
    return "validation_loss" if task == "regression" else "validation_accuracy"


def final(run: RunRecord, metric: str) -> float | None:
    """The run's last value of a metric; None if it diverged, hasn't finished, or has no such number."""
    value = run.metrics.get(metric)
    if run.status != "done" or value is None or not math.isfinite(value):
        return None
    return float(value)


def latest(curves: Mapping[str, Curve]) -> dict[str, float]:
    """The last finite value of each run's curve that has one."""
    finite = {run: values[np.isfinite(values)] for run, (_, values) in curves.items()}
    return {run: float(values[-1]) for run, values in finite.items() if len(values)}


def lr_of(run: RunRecord) -> float:
    """The run's learning rate."""
    return float(run.hypers["lr"])


def describe(hypers: Mapping[str, float | str], names: Iterable[str]) -> str:
    """Hypers as a person would write them: ``rho 0.9, schedule cosine``."""
    parts = ((name, hypers[name]) for name in names if name in hypers)
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in parts
    )


def others(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """The hypers beside lr that differ among these runs."""
    names = dict.fromkeys(name for run in runs for name in run.hypers if name != "lr")
    return tuple(name for name in names if len({run.hypers.get(name) for run in runs}) > 1)


def by_config(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Finished runs by config, seeds together."""
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        if run.status in FINISHED:
            groups.setdefault(run.config, []).append(run)
    return groups


def lower_is_better(metric: str) -> bool:
    """Whether a run's number, such as "validation_rmse", is better the lower it is.

    Example:
        >>> [lower_is_better(f"validation_{name}") for name in ("accuracy", "loss", "rmse", "roc_auc")]
        [False, True, True, False]
    """
    return lower_named(metric.rpartition("/")[2].partition("_")[2])


def quality(seeds: Sequence[RunRecord], metric: str) -> tuple[float, float]:
    """How good a config is, larger is better: first the share of seeds that survived, then the mean score."""
    values = [value for run in seeds if (value := final(run, metric)) is not None]
    if not values:
        return (0.0, -math.inf)
    mean = sum(values) / len(values)
    return (len(values) / len(seeds), -mean if lower_is_better(metric) else mean)


def plain(value: object) -> Cell:
    """A number or text that strict JSON allows: NaN and infinities become None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return float(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def plain_data(value: object) -> Any:
    """Mappings, sequences and arrays of what `plain` takes, as strict JSON allows them.

    Example:
        >>> plain_data({"loss": np.array([0.5, math.nan]), "rule": "adam"})
        {'loss': [0.5, None], 'rule': 'adam'}
    """
    if isinstance(value, Mapping):
        return {name: plain_data(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain_data(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_data(each) for each in value]
    return plain(value)


def entry(name: str, rows: list[Any]) -> dict[str, list[Any]]:
    """An entry of an object, where there is something in it."""
    return {name: rows} if rows else {}
