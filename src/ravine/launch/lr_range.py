"""The learning-rate range test: how a rule's training loss responds to a learning rate that grows with every step.

Shapes: R runs, S seeds, T steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ravine.data import Dataset
from ravine.engine.cohort import Cohort, by_cohort, split
from ravine.engine.plan import plan
from ravine.engine.training import Training
from ravine.errors import InputError, StudyError
from ravine.free_memory import memory_errors
from ravine.launch.faults import module_errors
from ravine.launch.subject import Subject
from ravine.messages import as_float, count, shown, whole_number
from ravine.rules import SEARCHING
from ravine.schedules import parse_schedule, table
from ravine.study import STAGE, Run, Study
from ravine.study.naming import naming
from ravine.study.parts import PARTED, name_of

FALL = 0.8  # share of the way to its lowest value that the loss has fallen at the suggestion; see docs/lr-range.md
BELOW = 10.0  # the suggestion is at least this many times below the lr at which the loss is lost again
_EXPLODED = 4.0  # a loss of so many times its lowest value is lost
MOST_STEPS = 10**6
_OPEN = 3.0  # a suggestion within this factor of the highest lr says only that the loss was still falling


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeStep:
    """How far the test is: steps done and steps in all, summed over runs."""

    done: int
    all: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LrRange:
    """What the test found for one rule.

    Args:
        rule: its label in the study; of several models with the model's.
        hypers: its other hypers, for people; the first value of a list or range.
        lr: the learning rates, (T,).
        loss: smoothed training losses, (S, T); NaN once a run has diverged.
        suggested: the learning rate to start with: where the loss has fallen four fifths of the way to its lowest
            value, but at most a tenth of the lr at which it is lost again. The median over seeds; None if there is
            nothing to suggest.
        low, high: the suggestion of the lowest and of the highest seed.
        lowest: the lr at which the loss is lowest, the median over seeds.
        diverged: the lr from which the loss is lost: as high as at its start, four times its lowest value, or not
            finite; if it never fell, one and a half times its start. The median over seeds; None if that is beyond
            the highest lr.
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
        study: whose rules, model, data, batch size and seeds are used; its learning rates are not.
        data: its data set.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".
        backend: as for a launch.
        low: learning rate of the first step, above 0.
        high: learning rate of the last step, above ``low``.
        num_steps: T, from 20 to 1,000,000.

    Yields:
        Progress, and at the end the findings, in the order of the rules.

    Raises:
        InputError: the limits are not 0 < low < high, the number of steps is not allowed, or the study does not fit
            its data or its model.
    """
    if not 0.0 < (as_float(low) or 0.0) < (as_float(high) or 0.0) < math.inf:
        raise InputError(f"low = {shown(low)}, high = {shown(high)}: must be 0 < low < high, both finite")
    whole_number("num_steps (--steps)", num_steps, 20, MOST_STEPS)
    for i, block in enumerate(study.rules):
        if block.kind in SEARCHING:
            with naming(study.origin):
                raise StudyError(
                    f"rules.{i}.kind = {block.kind!r}: it looks for its steps, so a range test says nothing of it; "
                    "leave it out"
                )
    subject = Subject.of(study, data=data, search=search, device=device)
    schedule = {"kind": "climb", "start": low / high, "warmup": 0}
    with naming(study.origin):
        runs = _runs(subject, schedule, high, num_steps)
    lr_T = high * table(parse_schedule(schedule), num_steps)
    losses: dict[str, np.ndarray] = {}
    done = 0
    for same in by_cohort(runs):
        with naming(study.origin), memory_errors("model"):
            network, own = subject.network(same), subject.data_of_cohort(same)
            chosen = plan(same, network, own, subject.device, backend)
        for group in split(same, chosen.size):
            cohort = Cohort.of(group)
            with (
                naming(study.origin),
                memory_errors("model", len(group)),
                module_errors(network.module, network.about),
            ):
                training = Training(cohort, network, own, chosen.backend, subject.device)
                parts = []
                for part in training.losses():
                    parts.append(part)
                    done += part.size
                    yield RangeStep(done=done, all=len(runs) * num_steps)
            table_TR = np.concatenate(parts)
            losses.update({run.id: table_TR[:, i] for i, run in enumerate(cohort.runs)})
    by_rule: dict[str, list[Run]] = {}
    for run in runs:
        by_rule.setdefault(name_of(run), []).append(run)
    yield [
        _found(label, members[0], lr_T, np.stack([losses[run.id] for run in members]))
        for label, members in by_rule.items()
    ]


def _runs(subject: Subject, schedule: dict[str, object], high: float, steps: int) -> list[Run]:
    """The first config of each rule, with each model, with every seed; its learning rate climbs."""
    chosen: dict[str, str] = {}
    found = []
    for run in subject.runs():
        if chosen.setdefault(name_of(run), run.recipe.id) != run.recipe.id:
            continue
        recipe = replace(
            run.recipe,
            hypers={**run.recipe.hypers, "lr": high},
            schedule=schedule,
            steps=steps,
            evaluate_every=steps,
            before=None,  # of phases the last one, from the weights that the model is made with
        )
        others = {name: value for name, value in run.chosen.items() if name not in ("lr", "schedule", STAGE)}
        found.append(replace(run, recipe=recipe, chosen=others))
    return found


def _found(label: str, run: Run, lr_T: np.ndarray, loss_ST: np.ndarray) -> LrRange:
    smooth_ST = np.stack([smoothed(loss_T) for loss_T in loss_ST])
    found = [_seed(lr_T, smooth_T, loss_T[0]) for smooth_T, loss_T in zip(smooth_ST, loss_ST, strict=True)]
    learned = [each for each in found if each.lowest is not None]
    diverged = float(np.median([each.lost for each in found]))
    suggested = [each.suggested for each in learned]
    why_not = ""
    if len(learned) < len(found):
        limit = "lower" if any(np.isfinite(each.lost) for each in found if each.lowest is None) else "higher"
        without = len(found) - len(learned)
        why_not = f"with {without} of {count(len(found), 'seed')} the loss never fell; try a {limit} limit"
    elif _median(suggested) > lr_T[-1] / _OPEN:
        why_not = "the loss was still falling at the highest lr; try a higher limit"
    found_lrs = [] if why_not else suggested
    return LrRange(
        rule=label,
        hypers={name: value for name, value in run.chosen.items() if name not in PARTED},
        lr=lr_T,
        loss=smooth_ST,
        suggested=_median(found_lrs) if found_lrs else None,
        low=min(found_lrs) if found_lrs else None,
        high=max(found_lrs) if found_lrs else None,
        lowest=_median([each.lowest for each in learned if each.lowest is not None]) if learned else None,
        diverged=diverged if np.isfinite(diverged) else None,
        why_not=why_not,
    )


def _median(values: list[float]) -> float:
    """The median on a logarithmic scale."""
    return float(np.clip(np.exp(np.median(np.log(values))), min(values), max(values)))


def smoothed(loss_T: np.ndarray) -> np.ndarray:
    """A running median and then a running mean, each over a twentieth of the steps and centred.

    So no single batch decides, and nothing lags behind.

    Args:
        loss_T: (T,).

    Returns:
        (T,), NaN from the first loss on that is not finite.
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


