"""How good an exported model is: its scores with intervals on validation, and on test where that was read already."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.pool import as_outputs
from ravine.ensembles.pooling import Pooled
from ravine.ensembles.scoring import heated, nll
from ravine.metrics import parts_of
from ravine.outcomes.metric import as_weighted, measures_of
from ravine.outcomes.runs import plain_data
from ravine.outcomes.trials import Predicted, Split
from ravine.predictors.choice import Choice
from ravine.store import Store
from ravine.study.metric import is_default
from ravine.verdict.own_interval import mean_interval, share_interval

Array = NDArray[np.float64]

_Z = 1.959963984540054  # 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A mean over examples.

    Args:
        value: the mean.
        low, high: its interval of 95 %, over examples.
    """

    value: float
    low: float
    high: float


def validation_scores(choice: Choice) -> dict[str, Score]:
    """Of what was chosen, on the examples by which it was chosen: flattering, if a little."""
    return _scores(choice, choice.outputs, "validation")


def logged_scores(choice: Choice, store: Store) -> tuple[dict[str, Score], str]:
    """On test, where somebody has scored this very pool already, and a note; nothing where nobody has.

    What is not in the store's log is not read: each look at test makes the next one worth less.
    """
    log = store.scored.of(choice.study.data_fingerprint)
    own = next((each for each in log if each.recipe == choice.pool.id), None)
    if own is None or choice.weights:
        return {}, ""
    outputs = Predicted(store=store, labels=choice.labels).of_members("test", choice.members)
    recipes = "one recipe was" if len(log) == 1 else f"{len(log):,} recipes were"
    note = f"This pool was first scored on test at {own.at}; {recipes} ever scored on these test examples."
    return _scores(choice, outputs, "test"), note


def _scores(choice: Choice, outputs: Mapping[str, np.ndarray], split: Split) -> dict[str, Score]:
    """The study's own metric first, then what is usual for the task."""
    cells = Cells.of(choice.labels)
    answers = choice.labels.validation if split == "validation" else choice.labels.test
    pooled = choice.pool.predict(cells, outputs)
    log_p = None if pooled.log_p is None else heated(pooled.log_p, choice.temperature)
    own = _by_metric(choice, as_outputs(cells, pooled.predicted, log_p), answers, split)
    return {
        **own,
        **{name: each for name, each in _usual(choice, pooled, log_p, answers).items() if name not in own},
    }


def _by_metric(choice: Choice, outputs: Array, answers: np.ndarray, split: Split) -> dict[str, Score]:
    """Of the study's metric; {} where that is what is usual, or a function that is not at hand."""
    labels = choice.labels
    if choice.metric is None or is_default(metric := as_weighted(choice.metric, labels), labels.task):
        return {}
    measure = measures_of(metric, labels)[("test", "validation").index(split)]
    parts = parts_of(metric, labels.task, [outputs], answers, labels.weights_of(split))[0]
    if not np.isfinite(parts).all():
        return {}
    scores = -parts if measure.loss else parts
    ci = mean_interval(
        scores[None],
        0.05,
        binary=measure.binary,
        share=measure.percent,
        heaviest=measure.heaviest,
        best=measure.best,
        loss=measure.loss,
    )
    low, high = sorted(measure.readable(end) for end in ci)
    return {metric.column: Score(value=float(parts.mean()), low=low, high=high)}


def _usual(choice: Choice, pooled: Pooled, log_p: Array | None, answers: np.ndarray) -> dict[str, Score]:
    cells = Cells.of(choice.labels)
    right = cells.answers(answers)
    if log_p is None and cells.per > 1:
        return _of_targets(choice, np.asarray(pooled.predicted - right, dtype=np.float64), cells)
    if log_p is None:
        off = np.asarray(pooled.predicted - answers, dtype=np.float64)
        mse = _mean(np.square(off))
        low, high = math.sqrt(max(0.0, mse.low)), math.sqrt(mse.high)
        return {"rmse": Score(value=math.sqrt(mse.value), low=low, high=high), "mae": _mean(np.abs(off))}
    if cells.labels:
        hits = cells.by_example((pooled.predicted == right) * 1.0)
        return {"accuracy": _mean(hits, most=1.0), "nll": _mean(cells.by_example(nll(log_p, right)))}
    number = int((pooled.predicted == answers).sum())
    low, high = share_interval(number, len(answers), 0.05)
    accuracy = Score(value=number / len(answers), low=low, high=high)
    return {"accuracy": accuracy, "nll": _mean(nll(log_p, answers))}


def _of_targets(choice: Choice, off: Array, cells: Cells) -> dict[str, Score]:
    """Errors of several targets: the mean square in units of variance, and of each target in its own unit."""
    found = {"mse": _mean(cells.by_example(np.square(off)))}
    for name, scale, each in zip(choice.labels.targets, choice.labels.scale, cells.apart(off).T, strict=True):
        mse = _mean(np.square(each * scale))
        found[f"rmse {name}"] = Score(
            value=math.sqrt(mse.value), low=math.sqrt(max(0.0, mse.low)), high=math.sqrt(mse.high)
        )
        found[f"mae {name}"] = _mean(np.abs(each * scale))
    return found


def plain_scores(scores: dict[str, Score]) -> dict[str, Any]:
    """As JSON has them; what is not finite is None."""
    return {name: plain_data(asdict(each)) for name, each in scores.items()}


def _mean(values: Array, most: float = math.inf) -> Score:
    """Of losses, which are never below 0, or of shares, which are never above 1."""
    value = float(values.mean())
    half = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Score(value=value, low=max(0.0, value - half), high=min(most, value + half))
