"""Reads a value as a type says.

A type is an int, a float, a str, a bool, a `Literal`, a tuple (a list of a file's), a dict, a form, a dataclass of such
fields, or one of several of them. A function in `Annotated` checks the value instead, and raises ValueError with words
for a person. No number is made of a text or of a bool; a float is finite.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ravine.errors import choices, nearest
from ravine.forms.refused import Refused
from ravine.messages import shown

REQUIRED: Any = inspect.Parameter.empty
"""The default of a field that has none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a number, or the length of a text or a list, may be.

    Args:
        least, most: the smallest and the largest number that is allowed.
        above, below: numbers that it must not reach.
        shortest, longest: the length of a text or a list.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    shortest: int = 0
    longest: int | None = None


_FREE = Limits()


def read(kind: Any, value: object) -> Any:
    """A value as a type says.

    Args:
        kind: a type, as an annotation has it.
        value: plain data, or what such a type already made of it.

    Raises:
        Refused: the value is something else.

    Example:
        >>> read(tuple[int, ...], [1, 2]), read(Annotated[float, Limits(above=0.0)] | None, 3)
        ((1, 2), 3.0)
    """
    if get_origin(kind) is not Annotated:
        return _read(kind, value, _FREE)
    base, *marks = get_args(kind)
    limits = _FREE
    for mark in marks:
        if isinstance(mark, Limits):
            limits = mark
        else:
            try:
                return mark(value)
            except Refused:
                raise
            except ValueError as error:
                raise Refused(" ".join(str(error).split()), value) from None
    return _read(base, value, limits)


def read_fields(kind: type, defaults: Mapping[str, Any], values: Mapping[Any, Any]) -> dict[str, Any]:
    """The value of every field, read or by default.

    Args:
        kind: the class that has the fields.
        defaults: of the fields, in order.
        values: what was given, by name.

    Raises:
        Refused: a key is unknown or missing, or a value is not what its field's type says.
    """
    for key in values:
        if key not in defaults:
            about = getattr(kind, "about_unknown", {}).get(key)
            hint = f"{about}; {choices('', defaults)}" if about else choices(key, defaults)
            meant = nearest(key, defaults)
            raise Refused(f"unknown key; {hint}", values, (str(key),), what="unknown", meant=meant)
    found, kinds = {}, _kinds(kind)
    for name, default in defaults.items():
        if name in values:
            found[name] = _item(kinds[name], values[name], name)
        elif default is REQUIRED:
            raise Refused("missing, it must be given", values, (name,), what="missing")
        else:
            found[name] = dict(default) if isinstance(default, dict) else default  # each form has its own
    return found


def _read(kind: Any, value: object, limits: Limits) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin is Literal:
        return _choice(get_args(kind), value)
    if origin in (Union, UnionType):
        return _one_of(get_args(kind), value)
    if origin is tuple:
        return _list(get_args(kind), value, limits)
    if origin is dict:
        return _table(get_args(kind)[1], value)
    if hasattr(kind, "defaults"):  # a form
        return kind.of(value)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value)
    return _plain(kind, value, limits)


