"""Verdicts about F1, AUC and other metrics: false "separable" among equals, power, and coverage of a result's interval.

    python benchmarks/calibration_metrics.py aa          # two copies of one rule: false "separable"
    python benchmarks/calibration_metrics.py power       # a true gap: how often it is found, beside the accuracy's
    python benchmarks/calibration_metrics.py own         # how often a result's own interval covers the truth

A run gives each example of two classes a logit: its signal, what is hard for all runs about the example, what is hard
for its rule (`taste`), and noise of its own; seeds differ in how much they learned and in where they cut. Numbers and
commands are in calibration.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from calibration_noise import rate
from numpy.typing import NDArray

from ravine.metrics import Metric, metric_named, parts_of, values_of
from ravine.verdict import Trial, Verdict, judge
from ravine.verdict.measure import measure_by

Array = NDArray[np.float64]

COSTS = (0.6, 0.08, 0.0, 0.05, 0.4)  # of the five lrs, in signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What studies are drawn from.

    Args:
        name: for the table.
        positives: their share.
        signal: how far apart the classes are, in units of the noise of one example.
        taste: spread of what is hard for one rule alone.
        learned: spread over seeds of the signal.
        cut: spread over seeds of the threshold.
    """

    name: str
    positives: float = 0.2
    signal: float = 1.6
    hard: float = 1.0
    taste: float = 0.0
    learned: float = 0.1
    cut: float = 0.2


POPULATIONS = (
    Population(name="copies, 20 % positive"),
    Population(name="copies, 5 % positive", positives=0.05),
    Population(name="copies, half positive, seeds alike", positives=0.5, learned=0.02, cut=0.05),
    Population(name="equals of another taste", taste=0.7),
    Population(name="almost perfect", signal=4.0, positives=0.1),
)


def study_of(
    rng: np.random.Generator,
    population: Population,
    metric: Metric,
    *,
    seeds: int,
    num_test: int,
    num_validation: int = 360,
    gap: float = 0.0,
    configs: int = len(COSTS),
) -> Verdict:
    """The verdict on two rules, of which the first is better by a gap in signal."""
    task = "classification"
    answers = {}
    hard = {}
    for split, num in (("validation", num_validation), ("test", num_test)):
        drawn = rng.random(num) < population.positives
        drawn[:2] = False, True  # a part has both classes
        answers[split] = drawn.astype(np.int64)
        hard[split] = population.hard * rng.normal(size=num)
    outputs: dict[str, dict[str, Array]] = {"validation": {}, "test": {}}
    who = []
    for rule in ("first", "second"):
        taste = {split: population.taste * rng.normal(size=len(y)) for split, y in answers.items()}
        for config, seed in itertools.product(range(configs), range(seeds)):
            run = f"{rule}/{config}/{seed}"
            who.append((rule, config, seed, run))
            own = gap if rule == "first" else 0.0
            signal = population.signal + own - COSTS[config] + population.learned * rng.normal()
            cut = population.cut * rng.normal()
            for split, y in answers.items():
                sides = 2.0 * y - 1.0
                noise = rng.normal(size=len(y))
                margin = signal + hard[split] + taste[split] + noise
                z = sides * margin + cut + np.log(population.positives / (1.0 - population.positives)) / 2.0
                outputs[split][run] = np.stack([np.zeros_like(z), z], axis=1)
    sign = -1.0 if metric.lower else 1.0

    def scores(split: str, runs: Sequence[str]) -> list[Array]:
        return [
            sign * parts
            for parts in parts_of(metric, task, [outputs[split][run] for run in runs], answers[split])
        ]

    validation = scores("validation", [run for *_, run in who])
    trials = [
        Trial(
            rule=rule,
            config=f"{rule}/{config}",
            hypers={"lr": 10.0**-config},
            seed=seed,
            run=run,
            diverged=False,
            validation=own,
        )
        for (rule, config, seed, run), own in zip(who, validation, strict=True)
    ]
    heaviest = metric.formulas[task].heaviest
    return judge(
        trials,
        lambda run: scores("test", [run])[0],
        measure=measure_by(metric, heaviest(answers["test"], 2)),
        validated=measure_by(metric, heaviest(answers["validation"], 2)),
    )


