"""Folds: how often equal procedures are told apart, and what is found of 2 points beside a single split.

    python benchmarks/folds.py aa            # equals: false "separable"
    python benchmarks/folds.py many          # the hardest equals with ten repeats
    python benchmarks/folds.py groups        # equals on examples that belong together, dealt as groups and without
    python benchmarks/folds.py power         # 2 points: how often they are found, with folds and with one split
    python benchmarks/folds.py some          # the same, where they are lost on the same examples by every run

Real data, or data that are drawn anew for each study. What is trained is small and fast, so that there can be thousands
of studies: a ridge classifier on random features, whose penalty validation chooses, or class means. Folds, validation
splits, choice and verdict are ravine's own. Results are in folds.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ravine.data import load, parse_data
from ravine.data.deal import OPEN, TEST, deal
from ravine.data.deal_folds import FoldOf, folds_of
from ravine.verdict import ACCURACY, OnFold, Trial, judge, over_folds

Array = np.ndarray
PENALTIES, FEATURES, SEEDS = (1e-2, 1.0, 1e2), 80, 2
GAP = 0.02
NAMES = ("digits", "breast_cancer", "wine")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Rows of one split into training, validation and test."""

    train: Array
    validation: Array
    test: Array


def cuts(y: Array, groups: Array | None, folds: int, repeats: int, seed: int) -> Iterator[tuple[FoldOf, Cut]]:
    """All folds, with a validation split of each one's training part."""
    classes = tuple(map(str, range(int(y.max()) + 1)))
    for repeat in range(repeats):
        number = folds_of(y, classes, groups, folds=folds, repeat=repeat, split_seed=seed, name="t")
        for fold in range(folds):
            part = FoldOf(fold=fold, repeat=repeat)
            marks = np.where(number == fold, TEST, OPEN).astype(np.int8)
            found = deal(y, classes, marks, name="t", validation=0.2, test=0.0, seed=part.seed(seed))
            yield part, Cut(train=found.train, validation=found.validation, test=found.test)


def single(y: Array, seed: int) -> Cut:
    """60 % to learn from, 20 % to choose by, 20 % to test on."""
    classes = tuple(map(str, range(int(y.max()) + 1)))
    marks = np.zeros(len(y), dtype=np.int8)
    found = deal(y, classes, marks, name="t", validation=0.2, test=0.2, seed=seed)
    return Cut(train=found.train, validation=found.validation, test=found.test)


Gap = float | Array
"""What is spoilt of a procedure: so much of what each run gets right, or the same examples (N,) in every run."""


def ridge(x: Array, y: Array, cut: Cut, rng: np.random.Generator, gap: Gap) -> list[tuple[Array, Array]]:
    """What a classifier gets right of validation and test, for each penalty."""
    weights = rng.normal(size=(x.shape[1] + 1, FEATURES)) / math.sqrt(x.shape[1])
    wide = np.maximum(np.column_stack([x, np.ones(len(x))]) @ weights, 0.0)
    wide -= wide[cut.train].mean(axis=0)
    known, answers = wide[cut.train], np.eye(int(y.max()) + 1)[y[cut.train]]
    values, vectors = np.linalg.eigh(known.T @ known)
    moments = vectors.T @ (known.T @ (answers - answers.mean(axis=0)))
    found = []
    for penalty in PENALTIES:
        fit = vectors @ (moments / (values + penalty)[:, None])
        right = (wide @ fit + answers.mean(axis=0)).argmax(axis=1) == y
        if isinstance(gap, float):
            spoilt = rng.random(len(y)) < gap / max(right[cut.test].mean(), gap)
            right &= ~spoilt
        else:
            right &= ~gap
        found.append((right[cut.validation].astype(float), right[cut.test].astype(float)))
    return found


def means(half: int) -> Callable[..., list[tuple[Array, Array]]]:
    """A classifier by class means over a bootstrap, which sees one half of the features: two of them are equals."""

    def learn(
        x: Array, y: Array, cut: Cut, rng: np.random.Generator, gap: float
    ) -> list[tuple[Array, Array]]:
        own = rng.choice(cut.train, len(cut.train))
        some = x[:, half::2]
        far = [((some - some[own][y[own] == label].mean(axis=0)) ** 2).sum(axis=1) for label in (0, 1)]
        right = ((far[1] < far[0]) == y).astype(float)
        return [(right[cut.validation], right[cut.test])]

    return learn


