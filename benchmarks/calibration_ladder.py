"""calibration.py ladder: two arms on draws of pictures, their band, and where they cross.

A probit model: a test example is right where a latent normal is positive. Its parts are the arm's learning curve, the
draw of pictures (shared by the arms for the larger part), the seed, and the example's difficulty, part of it the arm's
own. Accuracies spread over draws as those of Big Transfer do: 6 points at n = 1 (45.8 to 66.1 %), 2.7 at n = 5.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from calibration_noise import NORMAL, rate
from numpy.typing import NDArray

from ravine.verdict import Outcome, Reading, crossover

Array = NDArray[np.float64]
Curve = Callable[[float], float]
HARD, TASTE = (
    2.0,
    1.0,
)  # spread of the examples' difficulty, common and of one arm, by the noise of one example
RUNGS = ((5, 10, 20, 50, 100), (5, 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What makes runs of one arm differ.

    Args:
        name: for the table.
        draw_sd: spread over draws at n = 1, in points of accuracy; it falls as n^-power.
        power: see there.
        shared: the share of that variance that both arms have in common.
        seed_sd: spread over seeds, in points.
        heavy: the arm's own luck follows a Student t with three degrees of freedom.
    """

    name: str
    draw_sd: float = 6.0
    power: float = 0.5
    shared: float = 0.7
    seed_sd: float = 0.7
    heavy: bool = False


LUCKS = (
    Luck(name="as Big Transfer"),
    Luck(name="flat", draw_sd=1.5, power=0.0),
    Luck(name="heavy tails", heavy=True),
    Luck(name="arms apart", shared=0.0),
)


def error_curve(a: float, b: float, c: float) -> Curve:
    """Accuracy with n pictures per class: 1 - (a + b n^-c)."""
    return lambda n: 1.0 - (a + b * n**-c)


FROZEN = error_curve(0.25, 0.35, 0.5)
CURVES = {  # what crosses with it, and how steeply
    "steep": error_curve(0.10, 0.90, 0.45),
    "early": error_curve(0.08, 0.75, 0.50),
    "late": error_curve(0.15, 0.95, 0.45),
    "shallow": error_curve(0.21, 0.55, 0.55),
}


def simulate(
    rng: np.random.Generator,
    luck: Luck,
    curves: Sequence[Curve],
    *,
    rungs: Sequence[int],
    draws: int,
    seeds: int,
    num_test: int,
) -> list[Reading]:
    """Two arms' readings, nested draws: the luck of a draw is a mean over its pictures."""
    n = np.asarray(rungs, dtype=np.float64)
    nested = np.linalg.cholesky(np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n)))
    common = rng.standard_normal((draws, len(n))) @ nested.T
    hard = HARD * rng.standard_normal(num_test)
    found = []
    for arm, curve in enumerate(curves):
        taste = TASTE * rng.standard_normal(num_test)
        own = rng.standard_normal((draws, len(n)))
        if luck.heavy:
            own = rng.standard_t(3, (draws, len(n))) / math.sqrt(3.0)
        effect = math.sqrt(luck.shared) * common + math.sqrt(1.0 - luck.shared) * own @ nested.T
        for i, per_class in enumerate(rungs):
            mean, points = _latent(curve(per_class), luck, per_class)
            sd = luck.draw_sd * per_class**-luck.power * points
            for draw, seed in itertools.product(range(draws), range(seeds)):
                skill = mean + sd * effect[draw, i] + luck.seed_sd * points * rng.standard_normal()
                right = skill + hard + taste + rng.standard_normal(num_test) > 0
                found.append(Reading(arm="ab"[arm], per_class=per_class, draw=draw, seed=seed, scores=right))
    return found


def _latent(accuracy: float, luck: Luck, n: int) -> tuple[float, float]:
    """Mean of the latent normal with this accuracy over all luck, and what a point of accuracy is in it."""
    z, width = NORMAL.inv_cdf(accuracy), math.sqrt(1.0 + HARD**2 + TASTE**2)
    point = 0.01 / NORMAL.pdf(z) * width
    return z * math.hypot(width, luck.draw_sd * n**-luck.power * point, luck.seed_sd * point), point


def crossing(first: Curve, second: Curve) -> float:
    """Where two learning curves cross between 1 and 10,000 pictures."""
    low, high = 1.0, 1e4
    for _ in range(60):
        middle = math.sqrt(low * high)
        if (first(middle) > second(middle)) == (first(1.0) > second(1.0)):
            low = middle
        else:
            high = middle
    return low


def run_ladder(reps: int) -> None:
    """A/A: how often anything is said of two equal arms; and how often the set has the crossover of unequal ones."""
    _equal(reps)
    print()
    _unequal(reps)


def _equal(reps: int) -> None:
    print("| luck | rungs | draws | seeds | n_test | any difference | a crossover |")
    print("|---|---|---|---|---|---|---|")
    total = [0, 0, 0]
    for luck, rungs, draws, (seeds, num_test) in itertools.product(
        LUCKS, RUNGS, (3, 5), ((1, 2000), (2, 360))
    ):
        rng = np.random.default_rng([1, len(rungs), draws, seeds, num_test, len(luck.name)])
        outcomes = [
            crossover(
                simulate(
                    rng, luck, (FROZEN, FROZEN), rungs=rungs, draws=draws, seeds=seeds, num_test=num_test
                ),
                *"ab",
            ).outcome
            for _ in range(reps)
        ]
        differ = sum(each is not Outcome.NONE for each in outcomes)
        cross = sum(each in (Outcome.CROSSOVER, Outcome.SEVERAL) for each in outcomes)
        total = [a + b for a, b in zip(total, (differ, cross, reps), strict=True)]
        line = f"| {luck.name} | {'-'.join(map(str, rungs))} | {draws} | {seeds} | {num_test}"
        print(f"{line} | {rate(differ, reps)} | {rate(cross, reps)} |", flush=True)
    print(f"| **all** | | | | | {rate(total[0], total[2])} | {rate(total[1], total[2])} |")


def _unequal(reps: int) -> None:
    print("| luck | curves | true n* | draws | the set has it | found | the set, medians | n*, quartiles |")
    print("|---|---|---|---|---|---|---|---|")
    total = [0, 0]
    for luck, (name, curve), draws in itertools.product(LUCKS, CURVES.items(), (3, 5)):
        rng = np.random.default_rng([2, draws, len(name), len(luck.name)])
        truth = crossing(FROZEN, curve)
        results = [
            crossover(
                simulate(rng, luck, (FROZEN, curve), rungs=RUNGS[0], draws=draws, seeds=1, num_test=2000),
                *"ab",
            )
            for _ in range(reps)
        ]
        has = sum(any(low <= truth <= high for low, high in each.confidence) for each in results)
        total = [total[0] + has, total[1] + reps]
        found = [each for each in results if each.outcome is Outcome.CROSSOVER]
        set_, at = "", ""
        if found:
            ends = np.median([(each.confidence[0][0], each.confidence[-1][1]) for each in found], axis=0)
            set_ = f"{ends[0]:.0f} to {ends[1]:.0f}"
            at = "{:.0f} to {:.0f}".format(*np.quantile([each.at or 0.0 for each in found], (0.25, 0.75)))
        line = (
            f"| {luck.name} | {name} | {truth:.1f} | {draws} | {rate(has, reps)} | {rate(len(found), reps)}"
        )
        print(f"{line} | {set_} | {at} |", flush=True)
    print(f"| **all** | | | | {rate(total[0], total[1])} | | | |")


LADDER = {"ladder": run_ladder}
