"""Checks of the verdict by simulations of their own: few examples, rare errors, advice, own intervals, known limits.

    python benchmarks/calibration.py few        # equal rules: 1 to 20 test examples, 1 to 5 seeds, 2 to 8 rules
    python benchmarks/calibration.py rare       # accuracies of almost 100 %: does the interval cover the difference
    python benchmarks/calibration.py advice     # "about N seeds would tell": how often N seeds do
    python benchmarks/calibration.py found      # the true difference "found in four of five studies", and what is said
    python benchmarks/calibration.py own        # does the interval of the leader's own result cover it
    python benchmarks/calibration.py limits     # what breaks the verdict, and how badly

A study here is a table of scores drawn in NumPy from a known truth; only `ravine.verdict.judge` is ravine's.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from calibration_noise import NORMAL, Array, rate

from ravine.verdict import Trial, Verdict, judge
from ravine.verdict.measure import measure_of

Draw = Callable[[int, int, int], tuple[Array, Array]]


def judged(draw: Draw, rules: int, configs: int | list[int], seeds: int, task: str) -> Verdict:
    """The verdict on runs of which `draw(rule, config, seed)` gives validation and test scores."""
    trials, tests = [], {}
    counts = [configs] * rules if isinstance(configs, int) else configs
    for rule in range(rules):
        for config, seed in itertools.product(range(counts[rule]), range(seeds)):
            validation, test = draw(rule, config, seed)
            trials.append(
                Trial(
                    rule=f"r{rule}",
                    config=f"c{config}",
                    hypers={"lr": 10.0 ** (-config / 4)},
                    seed=seed,
                    run=f"{rule}/{config}/{seed}",
                    diverged=False,
                    validation=validation,
                )
            )
            tests[trials[-1].run] = test
    return judge(trials, tests.__getitem__, measure=measure_of(task))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Latent scores: skill + seed + example (for all rules) + taste (of a rule) + noise (of a run).

    Args:
        rng: of one study.
        n: test examples; `validation` of them for validation.
        seed: spread of a run's latent level.
        hard, taste, noise: spreads of the single examples.
        skill: of (rule, config).
        classes: right where the latent is positive; otherwise the loss is its square.
    """

    rng: np.random.Generator
    n: int
    seed: float
    skill: Callable[[int, int], float]
    validation: int = 50
    hard: float = 1.0
    taste: float = 0.0
    noise: float = 1.0
    classes: bool = True

    def draw(self, rules: int) -> Draw:
        sizes = (self.validation, self.n)
        common = [self.hard * self.rng.standard_normal(k) for k in sizes]
        own = [self.taste * self.rng.standard_normal((rules, k)) for k in sizes]

        def scores(rule: int, config: int, seed: int) -> tuple[Array, Array]:
            level = self.skill(rule, config) + self.seed * self.rng.standard_normal()
            latent = [
                level + common[part] + own[part][rule] + self.noise * self.rng.standard_normal(k)
                for part, k in enumerate(sizes)
            ]
            if self.classes:
                return (latent[0] > 0).astype(float), (latent[1] > 0).astype(float)
            return -(latent[0] ** 2), -(latent[1] ** 2)

        return scores


def skill_of(accuracy: float, *spreads: float) -> float:
    """The latent level at which so many examples are right, over all the spreads."""
    return NORMAL.inv_cdf(accuracy) * math.sqrt(sum(s * s for s in spreads))


