"""A verb's signature as options and arguments, and the kinds of them that verbs share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ravine.errors import InputError

Verb = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Shown:
    """How an option or argument is shown in help, where its type does not say it all.

    Args:
        metavar: placeholder for its value.
    """

    metavar: str


StudyFile = Annotated[Path, Shown("STUDY.toml")]
StudyName = Annotated[str, Shown("STUDY")]
StudyNames = Annotated[str, Shown("STUDY STUDY ...")]
StudyOrFile = Annotated[str, Shown("STUDY|STUDY.toml")]
RunId = Annotated[str, Shown("RUN")]
RunIds = Annotated[str | None, Shown("RUN,RUN")]
Set = Annotated[tuple[str, ...], Shown("KEY=VALUE")]
Trust = Annotated[tuple[str, ...], Shown("PACKAGE")]
Store = Annotated[str, Shown("FOLDER")]
Stores = Annotated[tuple[str, ...], Shown("FOLDER")]
Compare = Annotated[str | None, Shown("FACTOR")]
Metric = Annotated[str | None, Shown("METRIC")]
File = Annotated[Path | None, Shown("FILE")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option, or an argument, of a verb.

    Args:
        key: its parameter.
        type: of one value: str, int, float, Path or bool.
        allowed: the values that it takes; () for any.
        default: `inspect.Parameter.empty` if it must be given; () of one that may be given several times.
        metavar: placeholder for its value in help.
        positional: an argument, without a name on the command line.
        many: it may be given several times.
    """

    key: str
    type: type
    allowed: tuple[str, ...]
    default: Any
    metavar: str
    positional: bool
    many: bool

    @property
    def flag(self) -> bool:
        """It takes no value."""
        return self.type is bool

    @property
    def name(self) -> str:
        """As the user writes it."""
        if self.positional:
            return self.metavar
        return f"--{'no-' if self.default is True else ''}{self.key.replace('_', '-')}"

    def value(self, text: str) -> Any:
        """The value that a text is read as.

        Raises:
            InputError: it is no value of this option; says what is allowed.
        """
        if self.allowed and text not in self.allowed:
            raise InputError(f"{self.name} {text}: must be one of {', '.join(self.allowed)}")
        try:
            return self.type(text)
        except ValueError:
            kind = "a whole number" if self.type is int else "a number"
            raise InputError(f"{self.name} {text}: must be {kind}") from None


def options(verb: Verb) -> list[Option]:
    """The options and arguments of a verb, in the order of its signature."""
    hints = get_type_hints(verb, include_extras=True)
    return [_option(parameter, hints[name]) for name, parameter in inspect.signature(verb).parameters.items()]


def _option(parameter: inspect.Parameter, hint: Any) -> Option:
    shown = [extra.metavar for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Shown)]
    bare = get_args(hint)[0] if shown else hint
    several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    many = several or get_origin(bare) is tuple
    allowed: tuple[str, ...] = ()
    if get_origin(bare) is not Literal and get_args(bare):  # X | None, or tuple[X, ...]
        (bare,) = (each for each in get_args(bare) if each not in (NoneType, Ellipsis))
    if get_origin(bare) is Literal:
        allowed, bare = get_args(bare), str
    names = {str: "TEXT", int: "N", float: "NUMBER", Path: "FILE", bool: ""}
    return Option(
        key=parameter.name,
        type=bare,
        allowed=allowed,
        default=parameter.default,
        metavar=shown[0] if shown else "|".join(allowed) or names[bare],
        positional=several or parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
        many=many,
    )


def ids(text: str | None) -> list[str] | None:
    """The ids of a list with commas; None if none is given."""
    return None if text is None else [run.strip() for run in text.split(",")]
