"""calibration.py levels and regularize: equal levels of a factor, and dropout that does nothing.

Levels are those of a study of two rules and three learning rates each, which the label of a run turns into what is
compared (`ravine.outcomes.levels`). Dropout is decided by `ravine.verdict.overfitting`, after stage 1 has chosen the
best of several configs that are alike.
"""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
from calibration_noise import rate

from ravine.outcomes.levels import levelled
from ravine.store import RunRecord
from ravine.verdict import Trial, judge, overfitting
from ravine.verdict.measure import ACCURACY

NORMAL = NormalDist()
HARD = 2.0  # spread of the examples' difficulty, in units of the noise of one example
COST = (0.0, 0.01, 0.003)  # what each learning rate costs against the best, in accuracy
SEED_SD = (0.002, 0.005, 0.01)
DROPOUT = "model.dropout"


def _latent(accuracy: float, sd: float) -> tuple[float, float]:
    """Mean and spread over seeds of the latent normal that has this accuracy."""
    z, width = NORMAL.inv_cdf(accuracy), math.sqrt(1.0 + HARD**2)
    return z * width, sd / NORMAL.pdf(z) * width


def run_levels(reps: int) -> None:
    """Two or four equal levels: how often any two are called separable."""
    print("| seed sd | levels | seeds | n_test | any pair separable |")
    print("|---|---|---|---|---|")
    total = [0, 0]
    for sd, levels, seeds, num in itertools.product(SEED_SD, (2, 4), (3, 5), (360, 2000)):
        rng = np.random.default_rng([levels, seeds, num, int(1e4 * sd)])
        hits = sum(_levels(rng, sd, levels, seeds, num) for _ in range(reps))
        total = [total[0] + hits, total[1] + reps]
        print(f"| {100 * sd:g} | {levels} | {seeds} | {num} | {rate(hits, reps)} |", flush=True)
    print(f"| **all** | | | | {rate(total[0], total[1])} |")


def _levels(rng: np.random.Generator, sd: float, levels: int, seeds: int, num: int) -> bool:
    hard = HARD * rng.standard_normal(360 + num, dtype=np.float32)
    shared = rng.standard_normal(seeds)
    records: list[RunRecord] = []
    right: dict[str, np.ndarray] = {}
    for level, rule, (place, cost) in itertools.product(range(levels), ("a", "b"), enumerate(COST)):
        mean, spread = _latent(0.95 - cost, sd)
        skill = mean + spread * (math.sqrt(0.15) * shared + math.sqrt(0.85) * rng.standard_normal(seeds))
        for seed in range(seeds):
            run = f"{len(records):016x}"
            right[run] = skill[seed] + hard + rng.standard_normal(len(hard), dtype=np.float32) > 0
            records.append(
                RunRecord(
                    id=run,
                    config=f"{level}{rule}{place}",
                    rule=rule,
                    hypers={"lr": 0.1 * 2**place, DROPOUT: level / 10},
                    seed=seed,
                    recipe={"hypers": {}},
                    status="done",
                    step=1,
                    num_steps=1,
                    diverged_at=None,
                    seconds=0.0,
                    backend="native",
                    metrics={},
                )
            )
    trials = [
        Trial(
            rule=each.rule,
            config=each.config,
            hypers=each.hypers,
            seed=each.seed,
            run=each.id,
            diverged=False,
            validation=right[each.id][:360].astype(np.float32),
        )
        for each in levelled(records, "dropout", "")
    ]
    found = judge(trials, lambda run: right[run][360:].astype(np.float32), measure=ACCURACY)
    return any(pair.separable for pair in found.pairs)


def run_regularize(reps: int) -> None:
    """Rates that change nothing: how often one is kept. Rates that gain 2 points: how often one is kept."""
    print("| seed sd | rates | configs of stage 1 | seeds | n_validation | kept, no gain | kept, 2 points |")
    print("|---|---|---|---|---|---|---|")
    total = [0, 0]
    for sd, rates, configs, seeds, num in itertools.product(SEED_SD, (1, 3), (1, 9), (3, 5), (360, 2000)):
        rng = np.random.default_rng([rates, configs, seeds, num, int(1e4 * sd)])
        kept = [
            sum(_kept(rng, sd, rates, configs, seeds, num, gain) for _ in range(reps)) for gain in (0.0, 0.02)
        ]
        total = [total[0] + kept[0], total[1] + reps]
        cells = " | ".join(rate(each, reps) for each in kept)
        print(f"| {100 * sd:g} | {rates} | {configs} | {seeds} | {num} | {cells} |", flush=True)
    print(f"| **all** | | | | | {rate(total[0], total[1])} | |")


def _kept(
    rng: np.random.Generator, sd: float, rates: int, configs: int, seeds: int, num: int, gain: float
) -> bool:
    hard = HARD * rng.standard_normal(num, dtype=np.float32)
    shared = rng.standard_normal(seeds)
    trials: list[Trial] = []
    training: dict[str, float] = {}

    def train(config: str, accuracy: float, dropout: float, stage: int) -> float:
        mean, spread = _latent(accuracy, sd)
        skill = mean + spread * (math.sqrt(0.15) * shared + math.sqrt(0.85) * rng.standard_normal(seeds))
        scores = []
        for seed in range(seeds):
            right = skill[seed] + hard + rng.standard_normal(num, dtype=np.float32) > 0
            trials.append(
                Trial(
                    rule="a",
                    config=config,
                    hypers={"lr": 0.1, DROPOUT: dropout},
                    seed=seed,
                    run=f"{config}/{seed}",
                    diverged=False,
                    validation=right.astype(np.float32),
                    stage=stage,
                )
            )
            training[f"{config}/{seed}"] = 1.0
            scores.append(right.mean())
        return float(np.mean(scores))

    for i in range(configs):
        train(f"c{i}", 0.92, 0.0, 1)
    for i in range(rates):
        train(f"d{i}", 0.92 + gain, 0.1 * (i + 1), 2)
    (found,) = overfitting(trials, training, 0.01, DROPOUT)
    return found.rate > 0.0


DECISIONS = {"levels": run_levels, "regularize": run_regularize}