def drawn(num: int) -> Callable[[np.random.Generator], tuple[Array, Array]]:
    """A data set of two classes, drawn anew: each half of the features says as much as the other."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        y = np.arange(num) % 2
        x = rng.normal(size=(num, 12))
        x[:, :2] += 0.9 * y[:, None]
        return x, y

    return draw


def real(name: str, num: int | None = None) -> Callable[[np.random.Generator], tuple[Array, Array]]:
    """A real data set, or so many examples of it, drawn anew without replacement."""
    data = load(parse_data({"kind": name, "normalize": "none"}))
    parts = (data.train, data.validation, data.test)
    x = np.concatenate([part.some(slice(None)).reshape(len(part), -1) for part in parts]).astype(np.float64)
    y = np.concatenate([part.y for part in parts])
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        rows = rng.permutation(len(y))[: num or len(y)]
        return x[rows], y[rows]

    return draw


def by_folds(
    x: Array,
    y: Array,
    study: int,
    learners: Any,
    gaps: Any,
    folds: int,
    repeats: int,
    groups: Array | None = None,
) -> list[OnFold]:
    """Two procedures on all folds, each tuned in each fold."""
    found = []
    for part, cut in cuts(y, groups, folds, repeats, study):
        for which, (learn, gap) in enumerate(zip(learners, gaps, strict=True)):
            runs = [
                learn(x, y, cut, np.random.default_rng([study, part.repeat, part.fold, seed, which]), gap)
                for seed in range(SEEDS)
            ]
            chosen = int(np.argmax(np.mean([[v.mean() for v, _ in run] for run in runs], axis=0)))
            found.append(
                OnFold(
                    rule="ab"[which],
                    repeat=part.repeat,
                    fold=part.fold,
                    scores={seed: run[chosen][1] for seed, run in enumerate(runs)},
                    validation=0.0,
                )
            )
    return found


def by_split(x: Array, y: Array, study: int, learners: Any, gaps: Any, seeds: int) -> Any:
    """The same procedures on one split, judged as a study of one split is."""
    cut, trials, tests = single(y, study), [], {}
    for which, (learn, gap) in enumerate(zip(learners, gaps, strict=True)):
        for seed in range(seeds):
            for config, (v, t) in enumerate(
                learn(x, y, cut, np.random.default_rng([study, seed, which]), gap)
            ):
                name, rule = f"{which} {config} {seed}", "ab"[which]
                tests[name] = t
                trials.append(
                    Trial(
                        rule=rule,
                        config=f"{rule}{config}",
                        hypers={"penalty": PENALTIES[config]},
                        seed=seed,
                        run=name,
                        diverged=False,
                        validation=v,
                    )
                )
    return judge(trials, tests.__getitem__, measure=ACCURACY)


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


def rate(count: int, of: int) -> str:
    """A share with the standard error of its counting."""
    share = count / of
    return f"{100 * share:.1f} % ± {100 * math.sqrt(max(share * (1 - share), 1 / of) / of):.1f}"


def row(*cells: object) -> None:
    """A line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def run_aa(reps: int) -> None:
    """Equals: how often the verdict and a naive t tell them apart."""
    cells: list[tuple[str, Any, Any, int]] = [
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
                found = by_folds(x, y, study, learners, (0.0, 0.0), folds, repeats)
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
        found = by_folds(x, y, study, (means(0), means(1)), (0.0, 0.0), 5, 10)
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
            found = by_folds(x, y, study, learners, none, 5, repeats, own)
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
        share = GAP / _accuracy(draw)

        def gap_of(rng: np.random.Generator, num: int, share: float = share) -> Gap:
            return rng.random(num) < share if same_examples else GAP

        for folds, repeats in ((5, 1), (5, 2), (10, 1), *(() if same_examples else ((5, 10),))):
            num = reps if repeats < 10 else max(1, reps // 2)
            hits = [0, 0]
            for study in range(num):
                rng = np.random.default_rng([study, folds, repeats, 7])
                x, y = draw(rng)
                found = by_folds(x, y, study, (ridge, ridge), (0.0, gap_of(rng, len(y))), folds, repeats)
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


def _accuracy(draw: Callable[[np.random.Generator], tuple[Array, Array]]) -> float:
    """Of the classifier on a data set, over ten splits."""
    found = []
    for study in range(10):
        x, y = draw(np.random.default_rng([study, 9]))
        runs = ridge(x, y, single(y, study), np.random.default_rng([study, 10]), 0.0)
        found.append(max(test.mean() for _, test in runs))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("aa", "many", "groups", "power", "some"))
    parser.add_argument("--reps", type=int, default=None, help="studies of a cell")
    given = parser.parse_args()
    began = time.perf_counter()
    if given.what == "aa":
        run_aa(given.reps or 2000)
    elif given.what == "many":
        run_many(given.reps or 300)
    elif given.what == "groups":
        run_groups(given.reps or 1000)
    else:
        run_power(given.reps or 200, same_examples=given.what == "some")
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
