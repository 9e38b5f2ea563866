"""How well some runs know each of several labels, of which an example may have any.

Precision, recall and F1 of a label are those of all runs' answers together, as scikit-learn gives them; its error is
the share of the answers in which it is there and not given, or given and not there.

Shapes: R run, N example, K label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.grid import Grid
from ravine.metrics.given import Marks
from ravine.outcomes.confusion import OVER, OfClass, class_grid, of_class_json, share_of
from ravine.verdict.own_interval import mean_interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ByLabel:
    """What some runs make of each label.

    Args:
        num_runs: how many they are.
        by_class: how well each label is known, in the order of the labels.
        over: what the intervals are over.
    """

    num_runs: int
    by_class: tuple[OfClass, ...]
    over: str = OVER

    @staticmethod
    def of(
        outputs: Sequence[np.ndarray], answers: np.ndarray, labels: Sequence[str], alpha: float = 0.05
    ) -> ByLabel:
        """That of runs on the same examples.

        Args:
            outputs: of each run the logits (N, K); a label above 0 is given.
            answers: (N, K) of 0 and 1.
            labels: their names.
            alpha: intervals have level 1 - alpha.

        Example:
            >>> found = ByLabel.of([np.array([[2.0, -1.0], [1.0, 3.0]])], np.array([[1, 0], [0, 1]]), ("red", "round"))
            >>> [(each.name, each.num, each.precision, each.recall) for each in found.by_class]
            [('red', 1, 0.5, 1.0), ('round', 1, 1.0, 1.0)]
        """
        given = Marks(list(outputs), answers)
        rows = []
        for k, name in enumerate(labels):
            own = given.answers_KN[k]
            hits, there = float(given.hits[k].sum()), float(own.sum()) * len(outputs)
            claimed = float(given.claimed[k].sum())
            wrong_RN = (given.claimed[k] != own).astype(np.float64)
            low, high = mean_interval(wrong_RN, alpha, binary=True)
            rows.append(
                OfClass(
                    name=name,
                    num=int(own.sum()),
                    precision=share_of(hits, claimed),
                    recall=share_of(hits, there),
                    f1=share_of(2.0 * hits, claimed + there),
                    error=float(wrong_RN.mean()),
                    low=low,
                    high=high,
                )
            )
        return ByLabel(num_runs=len(outputs), by_class=tuple(rows))

    @property
    def summary(self) -> str:
        """How much is wrong, as the end of a sentence."""
        wrong = sum(each.error for each in self.by_class) / len(self.by_class)
        return f"{100 * wrong:.1f}\u00a0% of the labels are wrong"

    def worst(self) -> tuple[OfClass, ...]:
        """The labels, that with the largest error first."""
        return tuple(sorted(self.by_class, key=lambda each: -each.error))

    def grids(self) -> tuple[Grid, ...]:
        """For a terminal."""
        return (class_grid(self.worst(), "label", self.over),)

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"runs": self.num_runs, "by_label": [of_class_json(each, "label") for each in self.by_class]}
