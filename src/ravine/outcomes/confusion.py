"""Which classes some runs take for which others, and how well they know each class.

Counts are over runs and examples, as if the answers of all runs were put one after another; so precision, recall and F1
are those that scikit-learn gives of that. With n examples of class c and R runs, h of whose answers to them are right,
and m answers of c to any example:

    precision = h / m        recall = h / (R n)        F1 = 2 h / (m + R n)        error = 1 - recall

Shapes: R run, N example, K class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.grid import Grid
from ravine.messages import count
from ravine.metrics.given import Classes
from ravine.outcomes.runs import plain
from ravine.outcomes.words import NOTHING
from ravine.verdict.own_interval import mean_interval

OVER = "runs and examples"
CLASS_TITLES = ("examples", "precision", "recall", "F1", "error")
WIDEST = 30  # classes, up to which a matrix can be read
_IN_TERMINAL = 12  # classes, up to which it fits into 80 columns
_WITH_SHARES = 4  # classes, up to which shares fit beside the counts
_LONG = 5  # letters of a class that a column has room for
_MOST = 20  # rows of a table in a terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class OfClass:
    """How well runs know a class.

    Args:
        name: of it.
        num: its examples.
        precision, recall, f1: NaN where there is nothing to divide by.
        error: the share of its examples that is taken for others.
        low, high: interval of the error, over other runs and other examples of the class.
    """

    name: str
    num: int
    precision: float
    recall: float
    f1: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confused:
    """A class that is taken for another.

    Args:
        right: the class.
        said: what it is taken for.
        num: how many times, over runs and examples.
        share: of all answers to examples of the class.
    """

    right: str
    said: str
    num: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """The confusion matrix of some runs.

    Args:
        classes: by name.
        counts: (K, K) how many examples of a class (the row) are taken for a class (the column), over all runs.
        num_runs: how many these are.
        by_class: how well each class is known, in the order of the classes.
        over: what the intervals are over.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    num_runs: int
    by_class: tuple[OfClass, ...]
    over: str = OVER

    @staticmethod
    def of(
        outputs: Sequence[np.ndarray], answers: np.ndarray, classes: Sequence[str], alpha: float = 0.05
    ) -> Confusion:
        """That of runs on the same examples.

        Args:
            outputs: of each run the logits (N, K).
            answers: (N,) the right classes.
            classes: their names.
            alpha: intervals have level 1 - alpha.

        Example:
            >>> logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
            >>> found = Confusion.of([logits], np.array([0, 1, 1]), ("cat", "dog"))
            >>> found.counts.tolist(), found.by_class[1].recall, found.by_class[1].precision
            ([[1, 0], [1, 1]], 0.5, 1.0)
        """
        given = [Classes([each], answers) for each in outputs]
        counts = sum(each.confusion[0] for each in given)
        wrong_RN = ~np.concatenate([each.right for each in given])
        said_K = counts.sum(axis=0).tolist()
        rows = []
        for k, name in enumerate(classes):
            of_class = wrong_RN[:, answers == k].astype(np.float64)
            hits, own = float(counts[k, k]), float(of_class.size)
            low, high = mean_interval(of_class, alpha, binary=True) if own else (math.nan, math.nan)
            rows.append(
                OfClass(
                    name=name,
                    num=of_class.shape[1],
                    precision=share_of(hits, said_K[k]),
                    recall=share_of(hits, own),
                    f1=share_of(2.0 * hits, said_K[k] + own),
                    error=1.0 - share_of(hits, own),
                    low=low,
                    high=high,
                )
            )
        return Confusion(
            classes=tuple(classes), counts=np.asarray(counts), num_runs=len(given), by_class=tuple(rows)
        )

    @property
    def shares(self) -> np.ndarray:
        """(K, K) the counts as shares of their rows; NaN in rows without an example."""
        sizes = self.counts.sum(axis=1, keepdims=True)
        found: np.ndarray = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, sizes, out=found, where=sizes > 0)
        return found

    @property
    def error(self) -> float:
        """The share of all answers that are wrong."""
        return 1.0 - share_of(float(np.trace(self.counts)), float(self.counts.sum()))

    def pairs(self) -> tuple[Confused, ...]:
        """The classes that are taken for others, the most frequent confusion first."""
        off = self.counts * ~np.eye(len(self.classes), dtype=bool)
        shares = self.shares
        rows, columns = np.nonzero(off)
        order = np.lexsort((columns, rows, -shares[rows, columns], -off[rows, columns]))
        return tuple(
            Confused(
                right=self.classes[row],
                said=self.classes[column],
                num=int(off[row, column]),
                share=float(shares[row, column]),
            )
            for row, column in zip(rows[order], columns[order], strict=True)
        )

    def worst(self) -> tuple[OfClass, ...]:
        """The classes, that with the largest error first; those without an example last."""
        return tuple(sorted(self.by_class, key=lambda each: (math.isnan(each.error), -each.error)))

    def grid(self) -> Grid:
        """The matrix for a terminal; of many classes the pairs that are confused most."""
        if len(self.classes) > _IN_TERMINAL:
            return self._pairs_grid()
        names = columns = list(self.classes)
        if max(map(len, names)) > _LONG:
            columns = [str(place) for place, _ in enumerate(names, 1)]
            names = [f"{place}: {name}" for place, name in enumerate(names, 1)]
        shares = self.shares
        with_shares = len(names) <= _WITH_SHARES
        cells = [
            [self._cell(row, column, shares, with_shares) for column, _ in enumerate(names)]
            for row, _ in enumerate(names)
        ]
        return Grid(
            before=(
                "Rows are right classes, columns what the runs take them for; the last column is wrong.",
            ),
            columns=("class", *columns, "wrong"),
            rows=tuple(
                (name, *row, percents(each.error))
                for name, row, each in zip(names, cells, self.by_class, strict=True)
            ),
            left=("class",),
        )

    def _cell(self, row: int, column: int, shares: np.ndarray, with_share: bool) -> str:
        number = int(self.counts[row, column])
        if not number:
            return "·"
        return f"{number:,} ({percents(shares[row, column])})" if with_share else f"{number:,}"

    def _pairs_grid(self) -> Grid:
        found = self.pairs()
        left = len(found) - _MOST
        return Grid(
            before=("The classes that are confused most:",),
            columns=("class", "taken for", "times", "of its answers"),
            rows=tuple(
                (each.right, each.said, f"{each.num:,}", percents(each.share)) for each in found[:_MOST]
            ),
            left=("class", "taken for"),
            after=(f"and {count(left, 'more pair')}, which --json has",) if left > 0 else (),
        )

    @property
    def summary(self) -> str:
        """How much is wrong, as the end of a sentence."""
        return f"{percents(self.error)} of the answers are wrong"

    def grids(self) -> tuple[Grid, ...]:
        """For a terminal: the matrix, and how well each class is known, the worst first."""
        return self.grid(), class_grid(self.worst(), "class", self.over)

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "classes": list(self.classes),
            "runs": self.num_runs,
            "counts": self.counts.tolist(),
            "by_class": [of_class_json(each, "class") for each in self.by_class],
        }


