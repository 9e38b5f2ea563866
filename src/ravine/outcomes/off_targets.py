"""How far some runs are off several targets, each in its own unit: over its range, and the examples with large errors.

Shapes: R run, N example, T target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ravine.grid import Grid
from ravine.outcomes.deviations import Deviations, number_of
from ravine.outcomes.runs import plain

_LARGEST = 5  # errors of each target that are listed
_NAMED = 3  # targets that a sentence names


@dataclass(frozen=True, slots=True, kw_only=True)
class Largest:
    """An example that runs are far off with one target.

    Args:
        number: of the example in its part of the data, from 0.
        answer: its right value.
        said: the median of what the runs predict.
        off: the median of how far they are off, in the target's unit.
    """

    number: int
    answer: float
    said: float
    off: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OffTargets:
    """Errors of some runs on the same examples, target by target.

    Args:
        targets: by name: the errors of the chosen config's runs over the range of each.
        largest: by name: the examples with the largest errors of each, over the runs that were looked at; empty where
            no examples were asked for.
    """

    targets: dict[str, Deviations]
    largest: dict[str, tuple[Largest, ...]]

    @staticmethod
    def of(outputs: Sequence[np.ndarray], answers: np.ndarray, names: Sequence[str]) -> OffTargets:
        """Those of runs.

        Args:
            outputs: of each run the values (N, T), in the targets' own units.
            answers: (N, T) the right ones.
            names: of the targets.
        """
        columns = {
            name: Deviations.of([each[:, place] for each in outputs], answers[:, place])
            for place, name in enumerate(names)
        }
        return OffTargets(targets=columns, largest={})

    @property
    def num_runs(self) -> int:
        """Runs of the chosen config."""
        return next(iter(self.targets.values())).num_runs

    @property
    def summary(self) -> str:
        """How far they are off, as the end of a sentence."""
        some = [f"{name} {number_of(each.rmse)}" for name, each in list(self.targets.items())[:_NAMED]]
        return f"RMSE of {', '.join(some)}" + (", ..." if len(self.targets) > _NAMED else "")

    def grids(self) -> tuple[Grid, ...]:
        """For a terminal: the tenths of each target, then the largest errors of each."""
        first, *tenths = (each.grid(name) for name, each in self.targets.items())
        rest = (
            replace(each, before=(f"By tenths of {each.columns[0]}:",)) for each in tenths
        )  # it is explained once
        return (first, *rest, *([self.largest_grid()] if self.largest else []))

    def largest_grid(self, only: str | None = None) -> Grid:
        """The largest errors of each target, or of one."""
        rows = [
            (
                *([] if only else [name]),
                f"{each.number:,}",
                *(number_of(value) for value in (each.answer, each.said, each.off)),
            )
            for name, found in self.largest.items()
            if only in (None, name)
            for each in found
        ]
        return Grid(
            before=("The largest errors of each target in its own unit, medians over the runs:",),
            columns=(*([] if only else ["target"]), "example", "answer", "predicted", "off by"),
            rows=tuple(rows),
            left=("target",),
        )

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            name: {
                **each.json(),
                "largest": [
                    {
                        "number": one.number,
                        "answer": plain(one.answer),
                        "said": plain(one.said),
                        "off": plain(one.off),
                    }
                    for one in self.largest.get(name, ())
                ],
            }
            for name, each in self.targets.items()
        }


def largest_of(
    names: Sequence[str], answers_NT: np.ndarray, said_NT: np.ndarray, off_NT: np.ndarray, num: int
) -> dict[str, tuple[Largest, ...]]:
    """The examples with the largest errors of each target.

    Args:
        names: of the targets.
        answers_NT: the right values.
        said_NT: what the runs predict, their median.
        off_NT: how far they are off, the median.
        num: how many at most.
    """
    found = {}
    for place, name in enumerate(names):
        order = np.argsort(-off_NT[:, place], kind="stable")[: min(num, _LARGEST)]
        found[name] = tuple(
            Largest(
                number=int(row),
                answer=float(answers_NT[row, place]),
                said=float(said_NT[row, place]),
                off=float(off_NT[row, place]),
            )
            for row in order
        )
    return found
