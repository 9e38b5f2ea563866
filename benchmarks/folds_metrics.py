"""F1 and ROC AUC over folds: how often equal procedures are told apart, and how often 2 points are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from folds_procedures import Draw, Learn, by_folds, cuts, drawn, means, rate, real, ridge, row

from ravine.metrics import METRICS, Metric
from ravine.verdict import OnFold, over_folds
from ravine.verdict.measure import measure_by
from ravine.verdict.outcome import Pair

NAMES = ("f1", "roc_auc", "accuracy")
POINTS = 0.02


def run_metrics(reps: int) -> None:
    """Equals; the drawn data have five times as many studies."""
    half, other = (means(0), means(1)), (means(0), means(0))
    equals: list[tuple[str, Draw, Sequence[Learn], int]] = [
        ("drawn, other features", drawn(200, every=4), half, 5 * reps),
        ("drawn, other seeds", drawn(200, every=4), other, 5 * reps),
        ("breast cancer, 285 of 569", real("breast_cancer", 285), (ridge, ridge), reps),
    ]
    metrics = [METRICS[name] for name in NAMES]
    row("equals", "folds x repeats", "studies", *(f"separable by {each.title}" for each in metrics))
    print("|---" * (3 + len(metrics)) + "|")
    for name, draw, learners, num in equals:
        for repeats in (1, 2):
            wrong = dict.fromkeys(NAMES, 0)
            for study in range(num):
                x, y = draw(np.random.default_rng([study, 5, repeats, 3]))
                found = by_folds(x, y, study, learners, (0.0, 0.0), 5, repeats, metrics=metrics)
                for metric in metrics:
                    wrong[metric.name] += pair_of(found[metric.name], metric, y, study).separable
            row(name, f"5 x {repeats}", f"{num:,}", *(rate(count, num) for count in wrong.values()))


def run_metrics_power(reps: int) -> None:
    """2 points of each metric."""
    row("data", "metric", "it is", "folds x repeats", "studies", "gap seen, points", "found", "the wrong way")
    print("|---" * 8 + "|")
    draw, metrics = real("breast_cancer"), [METRICS[name] for name in NAMES]
    whole, spoilt = (reached(draw, ridge, metrics, gap) for gap in (0.0, POINTS))
    for metric in metrics:
        # What is lost is in proportion to the share of answers that are spoilt.
        gap = POINTS * POINTS / (whole[metric.name] - spoilt[metric.name])
        for repeats in (1, 2):
            pairs = []
            for study in range(reps):
                x, y = draw(np.random.default_rng([study, 5, repeats, 4]))
                found = by_folds(x, y, study, (ridge, ridge), (0.0, gap), 5, repeats, metrics=[metric])
                pairs.append(pair_of(found[metric.name], metric, y, study))
            signed = [each.difference * (1 if each.first == "a" else -1) for each in pairs]
            right = sum(pair.separable and sign > 0.0 for pair, sign in zip(pairs, signed, strict=True))
            row(
                "breast cancer, all 569",
                metric.title,
                f"{100 * whole[metric.name]:.1f} %",
                f"5 x {repeats}",
                reps,
                f"{100 * np.mean(signed):.2f}",
                rate(right, reps),
                rate(sum(pair.separable for pair in pairs) - right, reps),
            )


def pair_of(found: Sequence[OnFold], metric: Metric, y: np.ndarray, study: int) -> Pair:
    """The two procedures compared over folds, as `ravine.outcomes.folds` does."""
    heaviest = metric.formulas["classification"].heaviest
    most = max(heaviest(y[cut.test], 2) for _, cut in cuts(y, None, 5, 1, study))
    return over_folds(found, 0.25, measure_by(metric, most), 0.05)[1][0]


def reached(draw: Draw, learn: Learn, metrics: Sequence[Metric], gap: float) -> dict[str, float]:
    """A procedure's means over the folds of 100 studies."""
    found: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for study in range(100):
        x, y = draw(np.random.default_rng([study, 6]))
        for name, folds in by_folds(x, y, study, (learn,), (gap,), 5, 1, metrics=metrics).items():
            found[name] += [float(scores.mean()) for fold in folds for scores in fold.scores.values()]
    return {name: float(np.mean(values)) for name, values in found.items()}
