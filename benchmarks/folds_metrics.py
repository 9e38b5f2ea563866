"""F1 and ROC AUC over folds: how often equal procedures are told apart, and how often 2 points are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from folds_procedures import Draw, Gap, Learn, by_folds, cuts, drawn, means, rate, real, ridge, row

from ravine.metrics import METRICS, Metric
from ravine.verdict import OnFold, over_folds
from ravine.verdict.measure import measure_by
from ravine.verdict.outcome import Pair

NAMES = ("f1", "roc_auc", "accuracy")
POINTS = 0.02


def run_metrics(reps: int) -> None:
    """Both tables; the drawn data have five times as many studies."""
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
    print()
    row("data", "metric", "it is", "folds x repeats", "studies", "gap seen, points", "found", "the wrong way")
    print("|---" * 8 + "|")
    worse: list[tuple[str, Draw, Learn]] = [("breast cancer, all 569", real("breast_cancer"), ridge)]
    for name, draw, learn in worse:
        for metric in metrics:
            gap = gap_for(draw, learn, metric)
            for repeats in (1, 2):
                pairs = []
                for study in range(reps):
                    x, y = draw(np.random.default_rng([study, 5, repeats, 4]))
                    found = by_folds(x, y, study, (learn, learn), (0.0, gap), 5, repeats, metrics=[metric])
                    pairs.append(pair_of(found[metric.name], metric, y, study))
                signed = [each.difference * (1 if each.first == "a" else -1) for each in pairs]
                right = sum(pair.separable and sign > 0.0 for pair, sign in zip(pairs, signed, strict=True))
                wrong_way = sum(pair.separable for pair in pairs) - right
                row(
                    name,
                    metric.title,
                    f"{100 * reached(draw, learn, metric, 0.0):.1f} %",
                    f"5 x {repeats}",
                    reps,
                    f"{100 * np.mean(signed):.2f}",
                    rate(right, reps),
                    rate(wrong_way, reps),
                )


def pair_of(found: Sequence[OnFold], metric: Metric, y: np.ndarray, study: int) -> Pair:
    """The two procedures compared over folds, as `ravine.outcomes.folds` does."""
    heaviest = metric.formulas["classification"].heaviest
    most = max(heaviest(y[cut.test], 2) for _, cut in cuts(y, None, 5, 1, study))
    return over_folds(found, 0.25, measure_by(metric, most), 0.05)[1][0]


def gap_for(draw: Draw, learn: Learn, metric: Metric) -> float:
    """Which share of answers must be spoilt for two points of a metric, by the secant from one that costs about two."""
    whole = reached(draw, learn, metric, 0.0)
    gap: Gap = POINTS
    for _ in range(2):
        gap *= POINTS / max(whole - reached(draw, learn, metric, gap), 1e-3)
    return gap


def reached(draw: Draw, learn: Learn, metric: Metric, gap: float) -> float:
    """A procedure's mean over the folds of 20 studies."""
    found = []
    for study in range(20):
        x, y = draw(np.random.default_rng([study, 6]))
        found += by_folds(x, y, study, (learn,), (gap,), 5, 1, metrics=[metric])[metric.name]
    return float(np.mean([np.mean([each.mean() for each in fold.scores.values()]) for fold in found]))
