"""Parts of a study in a word or two."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ravine.data import Dataset
from ravine.messages import count
from ravine.nn.target import describe_factory
from ravine.schedules import ScheduleSpec, label
from ravine.schedules.spec import Constant
from ravine.study.phases import Phase
from ravine.study.values import Range, Values

_DIGEST = re.compile("@[0-9a-f]{16}")  # of a class's or a function's source: for ids, not for readers


def named(part: object) -> str:
    """A data set or a model."""
    name = getattr(part, "name", None) if isinstance(part, Dataset) else getattr(part, "kind", None)
    if isinstance(name, str):
        return name
    return _DIGEST.sub("", describe_factory(part))  # type: ignore[arg-type]


def length(epochs: float | None, steps: int | None, phases: Sequence[Phase] = ()) -> str:
    """How long a run is: of epochs and steps one is given, or there are phases.

    Example:
        >>> length(None, 200), length(1.0, None)
        ('200 steps', '1 epoch')
    """
    if phases:
        return ", then ".join(each.words for each in phases)
    if steps is not None:
        return count(steps, "step")
    return f"{epochs:g} epoch{'s' * (epochs != 1)}"


def in_words(values: Values | None) -> str:
    """The values of a hyper.

    Example:
        >>> in_words((0.0, 0.2)), in_words(Range(log=(1e-4, 1.0), num=9))
        ('0, 0.2', '0.0001 to 1 (log, 9)')
    """
    if isinstance(values, Range):
        low, high = values.ends
        how = "log" if values.log is not None else "linear"
        return f"{low:g} to {high:g} ({how}{'' if values.num is None else f', {values.num}'})"
    some = values if isinstance(values, tuple) else (values,)
    return ", ".join(f"{value:g}" for value in some if value is not None)


def shared(
    schedules: Sequence[ScheduleSpec],
    batch_sizes: Sequence[int | str],
    factors: Mapping[str, Values],
    trials: int | None,
    tune: str,
    compare: str,
    precision: str | None = None,
    metric: str | None = None,
) -> tuple[str, ...]:
    """What each rule's configs are made of beside its own hypers, where a study says more than the defaults."""
    parts = [
        *([f"schedule {' or '.join(map(label, schedules))}"] if tuple(schedules) != (Constant(),) else []),
        *([f"batch_size {' or '.join(map(str, batch_sizes))}"] if tuple(batch_sizes) != ("auto",) else []),
        *(f"{name.removeprefix('model.')} {in_words(v)}" for name, v in factors.items() if v != 0.0),
        *([f"precision {precision}"] if precision not in (None, "float32") else []),
        *([f"{trials} random trials"] if trials is not None else []),
        *([f'tune "{tune}"'] if tune != "joint" else []),
        *([f"compare {compare}"] if compare != "rule" else []),
        *([f"metric {metric}"] if metric is not None else []),
    ]
    return (f"with {'; '.join(parts)}",) if parts else ()