def class_grid(rows: Sequence[OfClass], noun: str, over: str) -> Grid:
    """How well classes are known, for a terminal.

    Args:
        rows: in the order in which they are shown.
        noun: what one of them is called.
        over: what the intervals are over.
    """
    left = len(rows) - _MOST
    return Grid(
        before=(f"By {noun}, with 95 % intervals of the error over {over}:",),
        columns=(noun, *CLASS_TITLES, "from, to"),
        rows=tuple(class_cells(each) for each in rows[:_MOST]),
        left=(noun,),
        after=(f"and {left:,} more, which --json has",) if left > 0 else (),
    )


def of_class_json(each: OfClass, noun: str) -> dict[str, Any]:
    """A class as JSON has it."""
    return {
        noun: each.name,
        "examples": each.num,
        "precision": plain(each.precision),
        "recall": plain(each.recall),
        "f1": plain(each.f1),
        "error": plain(each.error),
        "interval": [plain(each.low), plain(each.high)],
    }


def class_cells(each: OfClass) -> tuple[str, ...]:
    """A class as a row of a table."""
    ends = NOTHING if math.isnan(each.low) else f"{100 * each.low:.1f} to {100 * each.high:.1f}"
    shares = (percents(value) for value in (each.precision, each.recall, each.f1, each.error))
    return (each.name, f"{each.num:,}", *shares, ends)


def percents(share: float) -> str:
    """A share in per cent; a dash where there is none."""
    return NOTHING if math.isnan(share) else f"{100 * share:.1f}\u00a0%"


def share_of(part: float, of: float) -> float:
    """A quotient; NaN where there is nothing to divide by."""
    return part / of if of else math.nan