def run_aa(reps: int, names: Sequence[str]) -> None:
    """False "separable" between two copies of one rule, or between equals."""
    print("| population | metric | seeds | n_test | separable |")
    print("|---|---|---|---|---|")
    totals: dict[str, int] = {}
    num = 0
    for population, seeds, num_test in itertools.product(POPULATIONS, (3, 5), (360, 2000)):
        num += reps
        for name in names:
            rng = np.random.default_rng([len(population.name), seeds, num_test, len(name)])
            found = sum(
                study_of(rng, population, metric_named(name), seeds=seeds, num_test=num_test).separable
                for _ in range(reps)
            )
            totals[name] = totals.get(name, 0) + found
            print(f"| {population.name} | {name} | {seeds} | {num_test} | {rate(found, reps)} |", flush=True)
    for name, found in totals.items():
        print(f"| **all** | {name} | | | {rate(found, num)} |")


NAMES = ("f1", "roc_auc", "f1_macro", "average_precision", "balanced_accuracy", "accuracy")


def run_power(reps: int, names: Sequence[str]) -> None:
    """A true gap in signal: how often the better rule is found."""
    print("| population | metric | seeds | n_test | true gap, points | found | the wrong way |")
    print("|---|---|---|---|---|---|---|")
    for population, seeds, num_test in itertools.product(POPULATIONS[:2], (3, 5), (360, 2000)):
        for name in names:
            rng = np.random.default_rng([3, len(population.name), seeds, num_test, len(name)])
            metric = metric_named(name)
            verdicts = [
                study_of(rng, population, metric, seeds=seeds, num_test=num_test, gap=GAP)
                for _ in range(reps)
            ]
            gap = truth(population, metric, GAP) - truth(population, metric, 0.0)
            found = sum(v.separable and v.best == "first" for v in verdicts)
            wrong = sum(v.separable and v.best != "first" for v in verdicts)
            line = f"| {population.name} | {name} | {seeds} | {num_test} | {100 * gap:.1f}"
            print(f"{line} | {rate(found, reps)} | {rate(wrong, reps)} |", flush=True)


GAP = 0.4  # in signal


def truth(population: Population, metric: Metric, gap: float, config: int = 2) -> float:
    """The mean of a metric over other seeds and as many examples as one likes, of one config."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(40):
        y = (rng.random(20_000) < population.positives).astype(np.int64)
        signal = population.signal + gap - COSTS[config] + population.learned * rng.normal()
        spread = np.sqrt(1.0 + population.hard**2 + population.taste**2)
        prior = np.log(population.positives / (1.0 - population.positives)) / 2.0
        z = (
            (2.0 * y - 1.0) * (signal + spread * rng.normal(size=len(y)))
            + population.cut * rng.normal()
            + prior
        )
        (value,) = values_of([metric], "classification", [np.stack([np.zeros_like(z), z], axis=1)], y)[
            metric.name
        ]
        found.append(float(value))
    return float(np.mean(found))


def run_own(reps: int, names: Sequence[str]) -> None:
    """How often the interval of a rule's own result covers its mean over other seeds and examples."""
    print("| population | metric | seeds | n_test | covered |")
    print("|---|---|---|---|---|")
    for population, seeds, num_test in itertools.product(POPULATIONS, (3, 5), (100, 360, 2000)):
        for name in names:
            rng = np.random.default_rng([5, len(population.name), seeds, num_test, len(name)])
            metric = metric_named(name)
            known = truth(population, metric, 0.0)
            hits = 0
            for _ in range(reps):
                verdict = study_of(rng, population, metric, seeds=seeds, num_test=num_test, configs=3)
                low, high = next(each.ci for each in verdict.rules if each.rule == "first") or (0.0, 0.0)
                hits += low <= known <= high
            print(f"| {population.name} | {name} | {seeds} | {num_test} | {rate(hits, reps)} |", flush=True)


def main() -> None:
    ways: dict[str, Callable[[int, Sequence[str]], None]] = {"aa": run_aa, "power": run_power, "own": run_own}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=ways)
    parser.add_argument("--reps", type=int, default=200)
    parser.add_argument("--metrics", nargs="+", default=NAMES)
    given = parser.parse_args()
    ways[given.what](given.reps, given.metrics)


if __name__ == "__main__":
    main()
