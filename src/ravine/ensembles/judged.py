"""Pools scored on validation and, once chosen, on test, and compared example by example.

An interval of a difference covers the choice of test examples with these members: there is one pool of each kind, and
other seeds would make others. All intervals of a comparison are corrected together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles import scoring
from ravine.ensembles.asked import Asked, Own, around, is_better
from ravine.ensembles.cells import Cells
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import Pooled
from ravine.metrics import Metric
from ravine.verdict.comparison import difference_error, width

Array = NDArray[np.float64]

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A pool, or a run alone, that validation chose.

    Args:
        name: for people.
        pool: the pool.
        temperature: fitted on validation; 1 where none helps, and for votes and regressions.
        validation: its scores by name, at that temperature: ``nll``, ``brier``, ``ece`` and ``accuracy``, or
            ``mse``, ``rmse`` and ``mae``.
        test: likewise.
        raw: those of a classification at temperature 1, by split.
        per_example: each test example's ``nll`` and ``accuracy``, or ``mse``: what comparisons are made of.
        epochs: passes over the training set that its members took together.
        own: what it reaches by the study's metric, whose parts are in `per_example` under its name; None where that is
            what is usual for the task.
    """

    name: str
    pool: Pool
    temperature: float
    validation: Mapping[str, float]
    test: Mapping[str, float]
    raw: Mapping[str, Mapping[str, float]]
    per_example: Mapping[str, Array]
    epochs: float = math.nan
    own: Own | None = None


class Scored(Protocol):
    """What was scored on test, example by example."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def per_example(self) -> Mapping[str, Array]:
        """Each test example's scores."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How far two pools are apart on test.

    Args:
        first, second: their names.
        score: ``nll``, ``accuracy`` or ``mse``, or the name of the study's metric.
        difference: first minus second.
        interval: of all comparisons together 95 %, over test examples.
        outcome: ``better`` or ``worse``, said of the first, or ``not separable``.
    """

    first: str
    second: str
    score: str
    difference: float
    interval: tuple[float, float]
    outcome: str


def judged(
    name: str,
    pool: Pool,
    cells: Cells,
    validation: tuple[Mapping[str, np.ndarray], np.ndarray],
    test: tuple[Mapping[str, np.ndarray], np.ndarray],
    asked_by: Asked | None = None,
) -> Judged:
    """Score a pool.

    Args:
        name: for people.
        pool: which validation has chosen.
        cells: how examples are seen.
        validation: the members' outputs by name, and the right answers.
        test: likewise.
        asked_by: the study's metric; None: it is judged by what is usual.
    """
    on_validation, on_test = (pool.predict(cells, outputs) for outputs, _ in (validation, test))
    known, asked = (cells.answers(answers) for _, answers in (validation, test))
    if on_validation.log_p is None or on_test.log_p is None:
        squares = cells.by_example(np.square(on_test.predicted - asked))
        own, more = _by_metric(asked_by, on_validation, on_test, 1.0)
        return Judged(
            name=name,
            pool=pool,
            temperature=1.0,
            validation=_errors(on_validation, known),
            test=_errors(on_test, asked),
            raw={},
            per_example={**more, "mse": squares},
            own=own,
        )
    voted = pool.combine == "vote"
    temperature = 1.0 if voted else scoring.useful_temperature(on_validation.log_p, known, cells.per)
    after = scoring.heated(on_test.log_p, temperature)
    right = cells.by_example((on_test.predicted == asked).astype(np.float64))
    losses = cells.by_example(scoring.nll(after, asked))
    own, more = _by_metric(asked_by, on_validation, on_test, temperature)
    return Judged(
        name=name,
        pool=pool,
        temperature=temperature,
        validation=_scores(on_validation, known, temperature),
        test=_scores(on_test, asked, temperature),
        raw={
            "validation": _scores(on_validation, known, 1.0),
            "test": _scores(on_test, asked, 1.0),
        },
        per_example={**more, "accuracy": right, **({} if voted else {"nll": losses})},
        own=own,
    )


def _by_metric(
    asked: Asked | None, validation: Pooled, test: Pooled, temperature: float
) -> tuple[Own | None, dict[str, Array]]:
    if asked is None:
        return None, {}
    own, parts = asked.score(validation, test, temperature)
    return own, {asked.metric.column: parts}


def compared(first: Scored, others: Sequence[Scored], metric: Metric | None = None) -> tuple[Compared, ...]:
    """One pool against others, by every score that each two have; `metric` is the study's own."""
    pairs = [
        (other, score)
        for other in others
        for score in first.per_example
        if score in other.per_example
        and np.isfinite(first.per_example[score]).all()
        and np.isfinite(other.per_example[score]).all()
    ]
    return tuple(_compared(first, other, score, ALPHA / len(pairs), metric) for other, score in pairs)


def _compared(first: Scored, second: Scored, score: str, alpha: float, metric: Metric | None) -> Compared:
    a, b = first.per_example[score], second.per_example[score]
    # A share of right labels is a number between 0 and 1, and no right or wrong.
    binary = score == "accuracy" and bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    error = difference_error(a[None], b[None], matched=True, binary=binary)
    difference, half = float((a - b).mean()), width(error, alpha)
    outcome = "not separable"
    if abs(difference) > half:
        outcome = "better" if is_better(score, difference, metric) else "worse"
    return Compared(
        first=first.name,
        second=second.name,
        score=score,
        difference=difference,
        interval=around(difference, half, score, metric),
        outcome=outcome,
    )


def _scores(pooled: Pooled, answers: np.ndarray, temperature: float) -> dict[str, float]:
    assert pooled.log_p is not None
    found = scoring.scores_of(scoring.heated(pooled.log_p, temperature), pooled.predicted, answers)
    return {name: getattr(found, name) for name in ("nll", "brier", "ece", "accuracy")}


def _errors(pooled: Pooled, answers: np.ndarray) -> dict[str, float]:
    off = pooled.predicted - answers
    mse = float(np.square(off).mean())
    return {"mse": mse, "rmse": float(np.sqrt(mse)), "mae": float(np.abs(off).mean())}
