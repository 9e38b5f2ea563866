"""What averaging the weights gained at each rule's chosen config: an average a row, on validation data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ravine.outcomes.metric import Validated
from ravine.outcomes.runs import final, plain
from ravine.store import average_of, kind_of

if TYPE_CHECKING:
    from ravine.store import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageRow:
    """An average beside the run's own weights, by what judges them on validation: means over the seeds that have it.

    Args:
        rule: its label.
        average: its name.
        own: of the weights themselves.
        averaged: of the average.
        gain: what it gained; above 0 is better, for a loss too.
        low, high: the lowest and the highest seed's gain.
        num_seeds: the seeds behind these numbers.
    """

    rule: str
    average: str
    own: float
    averaged: float
    gain: float
    low: float
    high: float
    num_seeds: int

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


def averages(
    runs: Sequence[RunRecord], chosen: Collection[str], validated: Validated
) -> tuple[AverageRow, ...]:
    """A row for each rule and average that its chosen config has; none where nothing was averaged.

    Args:
        runs: of the study.
        chosen: the configs that the verdict chose.
        validated: what their values on validation are.
    """
    metric = validated.column
    sign = -1.0 if validated.lower else 1.0
    rows = []
    of_rules = dict.fromkeys((run.rule, run.config) for run in runs if run.config in chosen)
    for rule, config in of_rules:
        seeds = [run for run in runs if (run.rule, run.config) == (rule, config)]
        names = dict.fromkeys(average_of(name) for run in seeds for name in run.metrics)
        for name in sorted(filter(None, names)):
            pairs = [(final(run, metric), final(run, kind_of(name, metric))) for run in seeds]
            found = [(own, value) for own, value in pairs if own is not None and value is not None]
            if not found:
                continue
            gains = [sign * (value - own) for own, value in found]
            num = len(found)
            rows.append(
                AverageRow(
                    rule=rule,
                    average=name,
                    own=sum(own for own, _ in found) / num,
                    averaged=sum(value for _, value in found) / num,
                    gain=sum(gains) / num,
                    low=min(gains),
                    high=max(gains),
                    num_seeds=num,
                )
            )
    return tuple(rows)


def average_words(rows: Sequence[AverageRow], validated: Validated) -> list[str]:
    """The rows as sentences, one for each rule, for terminal and report."""
    by = "" if validated.name in ("accuracy", "loss") else f" {validated.name}"
    sentences = []
    for rule in dict.fromkeys(row.rule for row in rows):
        own = [row for row in rows if row.rule == rule]
        parts = [
            f"{row.average} {validated.shown(row.averaged)} ({_gain(validated, row.gain)}, "
            f"seeds {_gain(validated, row.low)} to {_gain(validated, row.high)})"
            for row in own
        ]
        sentences.append(
            f"{rule}: the last weights reach {validated.shown(own[0].own)}{by} on validation; averages of the weights: "
            f"{'; '.join(parts)}."
        )
    return sentences


def _gain(validated: Validated, value: float) -> str:
    shown = f"{round(100 * value, 2) + 0.0:+.2f}" if validated.percent else f"{value + 0.0:+.2g}"
    return shown.replace("-", "−")