def run_few(reps: int) -> None:
    """Equal rules: any pair separable, over 1, 2, 3 and 5 seeds, in worlds where examples, seeds or both decide."""
    print("| task | rules differ by | rules | n_test = 1 | 2 | 5 | 20 |\n|---|---|---|---|---|---|---|")
    total = hits = 0
    for task, (kind, taste, noise, spread), rules in itertools.product(
        ("classification", "regression"),
        (("examples", 2.0, 0.05, 0.0), ("seeds", 0.0, 0.3, 0.7), ("both", 1.0, 1.0, 0.3)),
        (2, 3, 5, 8),
    ):
        times, cells = max(reps * 2 // rules, 1), []
        for n in (1, 2, 5, 20):
            wrong = 0
            for seeds in (1, 2, 3, 5):
                rng = np.random.default_rng([n, seeds, rules, len(kind), len(task)])
                for _ in range(times):
                    world = World(
                        rng=rng,
                        n=n,
                        seed=spread,
                        skill=lambda r, c: 0.5,
                        taste=taste,
                        noise=noise,
                        classes=task == "classification",
                    )
                    verdict = judged(world.draw(rules), rules, 1, seeds, task)
                    wrong += any(p.separable for p in verdict.pairs)
            cells.append(rate(wrong, 4 * times))
            total, hits = total + 4 * times, hits + wrong
        print(f"| {task} | {kind} | {rules} | {' | '.join(cells)} |", flush=True)
    print(f"\nall lines: {rate(hits, total)} of {total} studies")


def run_rare(reps: int) -> None:
    """Almost all right: does the interval of the difference cover the true one, and is a false one found?"""
    print("| accuracies | examples | n_test | seeds | covered | separable |\n|---|---|---|---|---|---|")
    for (a, b), hard, n, seeds in itertools.product(
        ((0.9998, 0.9968), (0.9998, 0.9998), (0.998, 0.99)), (1.0, 20.0), (360, 1000), (3, 10)
    ):
        rng = np.random.default_rng([n, seeds, int(hard)])
        covered = found = 0
        for _ in range(reps):
            skills = [skill_of(x, hard, 1.0) for x in (a, b)]
            world = World(rng=rng, n=n, seed=0.0, skill=lambda r, c, s=skills: s[r], hard=hard)
            pair = judged(world.draw(2), 2, 1, seeds, "classification").pair("r0", "r1")
            assert pair is not None
            truth = (a - b) if pair.first == "r0" else (b - a)
            covered += pair.ci[0] <= truth <= pair.ci[1]
            found += pair.separable
        kind = "alike" if hard == 1.0 else "few are hard"
        print(
            f"| {100 * a:.2f}, {100 * b:.2f} % | {kind} | {n} | {seeds} | {rate(covered, reps)}"
            f" | {rate(found, reps)} |",
            flush=True,
        )


COSTS = (0.30, 0.08, 0.015, 0.003, 0.0, 0.002, 0.01, 0.05, 0.40)  # of nine lrs, in accuracy


def tuned(
    rng: np.random.Generator, *, gap: float, seed: float, n: int, validation: int, seeds: int, rules: int = 2
) -> Verdict:
    """Rules around 96 % of nine lrs each, the first `gap` ahead; `seed` is the spread of a run's accuracy."""
    level = math.sqrt(1.0 + 2.0**2)
    spread = seed / NORMAL.pdf(NORMAL.inv_cdf(0.96)) * level
    skills = {
        (r, c): NORMAL.inv_cdf(0.96 - cost + (-gap / 2 if r else gap / 2)) * level
        for r in range(rules)
        for c, cost in enumerate(COSTS)
    }
    world = World(
        rng=rng, n=n, seed=spread, skill=lambda r, c: skills[r, c], validation=validation, hard=2.0, noise=1.0
    )
    return judged(world.draw(rules), rules, len(COSTS), seeds, "classification")


ADVICE = (
    # gap, seed sd, n_test, n_validation
    (0.02, 0.01, 2000, 360),
    (0.01, 0.005, 2000, 360),
    (0.01, 0.005, 10_000, 2000),
    (0.02, 0.02, 2000, 2000),
)


def run_advice(reps: int) -> None:
    """Pilots of three seeds: the number that they advise (the median), and how often it then suffices."""
    print(
        "| gap | seed sd | n_test | n_validation | advised, quartiles | no number | found with the median |"
    )
    print("|---|---|---|---|---|---|---|")
    for gap, seed, n, validation in ADVICE:
        rng = np.random.default_rng([int(1e4 * gap), int(1e4 * seed), n])
        advised, none = [], 0
        for _ in range(reps):
            pair = tuned(rng, gap=gap, seed=seed, n=n, validation=validation, seeds=3).pairs[0]
            if not pair.separable:
                advised += [pair.seeds_needed or 10**6]
                none += pair.seeds_needed is None
        if not advised:
            continue
        low, middle, high = (int(q) for q in np.percentile(advised, (25, 50, 75), method="lower"))
        cell = "no median"
        if middle <= 60:
            found = sum(
                tuned(rng, gap=gap, seed=seed, n=n, validation=validation, seeds=middle).separable
                for _ in range(reps)
            )
            cell = f"{rate(found, reps)}"
        quartiles = ", ".join("none" if q == 10**6 else str(q) for q in (low, middle, high))
        print(
            f"| {100 * gap:g} | {100 * seed:g} | {n} | {validation} | {quartiles} | {none} of {len(advised)}"
            f" | {cell} |",
            flush=True,
        )


def run_found(reps: int) -> None:
    """Equal rules: what they are told; then a true difference as large as "four of five" says."""
    print(
        "| seed sd | n_test | seeds | too few seeds | seeds alone would not tell | both | detectable | found |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for seed, n, seeds in itertools.product((0.002, 0.01), (360, 2000), (3, 5)):
        rng = np.random.default_rng([int(1e4 * seed), n, seeds])
        few = alone = both = 0
        sizes = []
        for _ in range(reps):
            verdict = tuned(rng, gap=0.0, seed=seed, n=n, validation=360, seeds=seeds)
            texts = " ".join(verdict.sentences + verdict.warnings)
            a, b = "Too few seeds" in texts, "more seeds alone would not tell" in texts
            few, alone, both = few + a, alone + b, both + (a and b)
            sizes.append(verdict.pairs[0].detectable or math.nan)
        size = statistics.median(sizes)
        found = sum(
            tuned(rng, gap=size, seed=seed, n=n, validation=360, seeds=seeds).separable for _ in range(reps)
        )
        print(
            f"| {100 * seed:g} | {n} | {seeds} | {rate(few, reps)} | {rate(alone, reps)} | {both}"
            f" | {100 * size:.2f} points | {rate(found, reps)} |",
            flush=True,
        )


def run_own(reps: int) -> None:
    """The leader's own interval against its true mean; and that of a rule which nobody picked."""
    print("| setting | leader's interval covers | the first rule's covers |\n|---|---|---|")
    cases: dict[str, tuple[int, int, float, int, int]] = {
        "one rule, one config, 97 %, 3 seeds": (1, 1, 0.97, 3, 360),
        "two equal rules, 5 seeds": (2, 1, 0.97, 5, 3000),
        "three equal rules, 5 seeds": (3, 1, 0.97, 5, 3000),
        "eight equal rules, 5 seeds": (8, 1, 0.97, 5, 3000),
        "one rule, 9 equal configs, 3 seeds": (1, 9, 0.97, 3, 3000),
        "one rule, 30 equal configs, 3 seeds": (1, 30, 0.97, 3, 3000),
        "99.7 %, few are hard, 3 seeds": (1, 1, 0.997, 3, 360),
    }
    for name, (rules, configs, accuracy, seeds, n) in cases.items():
        hard = 20.0 if "hard" in name else 2.0
        level = math.sqrt(1.0 + hard**2)
        skill = NORMAL.inv_cdf(accuracy) * level
        spread = (0.0005 if "hard" in name else 0.007) / NORMAL.pdf(NORMAL.inv_cdf(accuracy)) * level
        truth = NORMAL.cdf(skill / math.sqrt(level**2 + spread**2))
        rng = np.random.default_rng([rules, configs, seeds])
        hits = [0, 0]
        for _ in range(reps):
            world = World(
                rng=rng,
                n=n,
                seed=spread,
                skill=lambda r, c, s=skill: s,
                validation=n,
                hard=hard,
                noise=1.0,
            )
            verdict = judged(world.draw(rules), rules, configs, seeds, "classification")
            for place, result in enumerate((verdict.rules[0], min(verdict.rules, key=lambda r: r.rule))):
                assert result.ci is not None
                hits[place] += result.ci[0] <= truth <= result.ci[1]
        print(f"| {name}, n {n} | {rate(hits[0], reps)} | {rate(hits[1], reps)} |", flush=True)
    for n, outliers in ((5, 0.0), (20, 0.0), (100, 0.0), (100, 0.01), (1000, 0.01)):
        rng = np.random.default_rng([n, int(100 * outliers)])
        covered = sum(_loss_covered(rng, n, outliers) for _ in range(reps))
        name = f"squared errors, n {n}, {100 * outliers:g} % with errors ten times as large"
        print(f"| {name} | {rate(covered, reps)} | |", flush=True)


def _loss_covered(rng: np.random.Generator, n: int, outliers: float) -> bool:
    """Whether the interval of a mean squared error has the true one in it; nine tenths are the same for all seeds."""
    base = rng.standard_normal(n) * np.where(rng.random(n) < outliers, 10.0, 1.0)

    def draw(rule: int, config: int, seed: int) -> tuple[Array, Array]:
        return -np.ones(9), -((math.sqrt(0.9) * base + math.sqrt(0.1) * rng.standard_normal(n)) ** 2)

    result = judged(draw, 1, 1, 3, "regression").rules[0]
    assert result.ci is not None
    return result.ci[0] <= -(0.9 * (1.0 + 99.0 * outliers) + 0.1) <= result.ci[1]


def run_limits(reps: int) -> None:
    """What no interval made of these runs can know: a false "separable", of rules that are equal on average."""
    print('| setting | false "separable" |\n|---|---|')

    def line(name: str, study: Callable[[np.random.Generator], Verdict]) -> None:
        rng = np.random.default_rng(len(name))
        print(f"| {name} | {rate(sum(study(rng).separable for _ in range(reps)), reps)} |", flush=True)

    def failing(rng: np.random.Generator, seeds: int) -> Verdict:
        """One run in ten of the first rule reaches 10 %, and the others what makes up for it."""
        skill = skill_of(0.9, 1.0, 1.0), skill_of((0.9 - 0.1 * 0.1) / 0.9, 1.0, 1.0), skill_of(0.1, 1.0, 1.0)
        hard = rng.standard_normal(2000)

        def draw(rule: int, config: int, seed: int) -> tuple[Array, Array]:
            level = skill[0] if rule else skill[2] if rng.random() < 0.1 else skill[1]
            right = (level + hard + rng.standard_normal(2000) > 0).astype(float)
            return right[:50], right

        return judged(draw, 2, 1, seeds, "classification")

    for seeds in (3, 5, 10):
        line(f"one run in ten of one rule fails, {seeds} seeds", lambda g, s=seeds: failing(g, s))

    def grouped(rng: np.random.Generator) -> Verdict:
        """A thousand test examples in groups of ten that are alike, as ten pictures of one person are."""
        taste = 2.0 * np.repeat(rng.standard_normal((2, 100)), 10, axis=1)
        hard = np.repeat(rng.standard_normal(100), 10)

        def draw(rule: int, config: int, seed: int) -> tuple[Array, Array]:
            right = (2.0 + hard + taste[rule] + 0.3 * rng.standard_normal(1000) > 0).astype(float)
            return right[:50], right

        return judged(draw, 2, 1, 5, "classification")

    line("examples in groups of ten", grouped)

    def searched(rng: np.random.Generator, configs: list[int]) -> Verdict:
        """Equal rules, each with random draws of an lr whose accuracy falls off around the best."""
        lr = [rng.uniform(-1.0, 1.0, k) for k in configs]
        skills = [[skill_of(0.95 - 0.1 * x * x, 1.0, 2.0) for x in xs] for xs in lr]
        world = World(
            rng=rng, n=5000, seed=0.02, skill=lambda r, c: skills[r][c], validation=1000, hard=2.0, noise=1.0
        )
        return judged(world.draw(2), 2, configs, 3, "classification")

    line("random search, four draws each", lambda g: searched(g, [4, 4]))
    line("one draw against thirty", lambda g: searched(g, [1, 30]))

    def until(rng: np.random.Generator) -> Verdict:
        """Two, three, ... twenty seeds, looking after each."""
        kept: dict[tuple[int, int, int], tuple[Array, Array]] = {}
        world = World(rng=rng, n=1000, seed=0.1, skill=lambda r, c: 2.0, taste=0.3)
        source = world.draw(2)

        def draw(rule: int, config: int, seed: int) -> tuple[Array, Array]:
            if (rule, config, seed) not in kept:
                kept[rule, config, seed] = source(rule, config, seed)
            return kept[rule, config, seed]

        for seeds in range(2, 21):
            verdict = judged(draw, 2, 1, seeds, "classification")
            if verdict.separable:
                break
        return verdict

    line("seeds added one by one up to 20 until it says separable", until)


CHECKS = {
    "few": run_few,
    "rare": run_rare,
    "advice": run_advice,
    "found": run_found,
    "own": run_own,
    "limits": run_limits,
}
