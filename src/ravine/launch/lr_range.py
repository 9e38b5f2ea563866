"""The learning-rate range test: how a rule's training loss answers to a learning rate that grows at every step.

Shapes: S seed, T step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ravine.data import Dataset
from ravine.engine.cohort import Cohort, split
from ravine.engine.device import find_device
from ravine.engine.memory import told
from ravine.engine.plan import plan
from ravine.engine.training import Training
from ravine.errors import StudyError
from ravine.launch.faults import told_of_module
from ravine.launch.network import network_of
from ravine.schedules import parse_schedule, table
from ravine.study import STAGE, Run, Study, runs_of
from ravine.study.naming import naming

SHARE = 3.0  # the suggestion is this much below the lr with the lowest loss; docs/lr-range.md says why
_EXPLODED = 4.0  # times the lowest loss: from there on what was learned is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeStep:
    """How far the test is, in steps of all runs."""

    done: int
    all: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LrRange:
    """What the test found of one rule.

    Args:
        rule: its label in the study.
        hypers: its other hypers, for people; of a list or range in the study, the first.
        lr: (T,) the learning rates.
        loss: (S, T) training losses, smoothed; NaN where a run has diverged.
        suggested: the learning rate to begin with: a third of where the loss is lowest, the median over seeds; None
            if the test cannot tell, see `why_not`.
        low, high: the lowest and the highest seed's.
        lowest: where the loss is lowest, the median over seeds.
        diverged: from where the loss is back at its start, four times the lowest, or no number, the median over seeds;
            None if that is beyond the end.
        why_not: why nothing is suggested; empty if something is.
    """

    rule: str
    hypers: dict[str, float | str]
    lr: np.ndarray
    loss: np.ndarray
    suggested: float | None
    low: float | None
    high: float | None
    lowest: float | None
    diverged: float | None
    why_not: str = ""


def lr_range(
    study: Study,
    *,
    data: Dataset,
    search: Path | None = None,
    device: str = "auto",
    backend: str = "auto",
    low: float,
    high: float,
    num_steps: int,
) -> Iterator[RangeStep | list[LrRange]]:
    """Test all rules of a study at once, each with all seeds; nothing is stored.

    Args:
        study: whose rules, model, data, batch size and seeds; its learning rates play no part.
        data: its data set.
        search: folder of the study file.
        device: "auto", "cpu", "cuda" or "mps".
        backend: as of a launch.
        low: learning rate of the first step.
        high: of the last.
        num_steps: T.

    Yields:
        Progress, and last the findings, in the order of the rules.

    Raises:
        StudyError: the limits are not 0 < low < high, or there are fewer than 20 steps.
        InputError: the study does not fit its data or its model.
    """
    if not 0.0 < low < high < float("inf"):
        raise StudyError(f"low = {low:g}, high = {high:g}: must be 0 < low < high, both finite")
    if num_steps < 20:
        raise StudyError(f"num_steps = {num_steps}: must be at least 20")
    where = find_device(device)
    schedule = {"kind": "climb", "start": low / high, "warmup": 0}
    with naming(study.origin):
        runs = _runs(study, data, search, schedule, high, num_steps)
    lr_T = high * table(parse_schedule(schedule), num_steps)
    losses: dict[str, np.ndarray] = {}
    done = 0
    for same in split(runs, len(runs)):
        with naming(study.origin), told("model"):
            network = network_of(study, data, same, where, search)
            chosen = plan(same, network, data, where, backend)
        for group in split(same, chosen.size):
            cohort = Cohort.of(group)
            with (
                naming(study.origin),
                told("model", len(group)),
                told_of_module(network.module, network.about),
            ):
                training = Training(cohort, network, data, chosen.backend, where)
                parts = []
                for part in training.losses():
                    parts.append(part)
                    done += part.size
                    yield RangeStep(done=done, all=len(runs) * num_steps)
            table_TR = np.concatenate(parts)
            losses.update({run.id: table_TR[:, i] for i, run in enumerate(cohort.runs)})
    by_rule: dict[str, list[Run]] = {}
    for run in runs:
        by_rule.setdefault(run.label, []).append(run)
    yield [
        _found(label, members[0], lr_T, np.stack([losses[run.id] for run in members]))
        for label, members in by_rule.items()
    ]


def _runs(
    study: Study, data: Dataset, search: Path | None, schedule: dict[str, object], high: float, steps: int
) -> list[Run]:
    """Each rule's first configuration with every seed, its learning rate climbing."""
    chosen: dict[str, str] = {}
    found = []
    for run in runs_of(study, data, search):
        if chosen.setdefault(run.label, run.recipe.id) != run.recipe.id:
            continue
        recipe = replace(
            run.recipe,
            hypers={**run.recipe.hypers, "lr": high},
            schedule=schedule,
            steps=steps,
            evaluate_every=steps,
        )
        others = {name: value for name, value in run.chosen.items() if name not in ("lr", "schedule", STAGE)}
        found.append(replace(run, recipe=recipe, chosen=others))
    return found


