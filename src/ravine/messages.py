"""Errors about what a person wrote, each in one line."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from ravine.errors import InputError, StudyError, choices, nearest, short, with_article

LONGEST_VALUE = 60
UNKNOWN_KEY = "unknown_key"

# Names of union branches that pydantic mixes into a location; the user wrote no such key.
_BRANCH = re.compile(r"(int|float|str|bool|none|dict|bytes|constrained-\w+|[a-z-]+\[.*|[A-Z]\w*)", re.DOTALL)

_PLAIN = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} character(s)",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "none_required": "must be left out",
    "missing": "missing, it must be given",
    "union_tag_not_found": "missing, it must be given",
    "extra_forbidden": "unknown key",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} in it",
    "too_long": "must have at most {max_length} in it",
}


class Strict(BaseModel):
    """Base of the models that people fill in: frozen, without conversions, and with hints for misspelt keys.

    Example:
        >>> class Point(Strict):
        ...     left: float
        ...     top: float = 0.0
        >>> try:
        ...     Point.model_validate({"left": 1.0, "topp": 2.0})
        ... except ValidationError as error:
        ...     print(one_line(error, "point.toml"))
        point.toml: topp: unknown key; did you mean 'top'? Allowed: left, top
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            allowed = [field.alias or name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in allowed:
                    hint = choices(key, allowed).replace("{", "{{").replace("}", "}}")
                    context = {"key": str(key), "hint": hint, "meant": nearest(key, allowed)}
                    raise PydanticCustomError(UNKNOWN_KEY, "unknown key; {hint}", context)
        return data


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, which is singular for one.

    Args:
        number: how many.
        noun: the singular.
        plural: where it is not the singular with an s.

    Example:
        >>> count(1, "run"), count(1200, "run"), count(0, "class", "classes")
        ('1 run', '1,200 runs', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def one_line(error: ValidationError, where: str = "", *, inside: str = "", value: object = None) -> str:
    """The first fault that pydantic found, as one line for a person.

    Args:
        error: what pydantic raised.
        where: the file or function to name first, followed by a colon.
        inside: dotted key of the checked value.
        value: what was checked. It separates the user's keys from the tags of a union ("kind"), which pydantic
            mixes into its locations; without it a tag would be shown as if it were a key.

    Returns:
        For example ``"x.toml: data.missing = 'dorp': did you mean 'drop'? Allowed: drop, impute, refuse"``.
    """
    fault, words = _most_telling(error.errors(include_url=False), value)
    key = ".".join(short(part) for part in (inside, *map(str, _keys(fault, value))) if part)
    shown = _shown(fault)
    subject = f"{key} = {shown}" if key and shown else key or shown
    return ": ".join(part for part in (where, subject, " or ".join(words)) if part)


def refused(error: ValidationError, *, inside: str, value: object) -> StudyError:
    """The error for the first fault that pydantic found in a part of a study.

    Args:
        error: what pydantic raised.
        inside: dotted key of the checked value.
        value: what was checked.
    """
    fault, _ = _most_telling(error.errors(include_url=False), value)
    unknown = fault["type"] in {UNKNOWN_KEY, "extra_forbidden"}
    missing = fault["type"] in {"missing", "union_tag_not_found"}
    return StudyError(
        one_line(error, inside=inside, value=value),
        at=[(*inside.split("."), *map(str, _keys(fault, value)))],
        meant=fault.get("ctx", {}).get("meant"),
        what="unknown" if unknown else "missing" if missing else "wrong",
    )


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
    hint = f"did you mean '{meant}'? {choices('', names)}" if meant else choices(key, names)
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
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def printable(text: str) -> str:
    """The text on one line: line breaks and control characters as escapes.

    Example:
        >>> printable("größe\\n")
        'größe\\\\n'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _most_telling(faults: Sequence[ErrorDetails], value: object) -> tuple[ErrorDetails, list[str]]:
    """The fault to report, and what to say about it.

    A union reports every branch that did not fit. The branch that got furthest into the value is the one that the user
    meant; where all of them failed at once, the words name what each would take.
    """
    first = next((fault for fault in faults if fault["type"] in {UNKNOWN_KEY, "extra_forbidden"}), faults[0])
    top = _keys(first, value)[:1]
    branches: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for fault in faults:
        if _keys(fault, value)[:1] == top:
            branches.setdefault(_walk(fault, value)[1], []).append(fault)
    if len(branches) < 2:
        return first, [_words(first)]
    depth = {label: max(len(_keys(fault, value)) for fault in branch) for label, branch in branches.items()}
    deepest = [branch for label, branch in branches.items() if depth[label] == max(depth.values())]
    heads = [branch[0] for branch in deepest]
    fitting = [fault for fault in heads if not fault["type"].endswith("_type")]
    if fitting:  # the type was right, so the user meant this branch
        meant = min(fitting, key=lambda fault: fault["type"] == UNKNOWN_KEY)
        return meant, [_words(meant)]
    heads = [fault for fault in heads if _keys(fault, value) == _keys(heads[0], value)]
    words = list(dict.fromkeys(_words(fault) for fault in heads))
    return heads[0], [words[0], *(word.removeprefix("must be ") for word in words[1:])]


def _keys(fault: ErrorDetails, value: object) -> tuple[int | str, ...]:
    """The user's own keys that lead to a fault."""
    return (*_walk(fault, value)[0], *_own_key(fault))


def _walk(fault: ErrorDetails, value: object) -> tuple[tuple[int | str, ...], tuple[str, ...]]:
    """A location of pydantic's, split into the user's keys and the branches of unions."""
    keys: list[int | str] = []
    branches: list[str] = []
    here: Any = value
    tagged = False
    for number, part in enumerate(fault["loc"]):
        missing = fault["type"] == "missing" and number == len(fault["loc"]) - 1
        if value is None:
            known = isinstance(part, int) or not _BRANCH.fullmatch(part)
        elif isinstance(here, Mapping) and part in here and (tagged or here.get("kind") != part):
            known = True
        else:
            known = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if known or missing:
            keys.append(part)
            here = here[part] if known and value is not None else None
            tagged = False
        else:
            branches.append(str(part))
            tagged = True
    return tuple(keys), tuple(branches)


def _own_key(fault: ErrorDetails) -> list[str]:
    """The key that a fault of a whole table is about."""
    context = fault.get("ctx", {})
    if fault["type"] == UNKNOWN_KEY:
        return [str(context["key"])]
    if fault["type"].startswith("union_tag"):
        return [str(context["discriminator"]).strip("'")]
    return []


def _shown(fault: ErrorDetails) -> str:
    """The faulty value, where it is short enough to help; else an empty text."""
    given: Any = fault["input"]
    if fault["type"] in {UNKNOWN_KEY, "extra_forbidden", "missing", "union_tag_not_found"}:
        return ""
    if fault["type"] == "union_tag_invalid":
        given = given[_own_key(fault)[0]] if isinstance(given, Mapping) else fault.get("ctx", {})["tag"]
    if not isinstance(given, str | int | float | list | tuple):
        return ""
    text = shown(given)
    return "" if isinstance(given, list | tuple) and text.endswith("...") else text


def _words(fault: ErrorDetails) -> str:
    """What pydantic says, in plain words and with a hint of the nearest allowed name."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in {"literal_error", "enum"}:
        return _choice(fault["input"], str(context["expected"]))
    if kind == "union_tag_invalid":
        return _choice(context["tag"], str(context["expected_tags"]))
    if kind in {"value_error", "assertion_error"}:
        return " ".join(str(context["error"]).split())
    given: Any = fault["input"]
    if kind in ("tuple_type", "list_type") and isinstance(given, int | float) and not isinstance(given, bool):
        return f"must be a list: write [{shown(given)}]"
    if kind in _PLAIN:
        return _PLAIN[kind].format(**context)
    message = " ".join(fault["msg"].split())
    return message[:1].lower() + message[1:]


def _choice(given: object, expected: str) -> str:
    names = re.findall(r"'([^']*)'", expected)
    return choices(given, names) if names else f"allowed: {expected}"
