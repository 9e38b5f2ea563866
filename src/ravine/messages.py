"""Errors about what a person wrote, each in one line."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path

from ravine.errors import InputError, StudyError, choices, nearest, short, with_article

LONGEST_VALUE = 60
LARGEST_WHOLE = 2**63 - 1  # that arrays count to


def count(number: int, noun: str, many: str | None = None) -> str:
    """A number with its noun, which is singular for one.

    Args:
        number: how many.
        noun: the singular.
        many: the plural, where it is not what `plural` makes.

    Example:
        >>> count(1, "run"), count(1200, "run"), count(0, "class", "classes")
        ('1 run', '1,200 runs', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else many or plural(noun)}"


def plural(noun: str) -> str:
    """The noun for several.

    Example:
        >>> plural("rule"), plural("study"), plural("day")
        ('rules', 'studies', 'days')
    """
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def wrong(where: str, value: object, words: str) -> StudyError:
    """The error for a value of a study that is not allowed.

    Args:
        where: its key, such as ``"rules.0.lr"``.
        value: what the user wrote.
        words: what it must be.

    Example:
        >>> str(wrong("epochs", -1, "must be above 0"))
        'epochs = -1: must be above 0'
    """
    return StudyError(f"{where} = {shown(value)}: {words}", at=[tuple(where.split("."))], what="wrong")


def lacking(where: str, words: str = "missing, it must be given") -> StudyError:
    """The error for a key that a study lacks.

    Args:
        where: the key, such as ``"model.kind"``.
        words: what to say of it.

    Example:
        >>> str(lacking("model.kind"))
        'model.kind: missing, it must be given'
    """
    return StudyError(f"{where}: {words}", at=[tuple(where.split("."))], what="missing")


def unknown(where: str, key: object, allowed: Iterable[str], meant: str | None = None) -> StudyError:
    """The error for a key that a study cannot have.

    Args:
        where: the key of the table that it is in; "" for the study itself.
        key: the unknown key.
        allowed: the keys that the table may have.
        meant: the key that is meant, where it is known; None: one that is spelt like it.

    Example:
        >>> str(unknown("model", "hiden", ["hidden", "kind"]))
        "model.hiden: unknown key; did you mean 'hidden'? Allowed: hidden, kind"
    """
    names = list(allowed)
    table = tuple(where.split(".")) if where else ()
    hint = f"did you mean '{meant}'? {choices('', names, 'Allowed')}" if meant else choices(key, names)
    return StudyError(
        f"{'.'.join((*table, short(printable(str(key)))))}: unknown key; {hint}",
        at=[(*table, str(key))],
        meant=meant or nearest(key, names),
        what="unknown",
    )


def check_regular(path: Path) -> None:
    """Refuse a path that is neither a file nor a folder: reading a device or a pipe may never end.

    Raises:
        InputError: it is a device, a pipe or a socket.
        OSError: it does not exist, or may not be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError("is not a regular file: a device, a pipe or a socket cannot be read as one")


def shown(value: object) -> str:
    """A value as the user wrote it, or the beginning of it.

    Example:
        >>> shown("ful"), len(shown([1] * 99))
        ("'ful'", 60)
    """
    if isinstance(value, str | bytes | list | tuple):
        value = value[:LONGEST_VALUE]  # nobody needs the text of a list of millions
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer with more digits than Python writes
        return f"{with_article(type(value).__name__)} too large to show"
    except Exception:  # noqa: BLE001 (whatever an object of the user's raises)
        return with_article(type(value).__name__)
    return printable(short(" ".join(map(str.strip, text.splitlines())), LONGEST_VALUE))


def one_of(key: str, value: object, allowed: Iterable[str]) -> str:
    """A word that an argument may be.

    Raises:
        InputError: it is another, or no word.

    Example:
        >>> one_of("select", "top", ["all", "top"])
        'top'
    """
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    raise InputError(f"{key} = {shown(value)}: {choices(value, names)}")


def as_float(value: object) -> float | None:
    """A number as a float, perhaps infinite or NaN; None for what is no number, or larger than a float can be.

    Example:
        >>> as_float(3), as_float("3"), as_float(10**400)
        (3.0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def positive(name: str, value: object, high: float = math.inf) -> float:
    """An argument that must be a finite number above 0.

    Args:
        name: the argument's.
        value: what the user gave.
        high: the largest that is allowed.

    Raises:
        InputError: it is something else.
    """
    number = as_float(value)
    if number is None or not 0.0 < number <= high or math.isinf(number):
        allowed = "a finite number above 0" if math.isinf(high) else f"a number above 0, at most {high:,.12g}"
        raise InputError(f"{name} = {shown(value)}: must be {allowed}")
    return number


def whole_number(name: str, value: object, low: int, high: int = LARGEST_WHOLE) -> int:
    """An argument that must be a whole number.

    Args:
        name: the argument's.
        value: what the user gave.
        low, high: the smallest and the largest that are allowed.

    Raises:
        InputError: it is something else.

    Example:
        >>> whole_number("points", 51, 3, 501)
        51
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not low <= int(value) <= high:  # type: ignore[call-overload]
        open_above = high == LARGEST_WHOLE and not (is_whole and int(value) > high)  # type: ignore[call-overload]
        allowed = f"of at least {low:,}" if open_above else f"from {low:,} to {high:,}"
        raise InputError(f"{name} = {shown(value)}: must be a whole number {allowed}")
    return int(value)  # type: ignore[call-overload,no-any-return]


def printable(text: str) -> str:
    """The text on one line: line breaks and control characters as escapes.

    Example:
        >>> printable("größe\\n")
        'größe\\\\n'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
