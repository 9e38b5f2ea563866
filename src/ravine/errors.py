"""What can go wrong, as one tree.

RavineError
└── InputError         the user's input is wrong: one line, exit code 2
    ├── StudyError     a study file or its Python twin
    ├── DataError      a data set, a file or a column of it
    ├── ModelError     a model or a module that cannot be trained as asked
    └── StoreError     a store that cannot be opened, read or written
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_NAMES = 40  # that a line lists: of a table's 500 columns nobody reads all


class RavineError(Exception):
    """Anything ravine raises on purpose; its text is one line for a person."""


class InputError(RavineError):
    """The user's input is wrong: names the file, key or argument, the value, and what is allowed."""


class StudyError(InputError):
    """A study cannot be read as written."""


class DataError(InputError):
    """A data set cannot be used as it is."""


class ModelError(InputError):
    """A model cannot be built or trained as asked."""


class StoreError(InputError):
    """A store cannot be opened, read or written."""


def choices(value: object, allowed: Iterable[str]) -> str:
    """The allowed names, or the first of many, with the nearest one before them if a typo is likely.

    Args:
        value: what the user wrote.
        allowed: the valid names.

    Returns:
        For example ``"did you mean 'adam'? Allowed: adam, momentum, sgd"``.

    Example:
        >>> choices("adma", ["sgd", "adam"])
        "did you mean 'adam'? Allowed: adam, sgd"
    """
    names = sorted(allowed)
    near = nearest(value, names)
    hint = f"did you mean '{near}'? " if near else ""
    more = f", ... ({len(names) - MOST_NAMES:,} more)" if len(names) > MOST_NAMES else ""
    return f"{hint}Allowed: {', '.join(names[:MOST_NAMES])}{more}"


def nearest(value: object, allowed: Iterable[str]) -> str | None:
    """The valid name that a typo most likely meant, whatever its capitals; None if none is near.

    Example:
        >>> nearest("ReLu", ["ReLU", "PReLU"]), nearest("x", ["adam"])
        ('ReLU', None)
    """
    folded: dict[str, str] = {}
    for name in allowed:
        folded.setdefault(name.casefold(), name)
    near = difflib.get_close_matches(str(value).casefold(), folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else None
