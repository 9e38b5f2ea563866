"""How values and places are told in an error's one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import ParamSpec

from ravine.errors import InputError, StudyError, choices

P = ParamSpec("P")

LONGEST = 60


def shown(value: object) -> str:
    """A value as the user wrote it, or the beginning of it.

    Example:
        >>> shown("ful"), len(shown([1] * 99))
        ("'ful'", 60)
    """
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python writes
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def printable(text: str) -> str:
    """The text on one line: line breaks and control characters as escapes.

    Example:
        >>> printable("größe\\n")
        'größe\\\\n'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def known_keywords(init: Callable[P, None]) -> Callable[P, None]:
    """A constructor whose unknown and missing keywords are a `StudyError` with the nearest name, as in a file.

    Python's TypeError would name neither what is allowed nor the nearest, and is no error of ravine's.

    Args:
        init: takes keywords only.
    """
    parameters = list(signature(init).parameters.values())[1:]
    allowed = [each.name for each in parameters if not each.name.startswith("_")]
    needed = [each.name for each in parameters if each.default is each.empty]

    @wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        for key in kwargs:
            if key not in allowed and not key.startswith("_"):
                raise StudyError(f"{key}: unknown key; {choices(key, allowed)}")
        missing = [key for key in needed if key not in kwargs]
        if missing and len(args) == 1:  # what is not given by keyword is left to Python
            raise StudyError(f"{', '.join(missing)}: missing, must be given")
        init(*args, **kwargs)

    return checked


@contextmanager
def naming(origin: str) -> Iterator[None]:
    """Errors of the user's that pass through begin with the name of the file, and are one line."""
    try:
        yield
    except InputError as error:
        text = f"{origin}: {error}" if origin else str(error)
        raise type(error)(printable(text)) from error.__cause__
