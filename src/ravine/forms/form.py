"""The base of all forms."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any, ClassVar, Self, dataclass_transform

from ravine.forms.reading import REQUIRED, read_fields
from ravine.forms.refused import Refused


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Form:
    """Base of the tables that people fill in: frozen, without conversions, and with hints for misspelt keys.

    Raises:
        Refused: a key is unknown or missing, or a value is not what its field's type says.

    Example:
        >>> class Point(Form):
        ...     left: float
        ...     top: float = 0.0
        >>> Point(left=1)
        Point(left=1.0, top=0.0)
        >>> try:
        ...     Point.of({"left": 1.0, "topp": 2.0})
        ... except Refused as error:
        ...     print(error.line("point.toml"))
        point.toml: topp: unknown key; did you mean 'top'? Allowed: left, top
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    """The fields in order, each with its default, or with `REQUIRED`."""

    about_unknown: ClassVar[Mapping[str, str]] = {}
    """Why it lacks a key that others have, by key."""

    def __init_subclass__(cls) -> None:
        own = {name: vars(cls).get(name, REQUIRED) for name in inspect.get_annotations(cls)}
        cls.defaults = {**cls.defaults, **own}

    def __init__(self, /, **values: Any) -> None:
        self._fill(values)

    @classmethod
    def of(cls, value: object) -> Self:
        """A form out of a table; a form of this kind is returned as it is."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise Refused("must be a table", value, by_type=True)
        form = cls.__new__(cls)
        form._fill(value)
        return form

    def _fill(self, values: Mapping[Any, Any]) -> None:
        vars(self).update(read_fields(type(self), self.defaults, values))
        try:
            self.check()
        except ValueError as error:
            raise Refused(" ".join(str(error).split()), values) from None

    def check(self) -> None:
        """See that the fields agree with each other.

        Raises:
            ValueError: they do not; in words for a person.
        """

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.values().values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.values().items())
        return f"{type(self).__name__}({fields})"

    def values(self) -> dict[str, Any]:
        """The fields with their values."""
        return {name: getattr(self, name) for name in self.defaults}

    def changed(self) -> dict[str, Any]:
        """Those fields that are not at their defaults."""
        return {name: value for name, value in self.values().items() if value != self.defaults[name]}

    def plain(self) -> dict[str, Any]:
        """The fields as JSON has them, a tuple as a list."""
        return {name: plain(value) for name, value in self.values().items()}

    def but(self, /, **values: Any) -> Self:
        """The same with other values."""
        return type(self).of({**self.values(), **values})


def plain(value: Any) -> Any:
    """A form, a dataclass or a value in one as JSON has it: tables, lists, numbers and texts."""
    if isinstance(value, Form):
        return value.plain()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, date | time):  # of TOML; a datetime is a date
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and math.isinf(value):
        return None  # JSON has no such number
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
