"""A table of plain rows as a data frame of pandas or Polars, neither of which is needed otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.errors import InputError, choices
from ravine.outcomes.runs import Cell

LIBRARIES = ("pandas", "polars")


def framed(rows: Sequence[Mapping[str, Cell]], library: str) -> Any:
    """Rows as a data frame.

    A column of numbers is one of whole numbers where all of them are and none is missing, else of floats; a column with
    texts in it has texts alone. What a row does not have is NaN in pandas' numbers, and null or None elsewhere.

    Args:
        rows: with the same columns.
        library: "pandas" or "polars".

    Raises:
        InputError: there is no such library, or it is not installed.
    """
    if library not in LIBRARIES:
        raise InputError(f"frame: {library!r} is unknown; {choices(library, LIBRARIES)}")
    columns = {name: _of_one_type([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    try:
        if library == "pandas":
            import pandas

            return pandas.DataFrame(columns)
        import polars

        return polars.DataFrame(columns)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise InputError(f"frame: {library} is not installed: pip install {library}") from None


def _of_one_type(cells: Sequence[Cell]) -> list[Cell]:
    known = [cell for cell in cells if cell is not None]
    if any(isinstance(cell, str) for cell in known):
        return [None if cell is None else str(cell) for cell in cells]
    if len(known) == len(cells) and all(isinstance(cell, int) for cell in known):
        return list(cells)
    return [None if cell is None else float(cell) for cell in cells]
