"""What a verdict shows of itself: tables as text and in a notebook, runs as a data frame, a page, rows of its JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ravine.grid import Grid
from ravine.outcomes import words
from ravine.outcomes.framed import framed
from ravine.outcomes.runs import Cell, plain
from ravine.verdict import Measure, Pair


class Presented(ABC):
    """A verdict on runs.

    Attributes:
        page: writes its page to a file; handed in, because pages lie above this room.
    """

    __slots__ = ()
    page: Callable[[Any, str | Path], Path]

    @abstractmethod
    def table(self) -> list[dict[str, Cell]]:
        """A row per run, for a data frame or a CSV file; what a run doesn't have is None."""

    @abstractmethod
    def grids(self) -> list[Grid]:
        """All tables of it, the verdict first."""

    def frame(self, library: str) -> Any:
        """`table` as a data frame, where that library is installed.

        Args:
            library: "pandas" or "polars".

        Raises:
            InputError: it is neither, or not installed.
        """
        return framed(self.table(), library)

    def report(self, path: str | Path) -> Path:
        """Write the verdict as a page: one HTML file with figures, which needs no network.

        Args:
            path: the file, ending in .html.

        Returns:
            The path.

        Raises:
            InputError: the name is none of a page's, or the file can't be written.
        """
        return self.page(self, path)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.grids()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())


def pair_json(pair: Pair) -> dict[str, Any]:
    """A pair of a verdict, as ``--json`` has it."""
    return {
        "first": pair.first,
        "second": pair.second,
        "difference": plain(pair.difference),
        "ci": [plain(end) for end in pair.ci or (None, None)],
        "p": plain(pair.p_corrected),
        "separable": bool(pair.separable),
    }


def interval_json(measure: Measure, ci: tuple[float, float] | None) -> list[Cell]:
    """The interval of a score, as people know the score, the smaller end first; two times None where there is none."""
    return [plain(end) for end in sorted(measure.readable(end) for end in ci)] if ci else [None, None]


def score_json(measure: Measure, score: float | None) -> Cell:
    """A score, as people know it; None where there is none."""
    return plain(words.readable(measure, score))