@dataclass(frozen=True, slots=True)
class _Seed:
    """What one seed's losses say."""

    lowest: float | None  # the lr of the lowest loss; None if that is hardly below the loss at the start
    suggested: float
    lost: float  # the lr from which the loss is lost; infinite if beyond the highest lr


def _seed(lr_T: np.ndarray, smooth_T: np.ndarray, start: float) -> _Seed:
    num = int(np.isfinite(smooth_T).sum())
    if num == 0 or not np.isfinite(start):
        return _Seed(None, math.nan, lr_T[0])
    at = int(np.argmin(smooth_T[:num]))
    learned = smooth_T[at] < 0.95 * start
    limit = min(_EXPLODED * max(smooth_T[at], 1e-12), start) if learned else 1.5 * start  # more than noise
    after = np.flatnonzero(smooth_T[at:num] > limit)
    end = at + int(after[0]) if len(after) else num
    lost = float(lr_T[end]) if end < len(lr_T) else math.inf
    if not learned:
        return _Seed(None, math.nan, lost)
    return _Seed(float(lr_T[at]), min(float(lr_T[fallen(smooth_T[:num])]), lost / BELOW), lost)


def fallen(smooth_T: np.ndarray) -> int:
    """The first step at which a loss has fallen four fifths of the way from its first value to its lowest.

    Args:
        smooth_T: finite losses, (T,).

    Example:
        >>> fallen(np.array([2.0, 1.9, 1.5, 0.3, 0.0, 5.0]))
        3
    """
    return int(np.argmax(smooth_T <= smooth_T[0] - FALL * (smooth_T[0] - smooth_T.min())))
