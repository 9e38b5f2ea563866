"""Names of classes: exact, and never two labels under one name."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column, number_name

_WHOLE = re.compile(r"[+-]?[0-9]+")
_PADDED = re.compile(r"[+-]?0[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """The classes of a column.

    Args:
        indices: int64 (N,), the class of each cell.
        names: of the classes, by index.
        numeric: they are the usual forms of numbers.
        notes: what should be known of them.
    """

    indices: npt.NDArray[np.int64]
    names: tuple[str, ...]
    numeric: bool = False
    notes: tuple[str, ...] = ()


def labels_of(column: Column) -> Labels:
    """Number the classes of a column: texts by the alphabet, numbers by size.

    Labels of a file are classes as they are written. Where no two texts are the same number and none has a leading
    zero, they are numbers, and their usual form is the name ("2.0" is "2"); else the text itself is ("01" and "1").

    Args:
        column: no cell of it missing.

    Example:
        >>> labels_of(Column(name="y", values=np.array([10.0, 9.0]), exact=np.array(["10", "9"], object))).names
        ('9', '10')
    """
    if column.text:
        texts = sorted(set(column.values))
        return _numbered(
            list(column.values), {cell: cell for cell in texts}, notes=_lookalikes(column.name, texts)
        )
    assert column.exact is not None, "a target has its cells as they came"
    if column.exact.dtype.kind in "iubf":
        different, which = np.unique(column.exact, return_inverse=True)
        indices = which.reshape(-1).astype(np.int64)
        return Labels(indices=indices, names=tuple(map(number_name, different)), numeric=True)
    cells = list(column.exact)
    if isinstance(cells[0], str):
        names, notes = _of_texts(column.name, set(cells))
        return _numbered(cells, names, numeric=not notes, notes=notes)
    order = sorted(set(cells), key=lambda cell: Fraction(*cell.as_integer_ratio()))
    return _numbered(cells, {cell: number_name(cell) for cell in order}, numeric=True)


def _numbered(
    cells: list[Any], names: dict[Any, str], *, numeric: bool = False, notes: tuple[str, ...] = ()
) -> Labels:
    index = {cell: i for i, cell in enumerate(names)}
    indices = np.array([index[cell] for cell in cells], dtype=np.int64)
    return Labels(indices=indices, names=tuple(names.values()), numeric=numeric, notes=notes)


def _of_texts(column: str, texts: set[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Names of numbers that were texts, by size."""
    size = {text: _exactly(text) for text in texts}
    order = sorted(texts, key=lambda text: (size[text], text))
    names = {text: usual(text) for text in order}
    padded = next((text for text in order if _PADDED.match(text)), None)
    pairs = pairwise(order)
    twins = next(((a, b) for a, b in pairs if size[a] == size[b] or names[a] == names[b]), None)
    if padded is None and twins is None:
        return names, ()
    why = f"{twins[0]!r} and {twins[1]!r} are two classes" if twins else f"{padded!r} keeps its zero"
    return {text: text for text in order}, (f"target {column!r}: its labels are texts as written: {why}",)


def _lookalikes(column: str, texts: list[str]) -> tuple[str, ...]:
    """A note on the first two labels that differ only in capitals, accents' encoding, or signs that nobody sees."""
    seen: dict[str, str] = {}
    for text in texts:
        plain = "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isprintable())
        plain = " ".join(unicodedata.normalize("NFKC", plain.casefold()).split())
        if plain in seen:
            first = seen[plain]
            seen_apart = first.casefold() != text.casefold() or not (first + text).isprintable()
            pair = " and ".join(map(ascii if seen_apart else repr, (first, text)))
            why = "in signs that nobody sees" if seen_apart else "in capitals"
            return (f"target {column!r}: {pair} are two classes, though they differ only {why}",)
        seen[plain] = text
    return ()


def _exactly(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # Python's float takes it, whatever it is
        number = Decimal(float(text))
    return number


def usual(text: str) -> str:
    """The usual form of a number's text: no plus, no fraction of zeros; whole numbers digit by digit."""
    if _WHOLE.fullmatch(text) and text.isascii():
        return text.lstrip("+") if text.strip("+-").strip("0") else "0"
    return number_name(float(text))


def label_texts(column: Column, *, numeric: bool) -> list[str]:
    """Each cell of a new target as the name that it gives its class.

    Args:
        column: no cell of it missing.
        numeric: whether the classes are numbers, so that "2.0" is "2".
    """
    labels = labels_of(column)
    names = list(labels.names)
    if numeric and column.text:
        names = [usual(name.strip()) if _is_number(name) else name for name in names]
    return [names[index] for index in labels.indices]


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text))) and "_" not in text
    except ValueError:
        return False
