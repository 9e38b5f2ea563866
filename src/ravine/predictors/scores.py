"""How good an exported model is: its scores with intervals on validation, and on test where that was read already."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.scoring import heated, nll
from ravine.outcomes.runs import plain_data
from ravine.outcomes.trials import Predicted
from ravine.predictors.choice import Choice
from ravine.store import Store
from ravine.verdict.own_interval import share_interval

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
    return _scores(choice, choice.outputs, choice.labels.validation)


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
    return _scores(choice, outputs, choice.labels.test), note


def _scores(choice: Choice, outputs: Mapping[str, np.ndarray], answers: np.ndarray) -> dict[str, Score]:
    cells = Cells.of(choice.labels)
    pooled, right = choice.pool.predict(cells, outputs), cells.answers(answers)
    if pooled.log_p is None and cells.per > 1:
        return _of_targets(choice, np.asarray(pooled.predicted - right, dtype=np.float64), cells)
    if pooled.log_p is None:
        off = np.asarray(pooled.predicted - answers, dtype=np.float64)
        mse = _mean(np.square(off))
        low, high = math.sqrt(max(0.0, mse.low)), math.sqrt(mse.high)
        return {"rmse": Score(value=math.sqrt(mse.value), low=low, high=high), "mae": _mean(np.abs(off))}
    log_p = heated(pooled.log_p, choice.temperature)
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
