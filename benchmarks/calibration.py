"""Is the verdict honest? Two copies of one rule must come out "not separable"; a true gap must be found.

Everything goes through `ravine.verdict.judge`, from per-example validation scores to `separable`.

    python benchmarks/calibration.py aa                 # copies of one rule: false "separable"
    python benchmarks/calibration.py power              # a true gap of 2 points: how often it is found
    python benchmarks/calibration.py methods            # the same A/A with other ways to make an interval
    python benchmarks/calibration.py tuning             # A/A with and without the luck of tuning
    python benchmarks/calibration.py real runs.npz      # A/A and power on real runs, from a file

    python benchmarks/calibration.py df                 # how to add the errors of seeds and of examples
    python benchmarks/calibration.py levels             # equal levels of a factor: false "separable"
    python benchmarks/calibration.py regularize         # dropout that does nothing: how often it is kept
    python benchmarks/calibration.py ladder             # arms on draws of pictures: false crossovers, coverage
    python benchmarks/calibration.py few                # and rare, advice, found, own, limits: calibration_checks.py

`real` reads `validation` (rules, configs, seeds, n_validation) and `test` (rules, configs, seeds, n_test): 1
where the class is right. `lr` (rules, configs) and `diverged` (rules, configs, seeds) are optional. So runs
of any origin can be judged, ravine's own among them; calibration_runs.py trains some with scikit-learn.

Results, with the machine and the command, are in calibration.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from calibration_checks import CHECKS
from calibration_decisions import DECISIONS
from calibration_df import run_df
from calibration_ladder import LADDER
from calibration_noise import A_A, EQUALS, LR_COST, Array, Bits, from_arrays, rate, simulate, verdict

from ravine.verdict.comparison import difference_error, p_value
from ravine.verdict.student import Error, tail


def run_aa(reps: int, copies: tuple[int, ...]) -> None:
    """False "separable" among copies of one rule: any pair of them counts."""
    print("| noise | rules | seeds | n_test | any pair separable | best separable from second |")
    print("|---|---|---|---|---|---|")
    totals = {rules: [0, 0, 0] for rules in copies}
    cells = list(itertools.product((*A_A, *EQUALS), copies, (3, 5), (360, 2000)))
    cells += [(A_A[0], rules, seeds, 10_000) for rules in copies for seeds in (3, 5)]
    for noise, rules, seeds, num_test in cells:
        rng = np.random.default_rng([rules, seeds, num_test, len(noise.name)])
        verdicts = [
            verdict(simulate(rng, noise, rules=rules, seeds=seeds, num_test=num_test)) for _ in range(reps)
        ]
        any_pair = sum(any(p.separable for p in v.pairs) for v in verdicts)
        best = sum(v.separable for v in verdicts)
        print(
            f"| {noise.name} | {rules} | {seeds} | {num_test}"
            f" | {rate(any_pair, reps)} | {rate(best, reps)} |",
            flush=True,
        )
        totals[rules] = [a + b for a, b in zip(totals[rules], (any_pair, best, reps), strict=True)]
    for rules, (any_pair, best, n) in totals.items():
        print(f"| **all** | {rules} | | | {rate(any_pair, n)} | {rate(best, n)} |")


def run_power(reps: int) -> None:
    """A true gap of 2 points: how often it is found, and how often with the wrong sign."""
    print("| noise | rules | seeds | n_test | gap found | found the wrong way |")
    print("|---|---|---|---|---|---|")
    shapes = (*A_A, EQUALS[0])
    cells = [(n, 2, s, t) for n, s, t in itertools.product(shapes, (3, 5), (360, 2000))]
    cells += [(shapes[1], 2, 10, 360), *((noise, 6, 5, 2000) for noise in shapes), (shapes[1], 6, 10, 360)]
    for noise, rules, seeds, num_test in cells:
        rng = np.random.default_rng([7, rules, seeds, num_test, len(noise.name)])
        verdicts = [
            verdict(simulate(rng, noise, rules=rules, seeds=seeds, num_test=num_test, gap=0.02))
            for _ in range(reps)
        ]
        found = sum(v.separable and v.best == "copy 0" for v in verdicts)
        wrong = sum(v.separable and v.best != "copy 0" for v in verdicts)
        print(
            f"| {noise.name} | {rules} | {seeds} | {num_test} | {rate(found, reps)} | {rate(wrong, reps)} |",
            flush=True,
        )


def other_methods(first: Array, second: Array, rng: np.random.Generator) -> dict[str, float]:
    """p-values of ways that were not taken, and of the one that was."""
    difference = first - second
    seeds, num = difference.shape
    mean = float(difference.mean())
    per_seed, per_example = difference.mean(axis=1), difference.mean(axis=0)
    picks = rng.integers(0, seeds, (1000, seeds))
    by_seed = np.array([np.bincount(p, minlength=seeds) for p in picks]) / seeds
    by_example = rng.poisson(1.0, (1000, num)).astype(np.float32)
    boot = ((by_seed @ difference) * by_example).sum(axis=1) / by_example.sum(axis=1)
    seed_error = math.sqrt(float(per_seed.var(ddof=1)) / seeds)
    example_error = math.sqrt(float(per_example.var(ddof=1)) / num)

    def p(seed: float, df: float, example: float) -> float:
        return tail(Error(seed=seed, df=df, floor=0.0, example=example), mean)

    return {
        "ravine": p_value(difference_error(first, second, matched=True, binary=True), mean),
        "hierarchical bootstrap, percentile": 2 * min(float((boot <= 0).mean()), float((boot >= 0).mean())),
        "normal over seeds": p(seed_error, math.inf, 0.0),
        "paired Student t over seeds": p(seed_error, seeds - 1.0, 0.0),
        "normal over examples (seeds averaged)": p(0.0, 1.0, example_error),
    }


def run_methods(reps: int) -> None:
    """A/A and power of several intervals for one pair, at nominally 5 %."""
    shapes = [("A/A", replace(A_A[1], name="seed sd 0.5"), 0.0), ("equals", EQUALS[0], 0.0)]
    shapes += [("equals", EQUALS[1], 0.0), ("gap 2", A_A[1], 0.02)]
    print("| case | noise | seeds | n_test | method | separable |")
    print("|---|---|---|---|---|---|")
    for (case, noise, gap), seeds, num_test in itertools.product(shapes, (3, 5), (360, 2000)):
        rng = np.random.default_rng([9, seeds, num_test])
        hits: dict[str, int] = {}
        for _ in range(reps):
            study = simulate(rng, noise, rules=2, seeds=seeds, num_test=num_test, num_validation=1, gap=gap)
            rows = [np.stack([study.test(f"{r}/4/{s}") for s in range(seeds)]).astype(float) for r in (0, 1)]
            for method, p in other_methods(rows[0], rows[1], rng).items():
                hits[method] = hits.get(method, 0) + (p <= 0.05)
        for method, count in hits.items():
            print(
                f"| {case} | {noise.name} | {seeds} | {num_test} | {method} | {rate(count, reps)} |",
                flush=True,
            )


def run_tuning(reps: int) -> None:
    """A/A with near-tied lrs: the verdict, and the same comparison without the luck of tuning."""
    shapes = {
        "0.1 points apart": (0.3, 0.1, 0.02, 0.0015, 0.0, 0.001, 0.02, 0.1, 0.4),
        "0.2 points apart": LR_COST,
        "0.5 points apart": (0.3, 0.1, 0.02, 0.006, 0.0, 0.005, 0.02, 0.1, 0.4),
        "31 lrs, 0.1 points apart": tuple(0.001 * abs(i - 15) for i in range(31)),
    }
    print("| best lrs | seeds | n_validation | n_test | with | without |")
    print("|---|---|---|---|---|---|")
    sizes = [(5, 360, 2000), (5, 360, 10_000), (10, 360, 10_000), (5, 2000, 10_000)]
    for (name, cost), (seeds, num_validation, num_test) in itertools.product(shapes.items(), sizes):
        rng = np.random.default_rng([11, seeds, num_validation, num_test, len(name)])
        counts = [0, 0]
        for _ in range(reps):
            study = simulate(
                rng,
                A_A[0],
                rules=2,
                seeds=seeds,
                num_test=num_test,
                num_validation=num_validation,
                lr_cost=cost,
            )
            outcome = verdict(study)
            rows = [np.stack([study.test(run) for run in r.runs]).astype(float) for r in outcome.rules]
            error = difference_error(rows[0], rows[1], matched=True, binary=True)
            counts[0] += outcome.separable
            counts[1] += p_value(error, float(rows[0].mean() - rows[1].mean())) <= 0.05
        line = f"| {name} | {seeds} | {num_validation} | {num_test} | {rate(counts[0], reps)}"
        print(f"{line} | {rate(counts[1], reps)} |", flush=True)


def components(first: Array, second: Array) -> tuple[float, float, float, float]:
    """Gap, true seed sd of the difference, its total sd over seeds, and the example part of the error."""
    d = first - second
    seeds, num = d.shape
    rest = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    noise = float((rest**2).sum()) / ((seeds - 1) * (num - 1))
    over_seeds, over_examples = float(d.mean(axis=1).var(ddof=1)), float(d.mean(axis=0).var(ddof=1))
    true_seed = math.sqrt(max(over_seeds - noise / num, 0.0))
    return (
        float(d.mean()),
        true_seed,
        math.sqrt(over_seeds),
        math.sqrt(max(over_examples - noise / seeds, 0.0) / num),
    )


def run_real(path: Path, reps: int) -> None:
    """A/A on real runs, by splitting one rule's seeds; power, by pairs of real configurations."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    validation, test = arrays["validation"].astype(bool), arrays["test"].astype(bool)
    lr, diverged = arrays.get("lr"), arrays.get("diverged")
    rules, configs, num_seeds, num_test = test.shape
    print(f"{path.name}: {rules} rules, {configs} configs, {num_seeds} seeds, n_test {num_test}\n")
    print("| rule | copies | seeds | any pair separable |")
    print("|---|---|---|---|")
    rng = np.random.default_rng(5)
    for rule, copies, seeds in itertools.product(range(rules), (2, 6), (3, 5)):
        if copies * seeds > num_seeds:
            continue
        hits = 0
        for _ in range(reps):
            groups = rng.permutation(num_seeds)[: copies * seeds].reshape(copies, seeds)
            study = from_arrays(
                np.stack([validation[rule][:, g] for g in groups]),
                np.stack([test[rule][:, g] for g in groups]),
                lr=None if lr is None else np.stack([lr[rule]] * copies),
                diverged=None if diverged is None else np.stack([diverged[rule][:, g] for g in groups]),
            )
            hits += any(p.separable for p in verdict(study).pairs)
        print(f"| {rule} | {copies} | {seeds} | {rate(hits, reps)} |", flush=True)
    print("\n| pair (rule, lr) | gap | seed sd | total sd | example se | 3 seeds | 5 seeds |")
    print("|---|---|---|---|---|---|---|")
    for a, b in _gaps(validation, test):
        cells = []
        for seeds in (3, 5):
            found = 0
            for _ in range(reps):
                group = rng.permutation(num_seeds)[:seeds]
                rows = [test[r][c][group].astype(float) for r, c in (a, b)]
                error = difference_error(rows[0], rows[1], matched=True, binary=True)
                found += p_value(error, float(rows[0].mean() - rows[1].mean())) <= 0.05
            cells.append(rate(found, reps))
        gap, true_seed, total, example = components(
            test[a[0]][a[1]].astype(float), test[b[0]][b[1]].astype(float)
        )
        names = [f"{r}, {lr[r, c]:.2g}" if lr is not None else f"{r}, {c}" for r, c in (a, b)]
        numbers = " | ".join(f"{100 * v:.2f}" for v in (gap, true_seed, total, example))
        print(f"| {names[0]} - {names[1]} | {numbers} | {' | '.join(cells)} |", flush=True)