@cache
def _kinds(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _item(kind: Any, value: object, key: str) -> Any:
    try:
        return read(kind, value)
    except Refused as fault:
        raise fault.under(key) from None


def _choice(allowed: Sequence[Any], value: object) -> Any:
    for each in allowed:
        alike = isinstance(value, str) if isinstance(each, str) else type(value) is type(each)
        if alike and value == each:  # of a subclass of str too, such as NumPy's
            return each
    texts = [each for each in allowed if isinstance(each, str)]
    if texts:
        raise Refused(choices(value, texts), value)
    *most, last = map(str, allowed)
    raise Refused(f"allowed: {' or '.join(part for part in (', '.join(most), last) if part)}", value)


def _one_of(kinds: Sequence[Any], value: object) -> Any:
    """Of several types, the one that fits; else the fault of the one that is meant."""
    if value is None and NoneType in kinds:
        return None
    some = [kind for kind in kinds if kind is not NoneType]
    named = {_kind_of(kind): kind for kind in some}
    if len(some) > 1 and None not in named and len(named) == len(some):
        return _named(named, value)
    faults = []
    for kind in some:
        try:
            return read(kind, value)
        except Refused as fault:
            faults.append(fault)
    # The type that got furthest into the value is meant, or one whose own type the value has.
    deepest = max(len(fault.keys) for fault in faults)
    faults = [fault for fault in faults if len(fault.keys) == deepest]
    for each in faults:
        if not each.by_type:
            raise each
    words = list(dict.fromkeys(fault.words for fault in faults))
    words[1:] = [word.removeprefix("must be ") for word in words[1:]]
    first = faults[0]
    raise Refused(" or ".join(words), first.value, first.keys, by_type=True)


def _kind_of(kind: Any) -> str | None:
    """The name by which a table says that it is of this type."""
    name = getattr(kind, "defaults", {}).get("kind")
    if name is None and dataclasses.is_dataclass(kind):
        name = next((field.default for field in dataclasses.fields(kind) if field.name == "kind"), None)
    return name if isinstance(name, str) else None


def _named(kinds: Mapping[Any, Any], value: object) -> Any:
    if isinstance(value, tuple(kinds.values())):
        return value
    if not isinstance(value, Mapping):
        raise Refused("must be a table", value, by_type=True)
    if "kind" not in value:
        raise Refused("missing, it must be given", value, ("kind",), what="missing")
    name = value["kind"]
    if not isinstance(name, str) or name not in kinds:
        raise Refused(choices(name, kinds), name, ("kind",))
    return read(kinds[name], value)


def _list(kinds: Sequence[Any], value: object, limits: Limits) -> tuple[Any, ...]:
    if type(value).__name__ == "ndarray":  # NumPy's, which is not imported for it
        value = value.tolist()  # type: ignore[attr-defined]
    if not isinstance(value, list | tuple):
        number = isinstance(value, int | float) and not isinstance(value, bool) and kinds[0] is not str
        raise Refused(f"must be a list{f': write [{shown(value)}]' if number else ''}", value, by_type=True)
    if kinds[-1:] == (...,):
        most, each = limits.longest, [kinds[0]] * len(value)
    else:
        most, each = len(kinds), list(kinds)
    if most is not None and len(value) > most:
        raise Refused(f"must have at most {most} in it", value)
    if len(value) < limits.shortest:
        raise Refused(f"must have at least {limits.shortest} in it", value)
    found = tuple(_item(kind, item, str(i)) for i, (kind, item) in enumerate(zip(each, value, strict=False)))
    if len(found) < len(each):
        raise Refused("missing, it must be given", value, (str(len(found)),), what="missing")
    return found


def _table(kind: Any, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused("must be a table", value, by_type=True)
    for key in value:
        if not isinstance(key, str):
            raise Refused("its keys must be texts", key, (str(key),))
    return {key: _item(kind, item, key) for key, item in value.items()}


def _dataclass(kind: Any, value: object) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise Refused("must be a table", value, by_type=True)
    defaults = {
        field.name: REQUIRED if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(kind)
    }
    return kind(**read_fields(kind, defaults, value))


def _plain(kind: type, value: Any, limits: Limits) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise Refused("must be true or false", value, by_type=True)
    if kind is str:
        if not isinstance(value, str):
            raise Refused("must be text", value, by_type=True)
        if len(value) < limits.shortest:
            raise Refused("must not be empty", value)
        if limits.longest is not None and len(value) > limits.longest:
            raise Refused(f"must have at most {limits.longest} character(s)", value)
        try:
            return value.encode().decode()  # of a subclass too: a text and no more
        except UnicodeEncodeError:
            raise Refused("must be text: half of a character is in it", value) from None
    return _number(value, limits, whole=kind is int)


def _number(value: Any, limits: Limits, *, whole: bool) -> int | float:
    made: Any = int if whole else float
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise Refused(f"must be a {'whole ' if whole else ''}number", value, by_type=True)
    try:
        number: int | float = made(value)
    except OverflowError:
        number = math.inf
    if not whole and not math.isfinite(number):
        raise Refused("must be a finite number", value)
    for fits, words, limit in (
        (limits.above is None or number > limits.above, "greater than", limits.above),
        (limits.least is None or number >= limits.least, "at least", limits.least),
        (limits.below is None or number < limits.below, "less than", limits.below),
        (limits.most is None or number <= limits.most, "at most", limits.most),
    ):
        if not fits:
            raise Refused(f"must be {words} {limit}", value)
    return number
