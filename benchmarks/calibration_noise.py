"""Simulated studies for calibration.py: what makes runs differ, trials made of it, and shares with their intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ravine.verdict import Trial, Verdict, judge
from ravine.verdict.measure import ACCURACY

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]
NORMAL = NormalDist()

# What the nine lrs of the grid cost against the best one, in accuracy: a flat top, steep flanks.
LR_COST = (0.30, 0.08, 0.015, 0.003, 0.0, 0.002, 0.01, 0.05, 0.40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What makes runs differ. A probit model: an example is right where a latent normal is positive.

    Args:
        name: for the table.
        seed_sd: spread over seeds of the true accuracy, in points.
        shared: correlation of two rules' runs of one seed (they share initial weights and batch order).
        hard: spread of the examples' difficulty, the same for all runs, in units of the noise of one
            example.
        taste: spread of the examples' difficulty that is a rule's own: it is better on some, worse on
            others.
        heavy: seeds follow a Student t with three degrees of freedom.
        uneven: the first rule's seed_sd is multiplied by this.
        accuracy: of the best configuration.
    """

    name: str
    seed_sd: float = 0.5
    shared: float = 0.15
    hard: float = 2.0
    taste: float = 0.0
    heavy: bool = False
    uneven: float = 1.0
    accuracy: float = 0.96


A_A = (
    Noise(name="seed sd 0.2", seed_sd=0.2),
    Noise(name="seed sd 0.5"),
    Noise(name="seed sd 1.0", seed_sd=1.0),
    Noise(name="heavy tails", seed_sd=0.7, heavy=True),
    Noise(name="hard examples", hard=6.0),
    Noise(name="seeds alike", seed_sd=0.7, shared=0.8),
)
EQUALS = (
    Noise(name="own taste", taste=1.0),
    Noise(name="uneven seeds x5", seed_sd=0.2, uneven=5.0),
    Noise(name="deterministic", seed_sd=0.0, hard=30.0, taste=6.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Trials and where their test scores are read."""

    trials: list[Trial]
    test: Callable[[str], NDArray[np.float32]]


def simulate(
    rng: np.random.Generator,
    noise: Noise,
    *,
    rules: int,
    seeds: int,
    num_test: int,
    num_validation: int = 360,
    gap: float = 0.0,
    lr_cost: tuple[float, ...] = LR_COST,
) -> Study:
    """A study of `rules` rules at nine lrs; all but the first are `gap` less accurate, at every lr."""
    width = math.sqrt(1.0 + noise.hard**2 + noise.taste**2)
    sizes = {"validation": num_validation, "test": num_test}
    hard = {part: noise.hard * rng.standard_normal(n, dtype=np.float32) for part, n in sizes.items()}
    taste = {
        part: noise.taste * rng.standard_normal((rules, n), dtype=np.float32) for part, n in sizes.items()
    }
    common = _seed_effects(rng, noise, (seeds,))
    streams = rng.spawn(rules * len(lr_cost) * seeds)
    skills: dict[str, tuple[int, float, np.random.Generator]] = {}
    trials = []

    def draw(run: str, part: str) -> NDArray[np.float32]:
        rule, skill, stream = skills[run]
        latent = skill + hard[part] + taste[part][rule]
        right = latent + stream.standard_normal(sizes[part], dtype=np.float32) > 0
        return np.asarray(right, dtype=np.float32)

    for rule, (config, cost) in itertools.product(range(rules), enumerate(lr_cost)):
        accuracy = noise.accuracy - cost - (gap if rule else 0.0)
        z = NORMAL.inv_cdf(accuracy)
        sd = noise.seed_sd * (noise.uneven if rule == 0 else 1.0) / 100.0 / NORMAL.pdf(z) * width
        own = _seed_effects(rng, noise, (seeds,))
        effect = sd * (math.sqrt(noise.shared) * common + math.sqrt(1.0 - noise.shared) * own)
        for seed in range(seeds):
            run = f"{rule}/{config}/{seed}"
            skills[run] = rule, z * width + float(effect[seed]), streams.pop()
            trials.append(
                Trial(
                    rule=f"copy {rule}",
                    config=str(config),
                    hypers={"lr": 10.0 ** (config / 2 - 4)},
                    seed=seed,
                    run=run,
                    diverged=False,
                    validation=draw(run, "validation"),
                )
            )
    return Study(trials=trials, test=lambda run: draw(run, "test"))


def _seed_effects(rng: np.random.Generator, noise: Noise, shape: tuple[int, ...]) -> Array:
    if noise.heavy:
        return np.asarray(rng.standard_t(3, size=shape) / math.sqrt(3.0))
    return rng.standard_normal(shape)


def from_arrays(
    validation: Bits, test: Bits, *, lr: Array | None = None, diverged: Bits | None = None
) -> Study:
    """A study of real runs: (rules, configs, seeds, n) correctness per example."""
    rules, configs, seeds, _ = validation.shape
    trials = []
    for rule, config, seed in itertools.product(range(rules), range(configs), range(seeds)):
        lost = diverged is not None and bool(diverged[rule, config, seed])
        trials.append(
            Trial(
                rule=f"copy {rule}",
                config=str(config),
                hypers={"lr": float(lr[rule, config]) if lr is not None else float(config + 1)},
                seed=seed,
                run=f"{rule}/{config}/{seed}",
                diverged=lost,
                validation=None if lost else validation[rule, config, seed].astype(np.float32),
            )
        )

    def read(run: str) -> NDArray[np.float32]:
        rule, config, seed = map(int, run.split("/"))
        return np.asarray(test[rule, config, seed], dtype=np.float32)

    return Study(trials=trials, test=read)


def verdict(study: Study) -> Verdict:
    return judge(study.trials, study.test, measure=ACCURACY)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    z = NORMAL.inv_cdf(0.975)
    center = (hits / n + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(hits / n * (1 - hits / n) / n + z * z / (4 * n * n))
    return max(center - reach, 0.0), min(center + reach, 1.0)


def rate(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{100 * hits / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
