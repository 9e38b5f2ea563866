"""What benchmarks/folds.py judges: small procedures on real and drawn data, over folds and on one split.

What is trained is small and fast, so that there can be thousands of studies: a ridge classifier on random features,
whose penalty validation chooses, or class means. Folds, validation splits, metrics and verdict are ravine's own.

Shapes: N example, K class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.data import load, parse_data
from ravine.data.deal import OPEN, TEST, deal
from ravine.data.deal_folds import FoldOf, folds_of
from ravine.metrics import METRICS, Metric, parts_of
from ravine.verdict import ACCURACY, OnFold, Trial, Verdict, judge

Array = np.ndarray
PENALTIES, FEATURES, SEEDS = (1e-2, 1.0, 1e2), 80, 2
Draw = Callable[[np.random.Generator], tuple[Array, Array]]
"""A data set: features (N, D) and classes (N,)."""
Gap = float | Array
"""What is spoilt of a procedure: this much of what each run gets right, or the same examples (N,) in every run."""
BY_ACCURACY = (METRICS["accuracy"],)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Rows of one split into training, validation and test."""

    train: Array
    validation: Array
    test: Array


Learn = Callable[[Array, Array, Cut, np.random.Generator], list[Array]]
"""Outputs (N, K) on all examples, for each config."""


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


def ridge(x: Array, y: Array, cut: Cut, rng: np.random.Generator) -> list[Array]:
    """A ridge classifier on random features, with each penalty."""
    weights = rng.normal(size=(x.shape[1] + 1, FEATURES)) / math.sqrt(x.shape[1])
    wide = np.maximum(np.column_stack([x, np.ones(len(x))]) @ weights, 0.0)
    wide -= wide[cut.train].mean(axis=0)
    known, answers = wide[cut.train], np.eye(int(y.max()) + 1)[y[cut.train]]
    values, vectors = np.linalg.eigh(known.T @ known)
    moments = vectors.T @ (known.T @ (answers - answers.mean(axis=0)))
    return [
        wide @ (vectors @ (moments / (values + penalty)[:, None])) + answers.mean(axis=0)
        for penalty in PENALTIES
    ]


def means(half: int) -> Learn:
    """A classifier by class means over a bootstrap, which sees one half of the features: two of them are equals."""

    def learn(x: Array, y: Array, cut: Cut, rng: np.random.Generator) -> list[Array]:
        own = rng.choice(cut.train, len(cut.train))
        some = x[:, half::2]
        far = [((some - some[own][y[own] == label].mean(axis=0)) ** 2).sum(axis=1) for label in (0, 1)]
        return [-np.stack(far, axis=1)]

    return learn


def spoil(outputs: Array, y: Array, test: Array, rng: np.random.Generator, gap: Gap) -> Array:
    """Outputs of which some right answers become wrong."""
    right = outputs.argmax(axis=1) == y
    if isinstance(gap, float):
        lost = right & (rng.random(len(y)) < gap / max(right[test].mean(), gap))
    else:
        lost = right & gap
    return exchanged(outputs, lost)


def exchanged(outputs: Array, lost: Array) -> Array:
    """Outputs whose highest one changes places with the second, on the examples (N,) that are to be lost."""
    found, rows = outputs.copy(), np.flatnonzero(lost)
    second, first = np.argsort(outputs[rows], axis=1)[:, -2:].T
    found[rows, first], found[rows, second] = outputs[rows, second], outputs[rows, first]
    return found


def drawn(num: int, every: int = 2) -> Draw:
    """A data set of two classes, drawn anew: each half of the features says as much as the other.

    Args:
        num: examples.
        every: one in so many is positive.
    """

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        y = (np.arange(num) % every == 1).astype(np.int64)
        x = rng.normal(size=(num, 12))
        x[:, :2] += 0.9 * y[:, None]
        return x, y

    return draw


def real(name: str, num: int | None = None) -> Draw:
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
    learners: Sequence[Learn],
    gaps: Sequence[Gap],
    folds: int,
    repeats: int,
    *,
    groups: Array | None = None,
    metrics: Sequence[Metric] = BY_ACCURACY,
) -> dict[str, list[OnFold]]:
    """Two procedures on all folds, each tuned in each fold by a metric; for each of several metrics."""
    found: dict[str, list[OnFold]] = {metric.name: [] for metric in metrics}
    for part, cut in cuts(y, groups, folds, repeats, study):
        for which, (learn, gap) in enumerate(zip(learners, gaps, strict=True)):
            runs = []
            for seed in range(SEEDS):
                rng = np.random.default_rng([study, part.repeat, part.fold, seed, which])
                runs.append([spoil(each, y, cut.test, rng, gap) for each in learn(x, y, cut, rng)])
            for metric in metrics:
                reached = [_scores(metric, config, y, cut.validation) for config in zip(*runs, strict=True)]
                chosen = int(np.argmax([np.mean([each.mean() for each in config]) for config in reached]))
                tested = _scores(metric, [run[chosen] for run in runs], y, cut.test)
                found[metric.name].append(
                    OnFold(
                        rule="ab"[which],
                        repeat=part.repeat,
                        fold=part.fold,
                        scores=dict(enumerate(tested)),
                        validation=0.0,
                    )
                )
    return found


def _scores(metric: Metric, outputs: Sequence[Array], y: Array, rows: Array) -> list[Array]:
    return parts_of(metric, "classification", [each[rows] for each in outputs], y[rows])


def by_split(
    x: Array, y: Array, study: int, learners: Sequence[Learn], gaps: Sequence[Gap], seeds: int
) -> Verdict:
    """The same procedures on one split, judged as a study of one split is."""
    cut, trials, tests = single(y, study), [], {}
    for which, (learn, gap) in enumerate(zip(learners, gaps, strict=True)):
        for seed in range(seeds):
            rng = np.random.default_rng([study, seed, which])
            for config, outputs in enumerate(learn(x, y, cut, rng)):
                right = (spoil(outputs, y, cut.test, rng, gap).argmax(axis=1) == y).astype(float)
                name, rule = f"{which} {config} {seed}", "ab"[which]
                tests[name] = right[cut.test]
                trials.append(
                    Trial(
                        rule=rule,
                        config=f"{rule}{config}",
                        hypers={"penalty": PENALTIES[config]},
                        seed=seed,
                        run=name,
                        diverged=False,
                        validation=right[cut.validation],
                    )
                )
    return judge(trials, tests.__getitem__, measure=ACCURACY)


def accuracy_of(draw: Draw) -> float:
    """Of the ridge classifier on a data set, over ten splits."""
    found = []
    for study in range(10):
        x, y = draw(np.random.default_rng([study, 9]))
        cut = single(y, study)
        outputs = ridge(x, y, cut, np.random.default_rng([study, 10]))
        found.append(max(float((each.argmax(axis=1) == y)[cut.test].mean()) for each in outputs))
    return float(np.mean(found))


def rate(count: int, of: int) -> str:
    """A share with the standard error of its counting."""
    share = count / of
    return f"{100 * share:.1f} % ± {100 * math.sqrt(max(share * (1 - share), 1 / of) / of):.1f}"


def row(*cells: object) -> None:
    """A line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
