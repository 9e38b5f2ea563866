"""The numbers behind every figure, as plain data: collected here, drawn in ``figures``.

Everything over seeds is a median with the lowest and the highest seed, never a mean: one seed that went
astray moves a mean on a logarithmic axis by more than all others together. Runs that diverged have no final
value; they are counted, not left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ravine.outcomes.results import Results
from ravine.outcomes.runs import Curve, by_config, describe, final, lr_of, others, quality

if TYPE_CHECKING:
    from ravine.store import RunRecord

MAX_POINTS = 240  # of one curve: more than a figure has room for


@dataclass(frozen=True, slots=True, kw_only=True)
class LrPoint:
    """One rule at one lr: the best config there, over its seeds.

    Attributes:
        median: over the seeds that finished, like ``low`` and ``high``; None if all of them diverged.
        num_seeds: the seeds behind ``median``.
        num_runs: all runs of the rule at this lr, whatever their other hypers.
        num_diverged: how many of those diverged.
    """

    lr: float
    config: str
    hypers: str
    median: float | None
    low: float | None
    high: float | None
    num_seeds: int
    num_runs: int
    num_diverged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LrCurve:
    """One rule's sensitivity to lr.

    Attributes:
        others: the other hypers that vary; at every lr the best of them was taken.
        scattered: nearly every lr comes with other hypers of its own (a random search): a line would lie.
        chosen_lr: the lr of the verdict's config, None if it chose none.
    """

    rule: str
    points: tuple[LrPoint, ...]
    others: tuple[str, ...]
    scattered: bool
    chosen_lr: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Curves of several seeds as one: at each step the median of the seeds that got there, and the range."""

    steps: tuple[int, ...]
    median: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    num_seeds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyEnd:
    """Where a run stopped early: the last point of its curves, and the step whose weights it has."""

    seed: int
    step: int
    weights_of: int
    training: float
    validation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestCurves:
    """One rule's curves at the config that the verdict chose; ``ends`` are of the seeds that stopped early."""

    rule: str
    lr: float
    hypers: str
    training: Band
    validation: Band
    ends: tuple[EarlyEnd, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GapPoint:
    """One run: how it does on the data it learned from, and on data it never saw."""

    rule: str
    run: str
    lr: float
    seed: int
    hypers: str
    training: float
    validation: float
    gap: float
    chosen: bool


def lr_curves(results: Results, metric: str) -> tuple[LrCurve, ...]:
    """Final values of a metric against lr, a curve per rule.

    Which config represents an lr is decided by the validation score, whatever the metric shown, so that
    every panel shows the same runs.
    """
    chosen = {result.rule: result.lr for result in results.verdict.rules}
    curves = []
    for rule in results.rules:
        runs = [run for run in results.runs if run.rule == rule]
        names = others(runs)
        groups = by_config(runs)
        at: dict[float, list[list[RunRecord]]] = {}
        for seeds in groups.values():
            at.setdefault(lr_of(seeds[0]), []).append(seeds)
        points = tuple(_lr_point(lr, at[lr], metric, names, results.score_metric) for lr in sorted(at))
        curves.append(
            LrCurve(
                rule=rule,
                points=points,
                others=names,
                scattered=bool(names) and len(groups) < 1.5 * len(points),
                chosen_lr=chosen.get(rule),
            )
        )
    return tuple(curves)


def _lr_point(
    lr: float, configs: Sequence[Sequence[RunRecord]], metric: str, names: Sequence[str], score: str
) -> LrPoint:
    seeds = max(configs, key=lambda seeds: quality(seeds, score))
    values = [value for run in seeds if (value := final(run, metric)) is not None]
    every = [run for config in configs for run in config]
    return LrPoint(
        lr=lr,
        config=seeds[0].config,
        hypers=describe(seeds[0].hypers, names),
        median=float(_median(np.array([values]).T)[0]) if values else None,
        low=min(values, default=None),
        high=max(values, default=None),
        num_seeds=len(values),
        num_runs=len(every),
        num_diverged=sum(run.status == "diverged" for run in every),
    )


def band(curves: Sequence[Curve], diverged: Sequence[bool] = ()) -> Band | None:
    """Several seeds' losses or accuracies as one band; None if there is no finite value in any.

    Seeds are joined at the steps where they were evaluated.

    Args:
        curves: steps and values of each seed.
        diverged: which of them diverged. From its last value on such a seed's loss counts as infinite: the
            range ends where the first seed is lost, and the median where half of them are.
    """
    lost = list(diverged) or [False] * len(curves)
    found = []
    for (steps, values), gone in zip(curves, lost, strict=True):
        finite = np.isfinite(values)
        if finite.any():
            found.append((steps[finite], values[finite], gone))
    if not found:
        return None
    first = found[0][0]
    alike = all(np.array_equal(at, first) for at, _, _ in found)
    steps = first if alike else np.unique(np.concatenate([at for at, _, _ in found]))
    if len(steps) > MAX_POINTS:  # evenly, and the last step always
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, MAX_POINTS).round().astype(int))]
    table = np.full((len(found), len(steps)), np.nan)
    for row, (at, values, gone) in zip(table, found, strict=True):
        _, here, there = np.intersect1d(steps, at, assume_unique=True, return_indices=True)
        row[here] = values[there]
        if gone:
            row[steps > at[-1]] = np.inf
    seen = ~np.isnan(table).all(axis=0)
    table, steps = table[:, seen], steps[seen]
    median, high = _median(table), np.nanmax(table, axis=0)
    kept = np.isfinite(median)
    whole = np.isfinite(high)
    low = np.nanmin(table, axis=0)
    return Band(
        steps=tuple(steps[kept].tolist()),
        median=tuple(median[kept].tolist()),
        low=tuple(float(v) if ok else None for v, ok in zip(low[kept], whole[kept], strict=True)),
        high=tuple(float(v) if ok else None for v, ok in zip(high[kept], whole[kept], strict=True)),
        num_seeds=len(found),
    )


