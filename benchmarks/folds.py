"""Folds: how often equal procedures are told apart, and what is found of 2 points beside a single split.

    python benchmarks/folds.py aa            # equals: false "separable"
    python benchmarks/folds.py many          # the hardest equals with ten repeats
    python benchmarks/folds.py groups        # equals on examples that belong together, dealt as groups and without
    python benchmarks/folds.py power         # 2 points: how often they are found, with folds and with one split
    python benchmarks/folds.py some          # the same, where they are lost on the same examples by every run
    python benchmarks/folds.py metrics       # equals by F1 and ROC AUC
    python benchmarks/folds.py points        # 2 points of F1 and ROC AUC
    python benchmarks/folds.py networks      # equals and 2 points in studies whose networks ravine trains
    python benchmarks/folds.py cohort        # time and memory of all folds as one cohort, beside one for each fold

Real data, or data that are drawn anew for each study. What is trained is small and fast, so that there can be thousands
of studies: a ridge classifier on random features, whose penalty validation chooses, or class means; `networks` runs
ravine itself. Folds, validation splits, choice and verdict are ravine's own. Results are in folds.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence

import numpy as np
from folds_cohort import run_cohort
from folds_metrics import run_metrics, run_metrics_power
from folds_networks import run_networks
from folds_procedures import (
    SEEDS,
    Draw,
    Gap,
    Learn,
    accuracy_of,
    by_folds,
    by_split,
    drawn,
    means,
    rate,
    real,
    ridge,
    row,
)
from scipy import stats

from ravine.verdict import ACCURACY, OnFold, over_folds

GAP = 0.02
NAMES = ("digits", "breast_cancer", "wine")


def naive_p(found: list[OnFold]) -> float:
    """A paired t over folds as if they were independent."""
    score = {
        rule: np.array([np.mean(list(each.scores.values())) for each in found if each.rule == rule])
        for rule in "ab"
    }
    difference = score["a"] - score["b"]
    error = math.sqrt(float(difference.var(ddof=1)) / len(difference))
    return (
        float(2.0 * stats.t.sf(abs(difference.mean()) / error, len(difference) - 1)) if error > 0.0 else 1.0
    )


def run_aa(reps: int) -> None:
    """Equals: how often the verdict and a naive t tell them apart."""
    cells: list[tuple[str, Draw, Sequence[Learn], int]] = [
        ("drawn, other features", drawn(120), (means(0), means(1)), reps),
        ("drawn, other seeds", drawn(120), (means(0), means(0)), reps),
        ("digits, 400 of 1,797", real("digits", 400), (ridge, ridge), max(1, reps // 10)),
        ("breast cancer, 285 of 569", real("breast_cancer", 285), (ridge, ridge), max(1, reps // 10)),
        ("wine, all 178", real("wine"), (ridge, ridge), max(1, reps // 10)),
    ]
    print("| equals | folds x repeats | studies | separable | paired t, uncorrected |")
    print("|---|---|---|---|---|")
    for name, draw, learners, num in cells:
        for folds, repeats in ((5, 1), (5, 2), (10, 1)):
            wrong = [0, 0]
            for study in range(num):
                x, y = draw(np.random.default_rng([study, folds, repeats]))
                found = by_folds(x, y, study, learners, (0.0, 0.0), folds, repeats)["accuracy"]
                wrong[0] += over_folds(found, 1 / (folds - 1), ACCURACY, 0.05)[1][0].separable
                wrong[1] += naive_p(found) <= 0.05
            print(
                f"| {name} | {folds} x {repeats} | {num:,} | {rate(wrong[0], num)} | {rate(wrong[1], num)} |",
                flush=True,
            )


def run_many(reps: int) -> None:
    """The hardest equals, with many repeats."""
    print("| equals | folds x repeats | studies | separable |")
    print("|---|---|---|---|")
    wrong = 0
    for study in range(reps):
        x, y = drawn(120)(np.random.default_rng([study, 5, 10]))
        found = by_folds(x, y, study, (means(0), means(1)), (0.0, 0.0), 5, 10)["accuracy"]
        wrong += over_folds(found, 0.25, ACCURACY, 0.05)[1][0].separable
    row("drawn, other features", "5 x 10", reps, rate(wrong, reps))


def run_groups(reps: int) -> None:
    """Equals on 40 groups of 10 examples that look alike: folds of groups, folds of examples, and one split."""
    print("| groups of 10 | studies | separable |")
    print("|---|---|---|")
    wrong = dict.fromkeys(
        ("5 folds of groups", "5 folds of groups, 2 repeats", "5 folds of examples", "one split"), 0
    )
    for study in range(reps):
        rng = np.random.default_rng([study, 10])
        groups = np.repeat(np.arange(40), 10)
        y = groups % 2
        x = 0.5 * rng.normal(size=(400, 12)) + rng.normal(size=(40, 12))[groups]
        x[:, :2] += 0.9 * y[:, None]
        learners, none = (means(0), means(1)), (0.0, 0.0)
        for name, own, repeats in zip(wrong, (groups, groups, None), (1, 2, 1), strict=False):
            found = by_folds(x, y, study, learners, none, 5, repeats, groups=own)["accuracy"]
            wrong[name] += over_folds(found, 0.25, ACCURACY, 0.05)[1][0].separable
        wrong["one split"] += by_split(x, y, study, learners, none, 5).separable
    for name, count in wrong.items():
        row(name, f"{reps:,}", rate(count, reps))


def run_power(reps: int, *, same_examples: bool) -> None:
    """2 points: how often they are found with folds, and with one split of as many seeds, or as many runs."""
    print("| data | what is judged | runs a config | studies | 2 points found | found the wrong way |")
    print("|---|---|---|---|---|---|")
    for name in NAMES:
        draw = real(name)
        share = GAP / accuracy_of(draw)

        def gap_of(rng: np.random.Generator, num: int, share: float = share) -> Gap:
            return rng.random(num) < share if same_examples else GAP

        for folds, repeats in ((5, 1), (5, 2), (10, 1), *(() if same_examples else ((5, 10),))):
            num = reps if repeats < 10 else max(1, reps // 2)
            hits = [0, 0]
            for study in range(num):
                rng = np.random.default_rng([study, folds, repeats, 7])
                x, y = draw(rng)
                gaps = 0.0, gap_of(rng, len(y))
                found = by_folds(x, y, study, (ridge, ridge), gaps, folds, repeats)["accuracy"]
                pair = over_folds(found, 1 / (folds - 1), ACCURACY, 0.05)[1][0]
                hits[0 if pair.first == "a" else 1] += pair.separable and pair.difference > 0.0
            runs = folds * repeats * SEEDS
            row(name, f"{folds} folds x {repeats}", runs, num, rate(hits[0], num), rate(hits[1], num))
        for seeds in (SEEDS, 5, 5 * SEEDS):
            hits = [0, 0]
            for study in range(reps):
                rng = np.random.default_rng([study, seeds, 8])
                x, y = draw(rng)
                verdict = by_split(x, y, study, (ridge, ridge), (0.0, gap_of(rng, len(y))), seeds)
                hits[0 if verdict.best == "a" else 1] += verdict.separable
            row(name, "one split", seeds, reps, rate(hits[0], reps), rate(hits[1], reps))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        choices=("aa", "many", "groups", "power", "some", "metrics", "points", "networks", "cohort"),
    )
    parser.add_argument("--reps", type=int, default=None, help="studies of a cell")
    given = parser.parse_args()
    began = time.perf_counter()
    if given.what == "aa":
        run_aa(given.reps or 2000)
    elif given.what == "many":
        run_many(given.reps or 300)
    elif given.what == "groups":
        run_groups(given.reps or 1000)
    elif given.what == "metrics":
        run_metrics(given.reps or 200)
    elif given.what == "points":
        run_metrics_power(given.reps or 200)
    elif given.what == "networks":
        run_networks(given.reps or 60)
    elif given.what == "cohort":
        run_cohort(given.reps or 7)
    else:
        run_power(given.reps or 200, same_examples=given.what == "some")
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
