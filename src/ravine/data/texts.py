"""Columns out of the texts of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column, Place, objects
from ravine.data.numerals import Numerals, advice, looks_like
from ravine.errors import DataError

# Texts that stand for an empty cell, in lower case; and those among them that may be a name where a column is
# said to be one of names: NA is Namibia, Null a surname.
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "nan", "null"})
WORDS = frozenset({"na", "nan", "null"})
# Texts that are an empty cell only among numbers: in a column of names they may be a name.
MARKERS = frozenset({"-", "--", "n.a.", "n.a", "none", "<na>", "#na", "#n/a n/a"})

# What may be done about a word among numbers: in a column of features, and in the target.
CURE = "put {name} in drop or in categorical"
TARGET_CURE = 'take the line out, or say task = "classification" to read all of {name} as names'

_SIGNS = {"currency": "an amount with a currency sign", "percent": "a percentage"}
PLAIN = Numerals()


def text_column(
    name: str,
    cells: npt.NDArray[np.str_],
    place: Place,
    *,
    numerals: Numerals = PLAIN,
    keep_text: bool = False,
    cure: str = CURE,
    exact: bool = False,
    words: bool = True,
    markers: bool = True,
    number: bool = False,
) -> Column:
    """A column out of the texts of a file: numbers if every cell that is not missing is one.

    Args:
        name: of the column.
        cells: its texts.
        place: where a row is, for errors.
        numerals: how its numbers are written.
        keep_text: leave numbers as names.
        cure: what may be done about a word among numbers.
        exact: keep the texts of numbers, of which names can be made.
        words: NA, NaN and null in a column of names are names and no empty cells.
        markers: a dash, n.a. and the like are empty cells where most of the column is numbers.
        number: it is known to be a column of numbers: markers are empty cells however many there are.

    Raises:
        DataError: most cells are numbers, but not all; or they are numbers written in another way.
    """
    if keep_text:
        return Column(name=name, values=_names(cells, MISSING - WORDS if words else MISSING))
    numbers = numerals.numbers(cells) if numerals == PLAIN else None
    if numbers is not None:
        values = exact_texts(cells, numerals) if exact else None
        return Column(name=name, values=numbers, whole=_whole(cells.tolist()), exact=values)
    present = [cell for cell in set(cells.tolist()) if cell.strip().lower() not in MISSING]
    plain = {cell: text for cell in present if (text := numerals.plain(cell)) is not None}
    marks = _marks(cells, present, plain, number=number) if markers else frozenset()
    present = [cell for cell in present if cell not in marks]
    if len(plain) == len(present) > 0:
        known = {cell: float(text) for cell, text in plain.items()}
        column = np.array([known.get(cell, np.nan) for cell in cells.tolist()], dtype=np.float64)
        values = exact_texts(cells, numerals) if exact else None
        read = tuple(sorted({cell.strip() for cell in marks}))
        return Column(name=name, values=column, whole=_whole(plain.values()), exact=values, markers=read)
    _check_numbers(name, cells, plain, marks, place, numerals, cure)
    return Column(name=name, values=_names(cells, MISSING | {cell.strip().lower() for cell in marks}))


def _marks(
    cells: npt.NDArray[np.str_], present: Collection[str], plain: Collection[str], *, number: bool
) -> frozenset[str]:
    """Which texts mark an empty cell: none where at least half of the column is no number."""
    found = frozenset(cell for cell in present if cell.strip().lower() in MARKERS)
    if not found or number:
        return found
    counts = Counter(cells.tolist())
    words = sum(counts[cell] for cell in present if cell not in plain)
    return found if words < sum(counts[cell] for cell in present) / 2 else frozenset()


def leading_zero(cells: npt.NDArray[np.str_]) -> str | None:
    """The first text that is digits after a zero, as postcodes are; None if there is none.

    Example:
        >>> leading_zero(np.array(["0.5", "0", "10", "01067"])), leading_zero(np.array(["0.5"]))
        ('01067', None)
    """
    if len(cells) == 0 or cells.dtype.itemsize < 8:
        return None
    letters = np.ascontiguousarray(cells).view("U1").reshape(len(cells), -1)
    found = (letters[:, 0] == "0") & (letters[:, 1] >= "0") & (letters[:, 1] <= "9")
    return str(cells[found.argmax()]).strip() if found.any() else None


def kept_words(cells: npt.NDArray[np.str_]) -> list[str]:
    """Words of a column of names that would be an empty cell elsewhere: NA, NaN, null."""
    return sorted({cell.strip() for cell in set(cells.tolist()) if cell.strip().lower() in WORDS})


def _names(cells: npt.NDArray[np.str_], missing: frozenset[str]) -> npt.NDArray[np.object_]:
    tidy: dict[str, str | None] = {}
    for cell in set(cells.tolist()):
        text = cell.strip()
        tidy[cell] = None if text.lower() in missing else text
    return objects([tidy[cell] for cell in cells.tolist()])


def exact_texts(cells: npt.NDArray[np.str_], numerals: Numerals) -> npt.NDArray[np.object_]:
    """Numbers as Python would write them, digit by digit; None for a missing cell."""
    known = {
        cell: None if cell.strip().lower() in MISSING else numerals.plain(cell)
        for cell in set(cells.tolist())
    }
    return objects([known[cell] for cell in cells.tolist()])


def _check_numbers(
    name: str,
    cells: npt.NDArray[np.str_],
    plain: Mapping[str, str],
    marks: Collection[str],
    place: Place,
    numerals: Numerals,
    cure: str,
) -> None:
    """Refuse a typo among numbers, and numbers that would become names because of how they are written."""
    counts = Counter(cells.tolist())
    present = {
        cell: count
        for cell, count in counts.items()
        if cell.strip().lower() not in MISSING and cell not in marks
    }
    bad = {cell: count for cell, count in present.items() if cell not in plain}
    quoted = repr(name)

    def refused(some: Collection[str], what: str | None = None) -> DataError:
        row = next(row for row, cell in enumerate(cells.tolist()) if cell in some)
        cell = str(cells[row])
        return DataError(
            f"{place(row)}: column {quoted}: {cell.strip()!r} {what or numerals.contradicts(cell)}"
        )

    doubtful = {cell for cell in bad if numerals.contradicts(cell)}
    if doubtful:
        raise refused(doubtful)
    numbers = looks_like(bad)
    if sum(bad[cell] for cell in numbers) > sum(bad.values()) / 2:
        otherwise = f"or put {quoted} in categorical if it is a name"
        for kind, what in _SIGNS.items():
            signs = {cell for cell in numbers if numbers[cell] == kind}
            if signs:
                raise refused(signs, f"is {what}; take the sign out of the column, {otherwise}")
        raise refused(numbers, f"{advice(numbers, plain.values())}, {otherwise}")
    if sum(bad.values()) < sum(present.values()) / 2:
        cures = f"correct it, empty the cell if nothing is known, or {cure.format(name=quoted)}"
        what = f"is not a number, most of the column is; {cures}"
        raise refused(bad, what)


def _whole(cells: Iterable[str]) -> bool:
    return not set(".eEiI") & set("".join(cells))  # an i as in inf