def _gaps(validation: Bits, test: Bits) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Each rule's best configuration against all that are 1.5 to 3 points worse over all seeds."""
    means = test.mean(axis=(2, 3))
    for rule, config in enumerate(validation.mean(axis=(2, 3)).argmax(axis=1)):
        for other, c in itertools.product(range(test.shape[0]), range(test.shape[1])):
            if 0.015 <= means[rule, config] - means[other, c] <= 0.03:
                yield (rule, int(config)), (other, c)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "mode", choices=["aa", "power", "methods", "tuning", "real", "df", *CHECKS, *DECISIONS, *LADDER]
    )
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--reps", type=int, default=200)
    parser.add_argument("--copies", type=int, nargs="+", default=[2, 6])
    args = parser.parse_args()
    if args.mode == "real" and args.file is None:
        parser.error("real needs a file")
    start = time.perf_counter()
    if args.mode == "aa":
        run_aa(args.reps, tuple(args.copies))
    elif args.mode == "power":
        run_power(args.reps)
    elif args.mode == "methods":
        run_methods(args.reps)
    elif args.mode == "df":
        run_df(args.reps)
    elif args.mode in CHECKS:
        CHECKS[args.mode](args.reps)
    elif args.mode in DECISIONS:
        DECISIONS[args.mode](args.reps)
    elif args.mode in LADDER:
        LADDER[args.mode](args.reps)
    elif args.mode == "tuning":
        run_tuning(args.reps)
    else:
        run_real(args.file, args.reps)
    print(f"\n{args.mode}: {time.perf_counter() - start:.0f} s, {args.reps} repetitions a line")


if __name__ == "__main__":
    main()