def _found(label: str, run: Run, lr_T: np.ndarray, loss_ST: np.ndarray) -> LrRange:
    smooth_ST = np.stack([smoothed(loss_T) for loss_T in loss_ST])
    shapes = [_shape(smooth_T, loss_T[0]) for smooth_T, loss_T in zip(smooth_ST, loss_ST, strict=True)]
    lowest = [float(lr_T[at]) for at, _ in shapes if at is not None]
    diverged = float(np.median([float(lr_T[end]) if end is not None else np.inf for _, end in shapes]))
    why_not = ""
    if len(lowest) < len(shapes):
        why_not = (
            f"with {len(shapes) - len(lowest)} of {len(shapes)} seeds the loss never fell: try a lower limit"
        )
    elif _median(lowest) >= lr_T[-1 - len(lr_T) // 40]:
        why_not = (
            "the loss still fell at the highest lr: try fewer steps (small data are learned by heart) or a higher "
            "limit"
        )
    told = [] if why_not else lowest
    return LrRange(
        rule=label,
        hypers=dict(run.chosen),
        lr=lr_T,
        loss=smooth_ST,
        suggested=_median(told) / SHARE if told else None,
        low=min(told) / SHARE if told else None,
        high=max(told) / SHARE if told else None,
        lowest=_median(lowest) if lowest else None,
        diverged=diverged if np.isfinite(diverged) else None,
        why_not=why_not,
    )


def _median(values: list[float]) -> float:
    """On a logarithmic scale."""
    return float(np.exp(np.median(np.log(values))))


def smoothed(loss_T: np.ndarray) -> np.ndarray:
    """A running median and then a running mean of a twentieth of the steps, centred: no lag, no single batch decides.

    What comes after the first loss that is not finite is NaN.
    """
    bad = np.flatnonzero(~np.isfinite(loss_T))
    end = int(bad[0]) if len(bad) else len(loss_T)
    half = max(len(loss_T) // 40, 1)
    found = np.full(len(loss_T), np.nan)
    if end == 0:
        return found
    values = np.asarray(loss_T[:end], dtype=np.float64)
    for reduce in (np.nanmedian, np.nanmean):
        around = np.pad(values, half, constant_values=np.nan)
        values = reduce(np.lib.stride_tricks.sliding_window_view(around, 2 * half + 1), axis=1)
    found[:end] = values
    return found


def _shape(smooth_T: np.ndarray, start: float) -> tuple[int | None, int | None]:
    """Where a smoothed loss is lowest, None if that is hardly below its start; from where what was learned is lost."""
    num = int(np.isfinite(smooth_T).sum())
    if num == 0 or not np.isfinite(start):
        return None, 0
    at = int(np.argmin(smooth_T[:num]))
    learned = smooth_T[at] < 0.95 * start
    limit = min(_EXPLODED * max(smooth_T[at], 1e-12), start) if learned else start
    after = np.flatnonzero(smooth_T[at:num] > limit)
    end = at + int(after[0]) if len(after) else (num if num < len(smooth_T) else None)
    return (at if learned else None), end
