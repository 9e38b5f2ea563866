"""Regular expressions that are searched for in names: of layers, of parameters."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from ravine.messages import wrong

LONGEST_PATTERN = 1000
_MOST_OPEN = 6  # a search takes up to as many steps as a name has letters, to this power
_MOST_WAYS = 10_000  # of choosing between its alternatives
_TOKEN = re.compile(
    r"""\\. | \[\^?\]?(?:\\.|[^\]\\])*\] | \(\?\#[^)]*\) | \( | \) | \|
    | (?P<times>[*+?]|\{\d+\}|\{\d*,\d*\}) [?+]? | .""",
    re.VERBOSE | re.DOTALL,
)


def parse_pattern(value: object, where: str, before: str = "") -> str | None:
    """A regular expression that is searched for in names; None is none.

    Python's search tries one way after another, and some patterns have more ways than anybody can wait for: these are
    refused.

    Args:
        value: what the user wrote, without `before`.
        where: its key, for errors.
        before: what precedes it in the user's text, such as ``match:``; for errors.

    Raises:
        StudyError: it is none, too long, or could take for ever.

    Example:
        >>> parse_pattern("block[0-9]+_.*", "exclude")
        'block[0-9]+_.*'
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong(where, value, "must be a regular expression, as text")
    written = before + value
    if len(value) > LONGEST_PATTERN:
        raise wrong(where, written, f"must have at most {LONGEST_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set": it would not mean what it seems to
            made = re.compile(value)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise wrong(where, written, f"must be a regular expression: {error}") from None
    if made.flags & re.VERBOSE:
        raise wrong(where, written, "(?x) is not allowed here")
    if (fault := _endless(value)) is not None:
        raise wrong(where, written, f"could take for ever: {fault}")
    return value


def _endless(pattern: str) -> str | None:
    """Why a search could take for ever; None where it cannot.

    It can where what is repeated may itself be read in several ways: their number is then a power of the name's length.
    """
    groups = [_Group()]  # those around this place
    last: _Group | None = None  # the group that has just ended
    num_open, ways = 0, 1
    for token, times in _tokens(pattern):
        if times:
            low, comma, high = times.strip("{}").partition(",") if times[0] == "{" else ("", ",", times)
            fixed, once = not comma, high in ("?", "1") or (not comma and low in ("0", "1"))
            if last is not None and last.varies and not once:
                return f"{times!r} repeats a group in which there is a choice or a repetition"
            num_open += not fixed and not once
            ways *= 2 if once and not fixed else 1
            groups[-1].varies |= not fixed
        elif token == "(":
            groups.append(_Group())
        elif token == "|":
            groups[-1].varies = True
            groups[-1].alternatives += 1
        last = groups.pop() if token == ")" else None
        if last is not None:
            ways *= last.alternatives
            groups[-1].varies |= last.varies
    if num_open > _MOST_OPEN:
        return f"it has {num_open} repetitions of any length; at most {_MOST_OPEN} are allowed"
    return "it has too many choices" if ways > _MOST_WAYS else None


@dataclass(slots=True)
class _Group:
    """Part of a pattern: whether it may be read in several ways, and its alternatives."""

    varies: bool = False
    alternatives: int = 1


def _tokens(pattern: str) -> Iterator[tuple[str, str | None]]:
    """The parts of a pattern, with how often the one before may occur where a part says that."""
    inside = False
    for found in _TOKEN.finditer(pattern):
        token = found.group()
        if token.startswith("(?#"):
            continue
        times = found["times"]
        if inside and times == "?":  # (?:, (?P<name>, (?=
            times = None
        inside = token == "("
        yield token, times