def _median(table: np.ndarray) -> np.ndarray:
    """Of each column, NaNs left out; NumPy's own would import its masked arrays for it."""
    rising = np.sort(table, axis=0)  # NaNs last
    num = len(table) - np.isnan(table).sum(axis=0)
    low, high = (np.take_along_axis(rising, at[None], axis=0)[0] for at in ((num - 1) // 2, num // 2))
    return np.asarray((low + high) / 2)


def best_curves(results: Results, quantity: str) -> tuple[BestCurves, ...]:
    """Training and validation curves of ``loss`` or ``accuracy`` at each rule's chosen config."""
    of_config: dict[str, list[str]] = {config: [] for config in results.chosen}
    for run in results.runs:
        if run.config in of_config and run.status == "done":
            of_config[run.config].append(run.id)
    quantities = ("loss",) if results.is_regression else ("loss", "accuracy")
    results.read_curves(
        [f"{part}_{each}" for each in quantities for part in ("train", "validation")],
        [run for runs in of_config.values() for run in runs],
    )
    found = []
    for result in results.verdict.rules:
        if result.config is None or result.lr is None:
            continue
        ids = of_config[result.config]
        curves = [results.curves(f"{part}_{quantity}", ids) for part in ("train", "validation")]
        training, validation = (band(list(each.values())) for each in curves)
        if training is None or validation is None:
            continue
        names = [name for name in result.hypers if name != "lr"]
        found.append(
            BestCurves(
                rule=result.rule,
                lr=result.lr,
                hypers=describe(result.hypers, names),
                training=training,
                validation=validation,
                ends=_early_ends(
                    [run for run in results.runs if run.id in curves[0] and run.stopped], *curves
                ),
            )
        )
    place = {rule: i for i, rule in enumerate(results.rules)}
    return tuple(sorted(found, key=lambda curve: place[curve.rule]))


def _early_ends(
    runs: Sequence[RunRecord], training: Mapping[str, Curve], validation: Mapping[str, Curve]
) -> tuple[EarlyEnd, ...]:
    """The ends of the curves of runs that stopped early."""
    return tuple(
        EarlyEnd(
            seed=run.seed,
            step=run.step,
            weights_of=run.weights_of,
            training=float(training[run.id][1][-1]),
            validation=float(validation[run.id][1][-1]),
        )
        for run in runs
        if run.id in validation
    )


def gaps(results: Results, quantity: str) -> tuple[GapPoint, ...]:
    """Every finished run's generalization gap: by how much it does better on what it learned from.

    Args:
        results: the study.
        quantity: ``accuracy`` (gap = training - validation) or ``loss`` (gap = validation - training), so
            that a larger gap is worse in both.
    """
    names = {rule: others([run for run in results.runs if run.rule == rule]) for rule in results.rules}
    points = []
    for run in results.runs:
        training, validation = final(run, f"train_{quantity}"), final(run, f"validation_{quantity}")
        if training is None or validation is None:
            continue
        points.append(
            GapPoint(
                rule=run.rule,
                run=run.id,
                lr=lr_of(run),
                seed=run.seed,
                hypers=describe(run.hypers, names[run.rule]),
                training=training,
                validation=validation,
                gap=training - validation if quantity == "accuracy" else validation - training,
                chosen=run.config in results.chosen,
            )
        )
    return tuple(points)
