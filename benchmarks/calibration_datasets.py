"""How often a verdict over data sets is wrong, and what it finds; and how often intervals of few shares cover.

    python benchmarks/calibration_datasets.py two          # two methods
    python benchmarks/calibration_datasets.py six          # six, of which at most one is better
    python benchmarks/calibration_datasets.py intervals    # of one method's mean over few seeds

Methods have effects on each data set (normal with a standard deviation of one point, unless said otherwise) beside the
noise of three seeds; in lines with a gap the first of them is better by so much on all. What each data set's own
verdict knows of its seeds enters as its standard error.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations

import numpy as np

from ravine.verdict import Across, Measure, Pair, RuleResult, Verdict, judge_across
from ravine.verdict.own_interval import mean_interval

MEASURE = Measure(name="accuracy", percent=True, by_example=False)
SEEDS = 3


def effect(rng: np.random.Generator, kind: str) -> float:
    """What a method has for itself on a data set, in points."""
    if kind == "heavy tails":
        return float(np.clip(rng.standard_t(2), -10.0, 10.0))
    if kind == "skewed":
        return float(rng.exponential()) - 1.0
    return float(rng.choice([-1.0, 1.0])) if kind == "two values" else float(rng.normal())


def on_one(scores: dict[str, np.ndarray]) -> Verdict:
    """What a verdict over data sets reads of the verdict on one."""
    rules = [
        RuleResult(
            rule=name, config=name, hypers={}, lr=None, validation=None, test=float(own.mean()), ci=None,
            num_configs=1, num_runs=SEEDS, num_diverged=0, seeds=(), runs=(), rank=1, best_config=None,
            best_validation=None, outcome="",
        )
        for name, own in scores.items()
    ]  # fmt: skip
    pairs = [
        Pair(
            first=a, second=b, difference=float(x.mean() - y.mean()), ci=(0.0, 0.0), p=1.0, p_corrected=1.0,
            separable=False, num_seeds=SEEDS, seed_error=float(np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / SEEDS)),
            example_error=0.0, reach=0.0, detectable=None, seeds_needed=None, examples_suffice=True, outcome="",
        )
        for (a, x), (b, y) in combinations(scores.items(), 2)
    ]  # fmt: skip
    return Verdict(
        measure=MEASURE, alpha=0.05, rules=tuple(rules), pairs=tuple(pairs), best=None, separable=False,
        num_configs=1, num_validation=0, num_test=0, sentences=(), warnings=(), budget=(), leaders=(), noun="method",
    )  # fmt: skip


def study(
    rng: np.random.Generator, sets: int, methods: int, kind: str, spread: float, noise: float, gap: float
) -> Across:
    """A study of some methods on some data sets; `spread`, `noise` and `gap` in points."""
    verdicts = {}
    for k in range(sets):
        level = rng.uniform(60.0, 90.0)
        own = {
            f"m{m}": level + spread * effect(rng, kind) + gap * (m == 0) + rng.normal(0.0, noise, SEEDS)
            for m in range(methods)
        }
        verdicts[f"d{k}"] = on_one({name: np.clip(each / 100.0, 0.0, 1.0) for name, each in own.items()})
    return judge_across(verdicts, measure=MEASURE, alpha=0.05)


def datasets(studies: int, seed: int, sizes: tuple[tuple[int, int], ...]) -> None:
    """Equal methods, and one that is better; `sizes` are numbers of methods and of data sets."""
    print(
        "| methods | data sets | effects | noise of a seed | gap | any pair separable | best found | wrong |"
    )
    print("|---|---|---|---|---|---|---|---|")
    lines = [("normal", 0.0, 1.0), ("normal", 1.0, 0.5), ("normal", 1.0, 2.0)]
    lines += [(kind, 1.0, 0.5) for kind in ("heavy tails", "skewed", "two values")]
    cases = [(line, gap) for line in lines for gap in ((0.0, 1.0, 2.0) if line == lines[1] else (0.0,))]
    for methods, sets in sizes:
        for (kind, spread, noise), gap in cases:
            if methods > 2 and kind in ("skewed", "two values"):
                continue
            rng = np.random.default_rng([seed, methods, sets, int(10 * gap), len(kind), int(10 * noise)])
            found = [study(rng, sets, methods, kind, spread, noise, gap).verdict for _ in range(studies)]
            separable = np.mean([any(pair.separable for pair in each.pairs) for each in found])
            best = np.mean([each.separable and each.best == "m0" for each in found])
            wrong = np.mean([each.separable and each.best != "m0" for each in found])
            kinds = f"{kind}, sd {spread:g}"
            shares = " | ".join(f"{100 * each:.1f} %" for each in (separable, best, wrong))
            print(f"| {methods} | {sets} | {kinds} | {noise:g} | {gap:g} | {shares} |", flush=True)


def intervals(studies: int, seed: int) -> None:
    """Intervals of the mean of few shares: Wilson's, and the symmetric one cut at 0 and 1."""
    print("| seeds | shares | covered | covered by the symmetric interval |")
    print("|---|---|---|---|")
    for num in (2, 3, 5, 10):
        for a, b in ((19.0, 1.0), (95.0, 5.0), (8.0, 2.0)):
            rng = np.random.default_rng([seed, num, int(a)])
            true, hits = a / (a + b), np.zeros(2)
            for scores in rng.beta(a, b, (10 * studies, num, 1)):
                for place, share in enumerate((True, False)):
                    low, high = mean_interval(scores, 0.05, binary=False, by_example=False, share=share)
                    hits[place] += max(low, 0.0) <= true <= min(high, 1.0)
            shares = " | ".join(f"{each / studies * 10:.1f} %" for each in hits)
            print(f"| {num} | beta({a:g}, {b:g}) | {shares} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("two", "six", "intervals"))
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--sets", type=int, nargs="+", help="numbers of data sets; by default those of the page"
    )
    given = parser.parse_args()
    start = time.process_time()
    if given.what == "intervals":
        intervals(given.studies, given.seed)
    else:
        methods, usual = (2, (6, 10, 20)) if given.what == "two" else (6, (10, 20))
        datasets(given.studies, given.seed, tuple((methods, num) for num in given.sets or usual))
    print(f"\n{time.process_time() - start:.0f} s of one core")


if __name__ == "__main__":
    main()
