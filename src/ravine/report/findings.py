"""What `ravine.lr_range` and `ravine.sharpness` return: lists that print as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, final

from ravine.grid import Grid
from ravine.landscapes.findings import Sharpness
from ravine.outcomes.runs import describe
from ravine.outcomes.words import NOTHING

if TYPE_CHECKING:
    from ravine.launch.lr_range import LrRange
    from ravine.store import RunRecord

    RangeList = list[LrRange]
else:  # the class itself needs PyTorch
    RangeList = list


@final
class LrRanges(RangeList):
    """The findings of a learning-rate range test, one per rule."""

    def grid(self) -> Grid:
        """A row per rule: the lr that is suggested, and what it goes by."""
        hypers = [
            f"note: {each.rule} was tested with {describe(each.hypers, list(each.hypers))}"
            for each in self
            if each.hypers
        ]
        return Grid(
            columns=("rule", "suggested lr", "over seeds", "lowest loss at", "lost from"),
            rows=tuple(
                (
                    each.rule,
                    _rate(each.suggested),
                    NOTHING
                    if each.low is None or each.high is None
                    else f"{each.low:.2g} to {each.high:.2g}",
                    _rate(each.lowest),
                    _rate(each.diverged),
                )
                for each in self
            ),
            left=("rule",),
            after=(*(f"! {each.rule}: {each.why_not}" for each in self if each.why_not), *hypers),
        )

    def __str__(self) -> str:
        return str(self.grid())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.grid().html()


@final
class Sharpnesses(list[Sharpness]):
    """How sharp the minima of some runs are.

    Args:
        found: of each run.
        runs: the runs, by id.
    """

    def __init__(self, found: Iterable[Sharpness], runs: Mapping[str, RunRecord]) -> None:
        super().__init__(found)
        self._runs = runs

    def grid(self) -> Grid:
        """A row per run; `Sharpness` says what the columns are."""
        return Grid(
            columns=("run", "rule", "lr", "seed", "top", "lowest", "trace", "rise", "adaptive", "gradient"),
            rows=tuple(self._row(each) for each in self),
            left=("run", "rule"),
        )

    def _row(self, each: Sharpness) -> tuple[str, ...]:
        run = self._runs[each.run]
        return (
            each.run[:8],
            run.rule,
            f"{float(run.hypers['lr']):.3g}",
            str(run.seed),
            f"{each.top[0]:.3g}",
            f"{each.lowest:.2g}",
            f"{each.trace:.3g} ± {each.trace_error:.2g}",
            f"{each.rise:.2g}",
            f"{each.adaptive_rise:.2g}",
            f"{each.gradient_norm:.2g}",
        )

    def __str__(self) -> str:
        return str(self.grid())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.grid().html()


def _rate(lr: float | None) -> str:
    return NOTHING if lr is None else f"{lr:.2g}"
