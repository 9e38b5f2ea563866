"""Two methods' right and wrong answers for judges.py: simulated, with a true difference, and of real runs.

Shapes: S seed, N example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import ravine

Bits = NDArray[np.bool_]
ACCURACY = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What makes answers differ. An example is answered right where a standard normal is below a threshold.

    Args:
        name: for tables.
        hard: share of the normal's variance that is the example's difficulty, the same for both methods.
        taste: share that is a method's own view of the example, the same for all of its seeds.
        luck: spread over seeds of the true accuracy, in points, of the first and of the second method.
        together: correlation of that luck between the methods' runs of one seed.
    """

    name: str
    hard: float
    taste: float
    luck: tuple[float, float]
    together: float = 0.0


WORLDS = (
    World(name="examples hard for both", hard=0.7, taste=0.05, luck=(0.3, 0.3)),
    World(name="own taste", hard=0.4, taste=0.3, luck=(0.3, 0.3)),
    World(name="noisy runs", hard=0.3, taste=0.0, luck=(0.2, 0.2)),
    World(name="lucky seeds", hard=0.5, taste=0.1, luck=(1.0, 1.0)),
    World(name="luck shared by seed", hard=0.5, taste=0.1, luck=(1.0, 1.0), together=0.7),
    World(name="one depends on its seed", hard=0.5, taste=0.1, luck=(0.2, 1.5)),
)


def simulate(
    rng: np.random.Generator, world: World, seeds: int, examples: int, difference: float
) -> tuple[Bits, Bits]:
    """Answers (S, N) of both methods; the first is better by exactly `difference` over all seeds and examples."""
    hard = math.sqrt(world.hard) * rng.standard_normal(examples)
    common = rng.standard_normal(seeds)
    found = []
    for method, luck in enumerate(world.luck):
        accuracy = ACCURACY - method * difference
        # Points of accuracy near the threshold, as units of the normal.
        spread = 0.01 * luck / stats.norm.pdf(stats.norm.ppf(accuracy))
        threshold = stats.norm.ppf(accuracy) * math.sqrt(1.0 + spread**2)
        own = math.sqrt(world.taste) * rng.standard_normal(examples)
        alone = rng.standard_normal(seeds)
        drawn = math.sqrt(world.together) * common + math.sqrt(1.0 - world.together) * alone
        noise = math.sqrt(1.0 - world.hard - world.taste) * rng.standard_normal((seeds, examples))
        found.append(hard + own + noise + spread * drawn[:, None] < threshold)
    return found[0], found[1]


REAL = {
    "digits": {"model": {"kind": "mlp", "hidden": [16]}, "steps": 150, "batch_size": 32},
    "breast_cancer": {"model": {"kind": "mlp", "hidden": [8]}, "steps": 60, "batch_size": 32},
}
SEEDS = 60


def real(folder: Path) -> dict[str, dict[str, Bits]]:
    """Answers (S, N) of real runs on test, by data set and by rule with its learning rate; trained where not stored."""
    found: dict[str, dict[str, Bits]] = {}
    for data, keys in REAL.items():
        study = ravine.Study(
            name=f"judges-{data}",
            data={"kind": data, "test": 0.5, "validation": 0.1},
            seeds=SEEDS,
            rules=[
                {"kind": "momentum", "lr": [0.02, 0.05, 0.1]},
                {"kind": "adam", "lr": [0.002, 0.005, 0.02]},
            ],
            **keys,
        )
        results = ravine.run(study, store=folder, quiet=True)
        rows: dict[str, list[Bits]] = {}
        for run in sorted(results.runs, key=lambda each: each.seed):
            logits = results.source.tensors("predictions", run.id)["test"]
            right = logits.argmax(axis=1) == results.labels.test
            rows.setdefault(f"{run.rule} {run.hypers['lr']:g}", []).append(right)
        found[data] = {name: np.stack(each) for name, each in rows.items()}
    return found
