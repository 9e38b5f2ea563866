"""Schedules: read from what a person wrote, evaluated into a table, and described in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ravine.errors import StudyError, choices
from ravine.forms import Refused
from ravine.messages import lacking, wrong
from ravine.schedules.spec import (
    Climb,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Factors,
    Inverse,
    Linear,
    OneCycle,
    Polynomial,
    Schedule,
    ScheduleSpec,
    Step,
    in_steps,
)

KINDS: Mapping[str, type[ScheduleSpec]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "inverse": Inverse,
    "linear": Linear,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "one_cycle": OneCycle,
    "climb": Climb,
}


def parse_schedule(value: object, where: str = "schedule") -> ScheduleSpec:
    """A schedule from its name or from a table with ``kind``; a schedule is returned as it is.

    Args:
        value: for example ``"cosine"`` or ``{"kind": "cosine", "warmup": 0.05}``.
        where: its key, for errors.

    Raises:
        StudyError: no such kind or key, or a value that is not allowed.

    Example:
        >>> parse_schedule({"kind": "cosine", "warmup": 0.05})
        Cosine(warmup=0.05, kind='cosine', final=0.0)
    """
    if isinstance(value, Schedule):
        return value  # type: ignore[return-value]
    fields: Mapping[str, Any] = {"kind": value} if isinstance(value, str) else value  # type: ignore[assignment]
    if not isinstance(fields, Mapping):
        raise wrong(where, value, f"must be a name, or a table with kind; {choices('', KINDS)}")
    if "kind" not in fields:
        raise lacking(f"{where}.kind", f"missing, it must be given; {choices('', KINDS)}")
    kind = fields["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise wrong(f"{where}.kind", kind, f"no such schedule; {choices(kind, KINDS)}")
    try:
        return KINDS[kind].of(fields)
    except Refused as fault:
        raise fault.in_study(where) from None


def table(spec: ScheduleSpec, num_steps: int, start: int = 0, stop: int | None = None) -> Factors:
    """The factor that multiplies lr at each step of a run, or of a stretch of it.

    A warm-up takes the first W steps, with ``(s + 1) / (W + 1)`` of the schedule's first factor: no step is wasted at
    lr = 0, and step W is the first with the whole factor. The schedule then covers the other N - W steps.

    Args:
        spec: the schedule.
        num_steps: N, at least 1.
        start: the first step of the stretch.
        stop: the step after its last; N by default and at most.

    Returns:
        float64, shape (stop - start,).

    Raises:
        StudyError: a warm-up given in steps is as long as the run, or longer.

    Example:
        >>> table(parse_schedule({"kind": "linear", "warmup": 1}), 5).tolist()
        [0.5, 1.0, 0.75, 0.5, 0.25]
        >>> table(parse_schedule({"kind": "linear", "warmup": 1}), 5, start=1, stop=3).tolist()
        [1.0, 0.75]
    """
    assert num_steps >= 1, f"a run has at least 1 step, not {num_steps}"
    warmup = _warmup(spec, num_steps)
    steps = np.arange(start, num_steps if stop is None else min(stop, num_steps), dtype=np.int64)
    factors = spec.factors(np.maximum(steps - warmup, 0), num_steps - warmup, num_steps)
    return np.where(steps < warmup, factors * ((steps + 1) / (warmup + 1.0)), factors)


def cycle_ends(spec: ScheduleSpec, num_steps: int) -> list[int]:
    """How many steps have been done at the end of each cycle: just before each restart, and at the run's end.

    Args:
        spec: the schedule; only `CosineRestarts` has cycles.
        num_steps: N, at least 1.

    Example:
        >>> cycle_ends(parse_schedule({"kind": "cosine_restarts", "cycles": 3, "warmup": 2}), 12)
        [6, 9, 12]
        >>> cycle_ends(parse_schedule("cosine"), 12)
        []
    """
    if not isinstance(spec, CosineRestarts):
        return []
    warmup = _warmup(spec, num_steps)
    num = num_steps - warmup
    return list(dict.fromkeys(warmup - (-cycle * num // spec.cycles) for cycle in range(1, spec.cycles + 1)))


def _warmup(spec: ScheduleSpec, num_steps: int) -> int:
    """The steps of the warm-up."""
    warmup = in_steps(spec.warmup, num_steps)
    if isinstance(spec.warmup, float):
        warmup = min(warmup, num_steps - 1)  # a fraction below 1 leaves a step, however short the run
    if warmup >= num_steps:
        raise StudyError(f"schedule.warmup = {spec.warmup}: must be fewer steps than the run's {num_steps}")
    return warmup


def label(spec: ScheduleSpec) -> str:
    """A schedule in a few words: its kind and the fields that are not at their defaults.

    Example:
        >>> label(parse_schedule({"kind": "cosine", "final": 0.01, "warmup": 0.05}))
        'cosine, final 0.01, warm-up 5 %'
    """
    words = [spec.kind.replace("_", " ")]
    changed = spec.changed()
    for name in [name for name in spec.defaults if name not in ("kind", "warmup")] + ["warmup"]:
        if name in changed:
            value = changed[name]
            words.append(f"{name.replace('warmup', 'warm-up')} {_amount(name, value)}")
    return ", ".join(words)


def _amount(name: str, value: int | float) -> str:
    if name not in ("warmup", "every", "half", "peak"):
        return f"{value:.12g}"
    if isinstance(value, int):
        return f"{value} step{'s' if value > 1 else ''}"
    return f"{100 * value:.12g} %"
