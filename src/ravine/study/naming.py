"""How values and places are told in an error's one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ravine.errors import InputError

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


@contextmanager
def naming(origin: str) -> Iterator[None]:
    """Errors of the user's that pass through begin with the name of the file, and are one line."""
    try:
        yield
    except InputError as error:
        text = f"{origin}: {error}" if origin else str(error)
        raise type(error)(printable(text)) from error.__cause__
