"""What decay gained over the best constant learning rate: both stages of a staged study, a row per rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ravine.outcomes.metric import Validated
from ravine.outcomes.runs import by_config, describe, final, lr_of, plain, quality
from ravine.study import STAGE

if TYPE_CHECKING:
    from ravine.store import RunRecord

_OWN = ("lr", "schedule", STAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A rule's two stages, by what judges them on validation.

    Args:
        rule: its label.
        lr: what the first stage chose.
        hypers: the others that it chose, for people.
        constant: mean over seeds at that constant lr.
        schedule: the best of the second stage; None before it has been trained.
        decayed: mean over seeds with it.
        gain: mean over shared seeds of what it gained; above 0 is better, for a loss too.
        low, high: the lowest and the highest seed's gain.
    """

    rule: str
    lr: float
    hypers: str
    constant: float | None
    schedule: str | None
    decayed: float | None
    gain: float | None
    low: float | None
    high: float | None

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


def stages(runs: Sequence[RunRecord], validated: Validated) -> tuple[StageRow, ...]:
    """A row per rule of a staged study that has runs of the second stage; none of any other study.

    Args:
        runs: of the study.
        validated: what their values on validation are.
    """
    metric = validated.column
    rows = []
    for rule in dict.fromkeys(run.rule for run in runs):
        own = [run for run in runs if run.rule == rule]
        second = by_config(run for run in own if run.hypers.get(STAGE) == "2")
        if not second:
            continue
        best = max(second.values(), key=lambda seeds: quality(seeds, metric))
        chosen = best[0].hypers
        same = [run for run in own if run.hypers.get(STAGE) == "1" and _rest(run) == _rest(best[0])]
        before, after = _by_seed(same, metric), _by_seed(best, metric)
        sign = -1.0 if validated.lower else 1.0
        gains = [sign * (after[seed] - before[seed]) for seed in before if seed in after]
        rows.append(
            StageRow(
                rule=rule,
                lr=lr_of(best[0]),
                hypers=describe(chosen, [name for name in chosen if name not in _OWN]),
                constant=_mean(list(before.values())),
                schedule=str(chosen["schedule"]),
                decayed=_mean(list(after.values())),
                gain=_mean(gains),
                low=min(gains, default=None),
                high=max(gains, default=None),
            )
        )
    return tuple(rows)


def stage_words(rows: Sequence[StageRow], validated: Validated) -> list[str]:
    """The rows as sentences, for terminal and report; of a rule whose decays all diverged, that they did."""
    scale = 100.0 if validated.percent else 1.0
    unit = f"{'points of' if validated.percent else 'in'} validation {validated.name}"
    sentences = []
    for row in rows:
        if row.gain is None or row.low is None or row.high is None:
            sentences.append(f"{row.rule}: at lr {row.lr:.4g}, every seed diverged with decay.")
            continue
        sentences.append(
            f"{row.rule}: stage 1 chose lr {row.lr:.4g}, which reaches {_shown(validated, row.constant)} on "
            f"validation at a constant rate; the best decay, {row.schedule}, reaches "
            f"{_shown(validated, row.decayed)}. It {'gains' if row.gain >= 0 else 'loses'} "
            f"{abs(scale * row.gain):.2g} {unit} (gains over seeds: {scale * row.low + 0.0:.2g} to "
            f"{scale * row.high + 0.0:.2g})."
        )
    return sentences


def _shown(validated: Validated, value: float | None) -> str:
    return "nothing" if value is None else validated.shown(value)


def _rest(run: RunRecord) -> dict[str, float | str]:
    """What the first stage chose of a run: all but its schedule."""
    kept = {name: value for name, value in run.hypers.items() if name not in _OWN}
    return {**kept, "lr": lr_of(run)}


def _by_seed(runs: Sequence[RunRecord], metric: str) -> dict[int, float]:
    return {run.seed: value for run in runs if (value := final(run, metric)) is not None}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
