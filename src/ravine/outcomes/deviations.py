"""How far some runs are from the target of a regression, over its range.

A residual is the right value less what is predicted: above 0, the prediction is too low.

Shapes: R run, N example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.grid import Grid
from ravine.outcomes.confusion import OVER
from ravine.outcomes.runs import plain
from ravine.outcomes.words import NOTHING
from ravine.verdict.own_interval import mean_interval

TENTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenth:
    """Errors where the target lies in a tenth of its values.

    Args:
        low, high: the smallest and the largest target in it.
        num: examples.
        mean: residual, over runs and examples.
        mae, rmse: errors, in the target's unit.
        ends: interval of the RMSE, over other runs and other examples.
    """

    low: float
    high: float
    num: int
    mean: float
    mae: float
    rmse: float
    ends: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviations:
    """Errors of some runs on the same examples.

    Args:
        answers: (N,) the right values.
        predicted: (N,) what the runs predict, their mean.
        num_runs: how many these are.
        tenths: by the target, from its smallest values to its largest.
        over: what the intervals are over.
    """

    answers: np.ndarray
    predicted: np.ndarray
    num_runs: int
    tenths: tuple[Tenth, ...]
    over: str = OVER

    @staticmethod
    def of(outputs: Sequence[np.ndarray], answers: np.ndarray, alpha: float = 0.05) -> Deviations:
        """Those of runs.

        Args:
            outputs: of each run the values (N,), in the target's own unit.
            answers: (N,) the right ones.
            alpha: intervals have level 1 - alpha.
        """
        right_N = np.asarray(answers, dtype=np.float64)
        predicted_RN = np.stack([np.asarray(each, dtype=np.float64).reshape(-1) for each in outputs])
        tenths = (_tenth(predicted_RN[:, rows], right_N[rows], alpha) for rows in _by_tenth(right_N))
        return Deviations(
            answers=right_N,
            predicted=predicted_RN.mean(axis=0),
            num_runs=len(predicted_RN),
            tenths=tuple(tenths),
        )

    @property
    def residuals(self) -> np.ndarray:
        """(N,) the right values less the mean of what is predicted."""
        found: np.ndarray = self.answers - self.predicted
        return found

    @property
    def summary(self) -> str:
        """How far they are off, as the end of a sentence."""
        return f"RMSE {self.rmse:.4g}"

    @property
    def rmse(self) -> float:
        """Over all examples and runs."""
        squares = math.fsum(each.num * each.rmse**2 for each in self.tenths)
        return math.sqrt(squares / len(self.answers))

    def grids(self) -> tuple[Grid, ...]:
        """For a terminal."""
        return (self.grid(),)

    def grid(self, name: str = "target") -> Grid:
        """The tenths.

        Args:
            name: of the target.
        """
        of = "the target" if name == "target" else name
        return Grid(
            before=(
                f"By tenths of {of}, with 95 % intervals of the RMSE over {self.over}; a residual is the "
                "right value less the predicted one:",
            ),
            columns=(name, "examples", "mean residual", "MAE", "RMSE", "from, to"),
            rows=tuple(tenth_cells(each) for each in self.tenths),
        )

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "runs": self.num_runs,
            "tenths": [
                {
                    "from": plain(each.low),
                    "to": plain(each.high),
                    "examples": each.num,
                    "mean_residual": plain(each.mean),
                    "mae": plain(each.mae),
                    "rmse": plain(each.rmse),
                    "interval": [plain(end) for end in each.ends],
                }
                for each in self.tenths
            ],
            "answers": [plain(value) for value in self.answers],
            "predicted": [plain(value) for value in self.predicted],
        }


def tenth_cells(each: Tenth) -> tuple[str, ...]:
    """A tenth as a row of a table."""
    numbers = (number_of(value) for value in (each.mean, each.mae, each.rmse))
    span = f"{number_of(each.low)} to {number_of(each.high)}"
    return (span, f"{each.num:,}", *numbers, f"{number_of(each.ends[0])} to {number_of(each.ends[1])}")


def _by_tenth(right_N: np.ndarray) -> list[np.ndarray]:
    """Examples by tenths of their right values; equal values are in the same."""
    edges = np.quantile(right_N, np.arange(1, TENTHS) / TENTHS)
    place_N = np.searchsorted(edges, right_N, side="left")
    groups = (np.flatnonzero(place_N == place) for place in range(TENTHS))
    return [rows for rows in groups if len(rows)]


def _tenth(predicted_RN: np.ndarray, right_N: np.ndarray, alpha: float) -> Tenth:
    residuals_RN = right_N - predicted_RN
    squares_RN = np.square(residuals_RN)
    low, high = mean_interval(-squares_RN, alpha, binary=False)
    return Tenth(
        low=float(right_N.min()),
        high=float(right_N.max()),
        num=len(right_N),
        mean=float(residuals_RN.mean()),
        mae=float(np.abs(residuals_RN).mean()),
        rmse=math.sqrt(float(squares_RN.mean())),
        ends=(math.sqrt(abs(min(high, 0.0))), math.sqrt(abs(min(low, 0.0)))),
    )


def number_of(value: float | None) -> str:
    """With four digits; a dash for what is no number."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.4g}".replace("-", "−")
