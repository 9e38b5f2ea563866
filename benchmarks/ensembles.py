"""How fast greedy selection is, how often it claims too much, and whether the gain's bands cover what they say.

python benchmarks/ensembles.py speed              # beside the same algorithm in plain NumPy, same choice
python benchmarks/ensembles.py claims --studies 2000
python benchmarks/ensembles.py coverage --studies 2000
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from ravine.ensembles import gain, selection
from ravine.ensembles.judged import compared, judged
from ravine.ensembles.losses import class_losses, true_log_p
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import log_softmax
from ravine.outcomes.member import Member

sys.path.append(str(Path(__file__).parents[1] / "tests" / "ensembles"))
from plain_selection import plain_greedy


def drawn(num: int, examples: int, classes: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Logits of members that share what is hard, and differ in how good they are; float32, as stored."""
    rng = np.random.default_rng(0)
    answers = rng.integers(0, classes, examples)
    shared = (2.0 * rng.standard_normal((examples, classes)) + 4.0 * np.eye(classes)[answers]).astype(
        np.float32
    )
    return [
        1.5
        * (shared + rng.standard_normal((examples, classes), dtype=np.float32) * np.float32(1.0 + i / num))
        for i in range(num)
    ], answers


def speed(num: int, examples: int, classes: int, repeats: int) -> None:
    """Seconds of both, and whether they choose the same."""
    logits, answers = drawn(num, examples, classes)
    selection.greedy(class_losses([z[:500] for z in logits[:20]], answers[:500]))  # compiles
    ours: list[tuple[float, float]] = []
    for _ in range(repeats):
        start = time.perf_counter()
        losses = class_losses(logits, answers)
        middle = time.perf_counter()
        weights = selection.greedy(losses)
        ours.append((middle - start, time.perf_counter() - middle))
    print(f"ravine: {spread([sum(each) for each in ours])} s, of which")
    print(f"  probabilities of right classes {spread([each[0] for each in ours])} s")
    print(f"  selection {spread([each[1] for each in ours])} s")
    start = time.perf_counter()
    log_p = np.stack([true_log_p(z, answers) for z in logits])
    middle = time.perf_counter()
    plain = plain_greedy(log_p, selection._bags(np.arange(num), selection.BAGS), steps=selection.STEPS)
    plainly = time.perf_counter() - middle
    ratio = plainly / statistics.median(each[1] for each in ours)
    print(f"plain NumPy, selection alone, once: {plainly:.1f} s, {ratio:.0f} x; same weights: ", end="")
    print(bool(np.abs(plain - weights).max() < 1e-12), f"({np.count_nonzero(weights)} members)")


def claims(studies: int) -> None:
    """How often a greedy choice among equal configs is called better than all seeds of the winner.

    It has at most as many members as there are seeds: with more it would be better, and rightly called so.
    """
    print("| configs x seeds | validation | test | better | worse | better than any kind |")
    print("|---|---|---|---|---|---|")
    for configs, seeds, examples in ((4, 3, 120), (6, 5, 360), (12, 3, 360)):
        outcomes = [claimed(number, configs, seeds, examples) for number in range(studies)]
        cells = [
            f"{100 * np.mean([word in each[place] for each in outcomes]):.1f} %"
            for place, word in ((0, "better"), (0, "worse"), (1, "better"))
        ]
        print(f"| {configs} x {seeds} | {examples} | {examples} | {' | '.join(cells)} |", flush=True)


def claimed(number: int, configs: int, seeds: int, examples: int) -> tuple[set[str], set[str]]:
    """What is said in one study: against the winner's seeds, and against kinds with as many members."""
    rng = np.random.default_rng(number)
    answers = rng.integers(0, 3, 2 * examples)
    shared = rng.normal(size=(2 * examples, 3)) + 2.0 * np.eye(3)[answers]
    logits = [2.0 * (shared + 0.7 * rng.normal(size=shared.shape)) for _ in range(configs * seeds)]
    members = [
        Member(run=f"{i:016x}", rule="r", config=str(i // seeds), hypers={}, seed=i % seeds)
        for i in range(configs * seeds)
    ]
    validation, test = (
        ({each.name: z[part] for each, z in zip(members, logits, strict=True)}, answers[part])
        for part in (slice(examples), slice(examples, 2 * examples))
    )
    losses = class_losses(list(validation[0].values()), validation[1])
    greedy = Pool.of(members, selection.greedy(losses, seeds), "mean")
    best = int(np.argmin([losses.solo[seeds * i : seeds * i + seeds].mean() for i in range(configs)]))
    ranked = np.argsort(losses.solo)
    top = ranked[np.sort(np.unique(ranked // seeds, return_index=True)[1])][
        :seeds
    ]  # best runs of best configs
    pools = {
        "greedy": greedy,
        "seeds": Pool.of(members[seeds * best : seeds * best + seeds], [1.0] * seeds, "mean"),
        "configs": Pool.of([members[i] for i in top], [1.0] * len(top), "mean"),
        "best runs": Pool.of([members[i] for i in ranked[:seeds]], [1.0] * seeds, "mean"),
    }
    first, *others = (judged(name, pool, "classification", validation, test) for name, pool in pools.items())
    against = compared(first, others[:1]), compared(first, others)
    return {each.outcome for each in against[0]}, {each.outcome for each in against[1]}


def coverage(studies: int) -> None:
    """How often a band of the gain contains what infinitely many studies would find on the same examples."""
    print("| score | seeds | members | covered |")
    print("|---|---|---|---|")
    for seeds in (4, 8):
        for members in (1, seeds // 2, seeds - 1):
            hits = {"nll": 0, "brier": 0, "accuracy": 0}
            truth = expected(members)
            for number in range(studies):
                rng = np.random.default_rng(number)
                curve = gain.of_classes([noisy(rng) for _ in range(seeds)], ANSWERS)
                scores = next(each.scores for each in curve if each.members == members)
                for name, value in scores.items():
                    low, high = value.interval or (0.0, 0.0)
                    hits[name] += low <= truth[name] <= high
            for name, found in hits.items():
                print(f"| {name} | {seeds} | {members} | {100 * found / studies:.1f} % |", flush=True)


_RNG = np.random.default_rng(1)
ANSWERS = _RNG.integers(0, 3, 60)
SHARED = _RNG.normal(size=(60, 3)) + 2.0 * np.eye(3)[ANSWERS]


def noisy(rng: np.random.Generator) -> np.ndarray:
    """A member: some seeds are luckier than others."""
    return SHARED * (1.0 + 0.2 * rng.normal()) + 0.8 * rng.normal(size=SHARED.shape)


def expected(members: int, draws: int = 20_000) -> dict[str, float]:
    """The scores of pools of so many members, over many draws."""
    rng = np.random.default_rng(2)
    sums = np.zeros(3)
    for _ in range(draws):
        p = np.mean([np.exp(log_softmax(noisy(rng))) for _ in range(members)], axis=0)
        nll = -np.log(p[np.arange(60), ANSWERS]).mean()
        brier = np.square(p - np.eye(3)[ANSWERS]).sum(axis=1).mean()
        sums += nll, brier, (p.argmax(axis=1) == ANSWERS).mean()
    return dict(zip(("nll", "brier", "accuracy"), sums / draws, strict=True))


def spread(values: list[float]) -> str:
    """The median, with the smallest and the largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "claims", "coverage"))
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--studies", type=int, default=200)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; ", end="")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}")
    if args.what == "speed":
        speed(args.members, args.examples, args.classes, args.repeats)
    else:
        {"claims": claims, "coverage": coverage}[args.what](args.studies)


if __name__ == "__main__":
    main()
