"""Errors of a study begin with its file, and wrong keywords read like wrong keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import ParamSpec

from ravine.errors import InputError, StudyError
from ravine.messages import printable, unknown

P = ParamSpec("P")
_LONGEST_ORIGIN = 300


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
                raise unknown("", key, allowed)
        missing = [key for key in needed if key not in kwargs]
        if missing and len(args) == 1:  # what is not given by keyword is left to Python
            raise StudyError(
                f"{', '.join(missing)}: missing, must be given", at=[(k,) for k in missing], what="missing"
            )
        init(*args, **kwargs)

    return checked


@contextmanager
def naming(origin: str) -> Iterator[None]:
    """Errors of the user's that pass through begin with the name of the file, and are one line."""
    try:
        yield
    except InputError as error:
        begins = f"{_shortened(origin)}: " if origin else ""
        text = printable(str(error) if str(error).startswith(begins) else f"{begins}{error}")
        named = type(error)(text, at=error.at, meant=error.meant, what=error.what, each=error.each)
        raise named from error.__cause__


def _shortened(origin: str) -> str:
    return origin if len(origin) <= _LONGEST_ORIGIN else f"{origin[: _LONGEST_ORIGIN - 3]}..."
