"""Sharpness against the test gap: the numbers behind figure ``sharpness`` and its table.

The test data of every run were read when its sharpness was measured, because somebody asked for that after the study.
Nothing is chosen by them here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.landscapes.findings import Sharpness
from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe, final, lr_of, others

# What is drawn, and what it is called.
MEASURES: Mapping[str, str] = {
    "top": "Largest eigenvalue",
    "trace": "Trace",
    "rise": "Rise in a ball",
    "adaptive_rise": "Adaptive rise",
}
_FEWEST = 4  # points of which a rank correlation is given


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpPoint:
    """One run that was measured.

    Attributes:
        gaps: by ``loss`` and ``accuracy``: by how much the run does better on training data than on test data; the
            larger, the worse in both. Of a regression only ``loss``.
        chosen: its config is the one that the verdict chose for its rule.
        fitted: it has every training example right.
    """

    rule: str
    run: str
    lr: float
    seed: int
    hypers: str
    found: Sharpness
    gaps: Mapping[str, float]
    chosen: bool
    fitted: bool

    def measure(self, name: str) -> float:
        """One of `MEASURES`."""
        return self.found.top[0] if name == "top" else float(getattr(self.found, name))


def sharp_points(results: Results) -> tuple[SharpPoint, ...]:
    """Every run of a study whose sharpness was measured and that has training scores."""
    known = results.source.sharpness.read([run.id for run in results.runs])
    names = {rule: others([run for run in results.runs if run.rule == rule]) for rule in results.rules}
    points = []
    for run in results.runs:
        loss = final(run, "train_loss")
        if run.id not in known or loss is None:
            continue
        found = Sharpness.of(known[run.id][1])
        gaps = {"loss": found.test_loss - loss}
        accuracy = final(run, "train_accuracy")
        if accuracy is not None and found.test_accuracy is not None:
            gaps["accuracy"] = accuracy - found.test_accuracy
        points.append(
            SharpPoint(
                rule=run.rule,
                run=run.id,
                lr=lr_of(run),
                seed=run.seed,
                hypers=describe(run.hypers, names[run.rule]),
                found=found,
                gaps=gaps,
                chosen=run.config in results.chosen,
                fitted=accuracy is not None and accuracy > 1 - 1e-6,
            )
        )
    return tuple(points)


def correlations(points: Sequence[SharpPoint], measure: str, gap: str) -> dict[str, tuple[float, int]]:
    """Spearman's rank correlation of a measure with a gap, and over how many runs: of all (key ""), and by rule.

    Left out where there are fewer than four runs or no two different values.
    """
    found = {}
    for rule in ("", *dict.fromkeys(point.rule for point in points)):
        one = correlation([point for point in points if rule in ("", point.rule)], measure, gap)
        if one is not None:
            found[rule] = one
    return found


def correlation(points: Sequence[SharpPoint], measure: str, gap: str) -> tuple[float, int] | None:
    """Spearman's rank correlation of a measure with a gap, and over how many runs; None where that cannot be said."""
    pairs = [(point.measure(measure), point.gaps[gap]) for point in points if gap in point.gaps]
    finite = [pair for pair in pairs if all(map(math.isfinite, pair))]
    if len(finite) < _FEWEST:
        return None
    value = spearman(*np.array(finite).T)
    return (value, len(finite)) if math.isfinite(value) else None


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation: Pearson's of the ranks; equal values share the mean of theirs. NaN if all are equal.

    Example:
        >>> round(spearman(np.array([1.0, 2.0, 3.0, 3.0]), np.array([1.0, 3.0, 2.0, 4.0])), 4)
        0.6325
    """
    centred = [_ranks(values) - (len(values) + 1) / 2 for values in (x, y)]
    norm = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: np.ndarray = (last - (count - 1) / 2)[place]
    return ranks
