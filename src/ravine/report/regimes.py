"""Low, good, high, too high: what the lr does to a loss curve, from the runs of a study.

A rule's learning rates are sorted into the four of every lecture by criteria that are stated with the figure,
not by eye; where the grid has no such lr, that is said too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ravine.outcomes.results import Results
from ravine.outcomes.runs import by_config, lr_of, quality
from ravine.report.collect import Band, band

if TYPE_CHECKING:
    from ravine.store import RunRecord

NAMES = ("low", "good", "high", "too high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """A learning rate that is low, good, high or too high for its rule, and the loss with it.

    Attributes:
        lr: None where the grid has no such lr.
        why: by what it was picked, or why there is none.
    """

    name: str
    lr: float | None
    why: str
    training: Band | None
    validation: Band | None
    num_seeds: int
    num_diverged: int


def regimes(results: Results, rule: str) -> tuple[Regime, ...]:
    """Low, good, high and too high for one rule, with the other hypers of its chosen config.

    - good: the lr that the verdict chose on validation;
    - low: the lr nearest to a tenth of it, at most a third of it;
    - too high: the lowest lr above it where at least half of the seeds diverged; if there is none, the
      highest lr of the grid, provided that its validation score lost at least half of what training had
      gained over the untrained model at the good lr;
    - high: the highest lr between good and too high.
    """
    chosen = next((result for result in results.verdict.rules if result.rule == rule), None)
    if chosen is None or chosen.lr is None:
        return tuple(
            _absent(name, f"every run of this {results.noun} diverged or has not finished") for name in NAMES
        )
    same = {key: value for key, value in chosen.hypers.items() if key != "lr"}
    family = [
        run
        for run in results.runs
        if run.rule == rule and {key: value for key, value in run.hypers.items() if key != "lr"} == same
    ]
    grid = {lr_of(seeds[0]): seeds for seeds in by_config(family).values()}
    good = chosen.lr
    below = [lr for lr in grid if lr <= good / 3]
    above = sorted(lr for lr in grid if lr > good)
    broken = [lr for lr in above if sum(run.status == "diverged" for run in grid[lr]) * 2 >= len(grid[lr])]
    low = min(below, key=lambda lr: abs(math.log(lr * 10 / good)), default=None)
    why = "the lowest lr at which at least half of the seeds diverged"
    too_high = broken[0] if broken else None
    if not broken and above and _lost_half(results, grid, good, above[-1]):
        too_high, why = above[-1], "the highest lr of the grid; at least half of what was learned is lost"
    high = max((lr for lr in above if too_high is None or lr < too_high), default=None)

    picked = {lr for lr in (low, good, high, too_high) if lr is not None}
    seeds = [run.id for lr in sorted(picked) for run in grid[lr]]
    results.read_curves(("train_loss", "validation_loss"), seeds)
    picks = (
        ("low", low, "the lr nearest to a tenth of the good one", "no lr is at most a third of the good one"),
        ("good", good, "chosen on validation", ""),
        ("high", high, "the highest lr that still trains", "no lr lies between good and too high"),
        ("too high", too_high, why, "no lr breaks training"),
    )
    return tuple(
        _absent(name, f"not in the grid, {reason_not}")
        if lr is None
        else _regime(results, name, lr, reason, grid[lr])
        for name, lr, reason, reason_not in picks
    )


def _absent(name: str, why: str) -> Regime:
    return Regime(name=name, lr=None, why=why, training=None, validation=None, num_seeds=0, num_diverged=0)


def _regime(results: Results, name: str, lr: float, why: str, seeds: Sequence[RunRecord]) -> Regime:
    def curves(metric: str) -> Band | None:
        found = results.curves(metric, [run.id for run in seeds])
        return band(list(found.values()), [run.status == "diverged" for run in seeds if run.id in found])

    return Regime(
        name=name,
        lr=lr,
        why=why,
        training=curves("train_loss"),
        validation=curves("validation_loss"),
        num_seeds=len(seeds),
        num_diverged=sum(run.status == "diverged" for run in seeds),
    )


def _lost_half(results: Results, grid: Mapping[float, Sequence[RunRecord]], good: float, lr: float) -> bool:
    """Whether at this lr at least half of what the good lr gained in validation loss was lost."""
    here = quality(grid[lr], "validation_loss")[1]
    there = quality(grid[good], "validation_loss")[1]
    starts = results.curves("validation_loss", [run.id for run in grid[good]]).values()
    first = [-float(values[0]) for _, values in starts]
    if not first or not math.isfinite(there):
        return False
    start = sum(first) / len(first)
    return here <= (start + there) / 2
