"""Which weights along a run are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ravine.messages import lacking, unknown, wrong
from ravine.schedules import CosineRestarts, ScheduleSpec, cycle_ends
from ravine.study.fields import MOST_STEPS, whole

_EXAMPLE = 'must be a table such as { every = "epoch" } or { every = 100 }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Weights along training that are stored beside those at the end, for `ravine landscape` and `ravine ensemble`.

    Args:
        every: so many steps lie between two of them, the first at step 0; "epoch": one pass over the training set;
            "cycle": those just before each restart of `cosine_restarts`.
    """

    every: int | Literal["epoch", "cycle"]

    def along(self, steps: int, batches_per_epoch: int, schedule: ScheduleSpec) -> Sequence[int]:
        """After which steps of a run its weights are kept, rising; its end, which is stored anyway, is not among them.

        Args:
            steps: of the run.
            batches_per_epoch: steps of an epoch.
            schedule: of the run.

        Example:
            >>> from ravine.schedules import parse_schedule
            >>> Keep(every="cycle").along(12, 4, parse_schedule({"kind": "cosine_restarts", "cycles": 3}))
            [4, 8]
            >>> list(Keep(every="epoch").along(12, 4, parse_schedule("cosine")))
            [0, 4, 8]
        """
        if self.every == "cycle":
            return cycle_ends(schedule, steps)[:-1]
        return range(0, steps, batches_per_epoch if self.every == "epoch" else self.every)


KeepLike: TypeAlias = Mapping[str, Any] | Keep


def parse_keep(value: object) -> Keep | None:
    """What to keep, from a table; None: only the weights at the end.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_keep({"every": "epoch"})
        Keep(every='epoch')
    """
    if value is None:
        return None
    if isinstance(value, Keep):
        value = {"every": value.every}
    if not isinstance(value, Mapping):
        raise wrong("keep", value, _EXAMPLE)
    for key in value:
        if key != "every":
            raise unknown("keep", key, ["every"])
    if "every" not in value:
        raise lacking("keep.every", f"missing: keep {_EXAMPLE}")
    every = value["every"]
    if isinstance(every, str) and every in ("epoch", "cycle"):
        return Keep(every="epoch" if every == "epoch" else "cycle")
    return Keep(every=whole(every, "keep.every", 1, MOST_STEPS, ' steps, or "epoch" or "cycle"'))


def check_restarts(keep: Keep, schedules: Sequence[ScheduleSpec]) -> None:
    """See that some run restarts, where weights are kept before restarts.

    Raises:
        StudyError: none does.
    """
    if keep.every != "cycle":
        return
    if not any(isinstance(schedule, CosineRestarts) and schedule.cycles > 1 for schedule in schedules):
        raise wrong(
            "keep.every", "cycle", 'only schedule = "cosine_restarts" of 2 cycles or more has restarts'
        )
