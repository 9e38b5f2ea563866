"""Answers one by one: an example with several labels, or several targets, has a *cell* for each.

A label is a choice between two classes, no and yes, whose logits are 0 and z. A target is a number, in units of its
deviation in training. So all that is known of classes and of numbers holds for cells, and a score of an example is the
mean over its cells. Labels and targets of one example depend on each other: whatever counts examples must count these
and not cells, which is what `by_example` and `examples` are for.

Shapes: N example, K class or label, T target, C cell: N K or N T, those of an example next to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ravine.data.preparation import AnyTarget
    from ravine.store import Labels

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """How examples are seen as cells.

    Args:
        task: of each cell: "classification", or "regression".
        per: cells of an example.
        labels: they are labels.
        scale: (T,) what the numbers of several targets are divided by; (): by nothing.

    Example:
        >>> Cells(task="classification", per=2, labels=True).outputs(np.array([[3.0, -1.0]])).tolist()
        [[0.0, 3.0], [0.0, -1.0]]
    """

    task: Literal["classification", "regression"]
    per: int = 1
    labels: bool = False
    scale: tuple[float, ...] = ()

    @staticmethod
    def of(labels: Labels) -> Cells:
        """Those of a data set's right answers; of several targets in units of their deviations."""
        if labels.task == "multilabel":
            return Cells(task="classification", per=len(labels.classes), labels=True)
        if labels.task == "classification":
            return Cells(task="classification")
        return Cells(task="regression", per=len(labels.targets) or 1, scale=labels.scale)

    @staticmethod
    def of_target(target: AnyTarget) -> Cells:
        """Those of what a predictor predicts, in the targets' own units."""
        if target.task == "multilabel":
            return Cells(task="classification", per=target.num_outputs, labels=True)
        if target.task == "classification":
            return Cells(task="classification")
        return Cells(task="regression", per=target.num_outputs)

    @property
    def right(self) -> str:
        """What a share of right answers is called."""
        return "label accuracy" if self.labels else "accuracy"

    @property
    def error_unit(self) -> str:
        """What errors are measured in, where an example has several targets; else empty."""
        return "each target's deviation" if self.regression and self.per > 1 else ""

    @property
    def regression(self) -> bool:
        """Whether a cell is a number."""
        return self.task == "regression"

    def outputs(self, given: NDArray[Any]) -> NDArray[Any]:
        """Predictions of cells: logits (C, 2) of labels, values (C,) of targets; of one answer per example as they are.

        Args:
            given: predictions of the examples, logits or values.
        """
        if self.labels:
            flat = given.reshape(-1)
            return np.stack([np.zeros_like(flat), flat], axis=-1)
        return self._scaled(given).reshape(-1) if self.per > 1 else given

    def answers(self, given: NDArray[Any]) -> NDArray[Any]:
        """The right answers of cells, (C,)."""
        return self._scaled(given).reshape(-1) if self.per > 1 else given

    def by_example(self, found: NDArray[Any]) -> NDArray[Any]:
        """The mean over the cells of each example, (..., N), of numbers of cells (..., C)."""
        return found.reshape(*found.shape[:-1], -1, self.per).mean(axis=-1) if self.per > 1 else found

    def apart(self, found: NDArray[Any]) -> NDArray[Any]:
        """The cells of each example beside each other, (N, K) or (N, T), of numbers of cells (C,)."""
        return found.reshape(-1, self.per) if self.per > 1 or self.labels else found

    def examples(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The cells of some examples."""
        return cells_of(rows, self.per)

    def _scaled(self, given: NDArray[Any]) -> NDArray[Any]:
        return given.astype(np.float64) / np.array(self.scale) if self.scale else given


def cells_of(rows: NDArray[np.int64], per: int) -> NDArray[np.int64]:
    """The cells of some examples, of which each has so many.

    Example:
        >>> cells_of(np.array([0, 2]), 2).tolist()
        [0, 1, 4, 5]
    """
    if per == 1:
        return rows
    found: NDArray[np.int64] = (rows[:, None] * per + np.arange(per)).reshape(-1)
    return found
