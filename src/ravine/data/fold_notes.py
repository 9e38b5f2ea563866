"""What was done to the data of a study with folds: the notes of all folds, each once, with how many folds say it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ravine.data.dataset import Dataset
from ravine.data.deal_folds import FoldOf

_NUMBER = re.compile(r"(?:(?<!\w)[-−])?\d(?:[\d,.]*\d)?(?:e[-+]?\d+)?")  # its sign and exponent too


def notes_in(data: Dataset) -> tuple[str, ...]:
    """The notes of a data set; of one with folds those of all of them, which then are made."""
    if data.folds is None:
        return data.notes
    return gathered({part: data.folds.of(part).notes for part in data.folds.sizes})


def gathered(notes: Mapping[FoldOf, Sequence[str]]) -> tuple[str, ...]:
    """The notes of several folds as one list.

    Args:
        notes: of each fold.

    Returns:
        What all folds say as it is; of anything else, in how many folds it is so. Notes that differ in their numbers
        are one, with the numbers of the first fold that says it.

    Example:
        >>> some = [["a was cut", "3 rows are copies"], ["a was cut", "5 rows are copies"], ["a was cut"]]
        >>> for note in gathered({FoldOf(fold=fold, repeat=0): each for fold, each in enumerate(some)}):
        ...     print(note)
        a was cut
        3 rows are copies (in fold 0 of repeat 0; with other numbers in 1 more of 3 folds)
    """
    found: dict[str, list[tuple[FoldOf, str]]] = {}
    for part, texts in notes.items():
        for text in texts:
            found.setdefault(_NUMBER.sub("#", text), []).append((part, text))
    return tuple(_said(own, len(notes)) for own in found.values())


def _said(own: Sequence[tuple[FoldOf, str]], num: int) -> str:
    """A note with the folds that it is about."""
    part, first = own[0]
    folds = {each for each, _ in own}
    if len({text for _, text in own}) == 1:
        return first if len(folds) == num else f"{first} (in {len(folds)} of {num} folds)"
    return f"{first} (in {part.words}; with other numbers in {len(folds) - 1} more of {num} folds)"
