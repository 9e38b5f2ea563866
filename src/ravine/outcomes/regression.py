"""Errors of a regression in the target's own unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ravine.metrics import as_weights, mean_over

MEAN = "mean of the targets"
"""What the predictor that looks at no input is called where there are several targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How far predictions are from a target.

    Attributes:
        rmse: root of the mean squared error, in the target's unit.
        mae: mean absolute error, in the target's unit.
        r2: share of the target's variance that is explained: 1 is perfect, 0 is what the mean of these examples would
            reach; NaN where all answers are the same.

    Example:
        >>> Errors.of(-np.square([0.0, 3.0, -3.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0]))
        Errors(rmse=2.1213203435596424, mae=1.5, r2=-2.6)
    """

    rmse: float
    mae: float
    r2: float

    @staticmethod
    def of(scores: np.ndarray, answers: np.ndarray, weights: np.ndarray | None = None) -> Errors:
        """From scores per example, minus the squared errors.

        Args:
            scores: (N,).
            answers: (N,) the right values.
            weights: (N,) of the examples; None: all count alike.
        """
        right = np.asarray(answers, dtype=np.float64)
        squares, counted = -np.asarray(scores, dtype=np.float64), as_weights(weights)
        spread = float(mean_over(np.square(right - mean_over(right, counted)), counted))
        mean = float(mean_over(squares, counted))
        return Errors(
            rmse=math.sqrt(mean),
            mae=float(mean_over(np.sqrt(squares), counted)),
            r2=1.0 - mean / spread if spread > 0 else math.nan,
        )

    @staticmethod
    def mean(seeds: Sequence[Errors]) -> Errors:
        """Over seeds: the root of the mean of squares, and the means of the others."""
        return Errors(
            rmse=math.sqrt(math.fsum(each.rmse**2 for each in seeds) / len(seeds)),
            mae=math.fsum(each.mae for each in seeds) / len(seeds),
            r2=math.fsum(each.r2 for each in seeds) / len(seeds),
        )
