"""Which averages of the weights are kept along a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ravine.errors import StudyError
from ravine.messages import lacking, unknown, wrong
from ravine.rules.averages import Average, chosen, ema, ema_name, uniform
from ravine.schedules import CosineRestarts, ScheduleSpec, cycle_ends
from ravine.study.bank import BANK, bank_averages, bank_content, parse_bank
from ravine.study.fields import MOST_STEPS, whole

BatchNorm: TypeAlias = Literal["again", "average", "last"]

POLYAK, SWA = "polyak", "swa"
_MOST = 16  # averages of a run: each takes the room of the weights
_EXAMPLE = "must be a table such as { ema = [0.99, 0.999], polyak = { from = 0.5 } }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swa:
    """The mean of the weights at some steps.

    Args:
        start: the part of a run that is left out, in [0, 1).
        every: so many epochs lie between two of the steps; "cycle": the end of each cycle of `cosine_restarts`.
    """

    start: float
    every: int | Literal["cycle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """Averages of the weights along each run, evaluated and stored beside the run itself.

    Args:
        ema: decays of exponential moving averages.
        polyak: the part of a run that the uniform mean leaves out, in [0, 1); None: there is no such mean.
        swa: the mean of the weights at some steps; None: there is none.
        bank: how many times along a run the averages are stored from which any other can be made; 0: never.
        batchnorm: BatchNorm's statistics for averaged weights: "again", estimated from the training data; "average",
            averaged as the weights are; "last", those of the run.
    """

    ema: tuple[float, ...] = ()
    polyak: float | None = None
    swa: Swa | None = None
    bank: int = 0
    batchnorm: BatchNorm = "again"

    @property
    def names(self) -> tuple[str, ...]:
        """What the averages are called that are evaluated: those of the bank are not.

        Example:
            >>> Averages(ema=(0.99,), polyak=0.5).names
            ('ema 0.99', 'polyak')
        """
        means = [name for name, mean in ((POLYAK, self.polyak), (SWA, self.swa)) if mean is not None]
        return (*map(ema_name, self.ema), *means)

    @property
    def tracked(self) -> tuple[str, ...]:
        """The names of all averages that move along with a run: those that are evaluated, and those of the bank."""
        return (*self.names, *(BANK if self.bank else ()))

    def content(self) -> dict[str, Any]:
        """The table that `parse_averages` reads; defaults are left out."""
        found: dict[str, Any] = {"ema": list(self.ema)} if self.ema else {}
        if self.polyak is not None:
            found["polyak"] = {"from": self.polyak}
        if self.swa is not None:
            found["swa"] = {"from": self.swa.start, "every": self.swa.every}
        found |= bank_content(self.bank)
        return found if self.batchnorm == "again" else {**found, "batchnorm": self.batchnorm}

    def along(self, steps: int, batches_per_epoch: int, schedule: ScheduleSpec) -> list[Average | None]:
        """The averages of a run, in the order of `tracked`; None where the run has none of its steps.

        Args:
            steps: of the run.
            batches_per_epoch: steps of an epoch.
            schedule: of the run.

        Example:
            >>> from ravine.schedules import parse_schedule
            >>> [average] = Averages(polyak=0.75).along(100, 10, parse_schedule("constant"))
            >>> average.first
            76
        """
        found: list[Average | None] = [ema(decay) for decay in self.ema]
        if self.polyak is not None:
            found.append(uniform(_left_out(self.polyak, steps) + 1, POLYAK))
        if self.swa is not None:
            if self.swa.every == "cycle":
                ends = cycle_ends(schedule, steps)
            else:
                apart = self.swa.every * batches_per_epoch
                ends = list(range(apart, steps + 1, apart))
            ends = [end for end in ends if end > _left_out(self.swa.start, steps)]
            found.append(chosen(ends, SWA) if ends else None)
        return [*found, *(bank_averages() if self.bank else ())]


AveragesLike: TypeAlias = Mapping[str, Any] | Averages


def parse_averages(value: object) -> Averages | None:
    """Which averages to keep, from a table; None: none.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_averages({"ema": 0.99, "swa": {"from": 0.75, "every": "cycle"}}).names
        ('ema 0.99', 'swa')
    """
    if value is None:
        return None
    if isinstance(value, Averages):
        value = value.content()
    if not isinstance(value, Mapping):
        raise wrong("averages", value, _EXAMPLE)
    keys = ("ema", POLYAK, SWA, "bank", "batchnorm")
    for key in value:
        if key not in keys:
            raise unknown("averages", key, keys)
    found = Averages(
        ema=_decays(value.get("ema", ())),
        polyak=_start(value, POLYAK, ("from",)),
        swa=_swa(value),
        bank=parse_bank(value.get("bank", False)),
        batchnorm=_batchnorm(value.get("batchnorm", "again")),
    )
    if not found.tracked:
        raise lacking("averages", f"no average is named; {_EXAMPLE}")
    if len(found.tracked) > _MOST:
        raise StudyError(
            f"averages: {len(found.tracked)} averages; at most {_MOST} are allowed", at=[("averages",)]
        )
    return found


def check_schedules(averages: Averages, schedules: tuple[ScheduleSpec, ...]) -> None:
    """See that some run has cycles, where they are averaged over.

    Raises:
        StudyError: none has.
    """
    if averages.swa is None or averages.swa.every != "cycle":
        return
    if not any(isinstance(schedule, CosineRestarts) for schedule in schedules):
        raise wrong("averages.swa.every", "cycle", 'only schedule = "cosine_restarts" has cycles')


def _decays(given: object) -> tuple[float, ...]:
    decays = given if isinstance(given, list | tuple) else [given]
    for decay in decays:
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0.0 < decay < 1.0:
            raise wrong("averages.ema", decay, "must be a number above 0 and below 1, or a list of them")
    found = tuple(map(float, decays))
    if len(set(found)) < len(found):
        raise wrong("averages.ema", given, "has the same decay twice")
    return found


def _start(value: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> float | None:
    """The part of a run that an average leaves out; None: there is no such average."""
    if name not in value:
        return None
    table, where = value[name], f"averages.{name}"
    if not isinstance(table, Mapping):
        more = "".join(f", {key} = 5" for key in keys if key != "from")
        raise wrong(where, table, f"must be a table such as {{ from = 0.5{more} }}")
    for key in table:
        if key not in keys:
            raise unknown(where, key, keys)
    start = table.get("from", 0.0)
    if isinstance(start, bool) or not isinstance(start, int | float) or not 0.0 <= start < 1.0:
        raise wrong(f"{where}.from", start, "must be a part of the run, a number of at least 0 and below 1")
    return float(start)


def _swa(value: Mapping[str, Any]) -> Swa | None:
    start = _start(value, SWA, ("from", "every"))
    if start is None:
        return None
    if "every" not in value[SWA]:
        raise lacking("averages.swa.every", 'missing: "cycle", or a number of epochs')
    every = value[SWA]["every"]
    if every == "cycle":
        return Swa(start=start, every="cycle")
    return Swa(start=start, every=whole(every, "averages.swa.every", 1, MOST_STEPS, ' epochs, or "cycle"'))


def _batchnorm(given: object) -> BatchNorm:
    if given not in get_args(BatchNorm):
        raise wrong("averages.batchnorm", given, "must be 'again', 'average' or 'last'")
    return given  # type: ignore[return-value]


def _left_out(part: float, steps: int) -> int:
    """The number of steps that are left out: rounded down, so that at least one is averaged."""
    return math.floor(part * steps)
