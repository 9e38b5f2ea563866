"""Validation scores of averages of different lengths, as the store has them: made out of a bank when runs were over.

They are stored as curves, over relative widths in millionths in the place of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ravine.grid import Grid
from ravine.outcomes.runs import final, plain
from ravine.store import kind_of

if TYPE_CHECKING:
    from ravine.outcomes.results import Results

How = Literal["again", "last"]
HOWS: tuple[How, ...] = ("again", "last")
"""BatchNorm's statistics: estimated again for the average, or those of the run's last weights."""
_PER_WIDTH = 1_000_000


def metric_of(how: How, quantity: str) -> str:
    """The name of the curve.

    Example:
        >>> metric_of("again", "validation_loss")
        'length again/validation_loss'
    """
    return kind_of(f"length {how}", quantity)


def places(widths: Sequence[float]) -> np.ndarray:
    """Widths as the curves have them, int64."""
    return np.array([round(width * _PER_WIDTH) for width in widths], dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A score of several seeds: the mean, the lowest and the highest."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """That of some values, at least one."""
        return Spread(mean=sum(values) / len(values), low=min(values), high=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Of one rule's chosen config, validation scores of averages against their length.

    Args:
        rule, lr: the config.
        quantity: "validation_accuracy" or "validation_loss".
        num_seeds: the runs behind these numbers.
        own: of the last weights.
        widths: relative widths of the averages, rising.
        scores: for each way to find BatchNorm's statistics, a spread per width; without BatchNorm only "again".
    """

    rule: str
    lr: float
    quantity: str
    num_seeds: int
    own: Spread
    widths: tuple[float, ...]
    scores: Mapping[How, tuple[Spread, ...]]

    def json(self) -> dict[str, Any]:
        """Plain data."""

        def of(spread: Spread) -> dict[str, Any]:
            return {name: plain(getattr(spread, name)) for name in Spread.__slots__}

        return {
            "rule": self.rule,
            "lr": plain(self.lr),
            "quantity": self.quantity,
            "seeds": self.num_seeds,
            "own": of(self.own),
            "widths": list(self.widths),
            "scores": {how: [of(each) for each in spreads] for how, spreads in self.scores.items()},
        }


def lengths(results: Results, quantity: str) -> tuple[Lengths, ...]:
    """Those of each rule whose chosen config has some.

    Args:
        results: of the study.
        quantity: "validation_accuracy" or "validation_loss".
    """
    found = []
    for rule in results.verdict.rules:
        seeds = [run for run in results.runs if run.config == rule.config and run.status == "done"]
        curves = {how: results.curves(metric_of(how, quantity), [run.id for run in seeds]) for how in HOWS}
        having = [run for run in seeds if run.id in curves["again"] and final(run, quantity) is not None]
        if not having or rule.lr is None:
            continue
        of_runs = [curves["again"][run.id] for run in having]
        common = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in of_runs)))
        scores = {}
        for how in HOWS:
            if all(run.id in curves[how] for run in having):
                by_place = [
                    dict(zip(*map(np.ndarray.tolist, curves[how][run.id]), strict=True)) for run in having
                ]
                if all(place in each for each in by_place for place in common):
                    scores[how] = tuple(Spread.of([each[place] for each in by_place]) for place in common)
        own = [value for run in having if (value := final(run, quantity)) is not None]
        found.append(
            Lengths(
                rule=rule.rule,
                lr=rule.lr,
                quantity=quantity,
                num_seeds=len(having),
                own=Spread.of(own),
                widths=tuple(place / _PER_WIDTH for place in common),
                scores=scores,
            )
        )
    return tuple(found)


def lengths_grid(found: Sequence[Lengths]) -> Grid:
    """The mean scores as a table, a row for each rule and width."""
    percent = any(each.quantity.endswith("accuracy") for each in found)

    def shown(value: float) -> str:
        return f"{100 * value:.2f} %" if percent else f"{value:.4g}"

    hows = [how for how in HOWS if any(how in each.scores for each in found)]
    two = len(hows) > 1
    titles = {"again": "BatchNorm again" if two else "average", "last": "the run's own"}
    rows = []
    for each in found:
        rows.append((each.rule, "last weights", shown(each.own.mean), *([""] if two else [])))
        for place, width in enumerate(each.widths):
            cells = (shown(each.scores[how][place].mean) if how in each.scores else "" for how in hows)
            rows.append((each.rule, f"{width:.3g}", *cells))
    quantity = "accuracy" if percent else "loss"
    return Grid(
        before=(f"Validation {quantity} of averages by their relative width, means over seeds.",),
        columns=("rule", "width", *(titles[how] for how in hows)),
        rows=tuple(rows),
        left=("rule",),
    )
