"""What the words of a command ask for, or what is wrong with them, in one line.

Written here because a library for it takes longer to import than most verbs take.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ravine.cli.help import help_of, overview
from ravine.cli.options import Option, Verb, options
from ravine.errors import InputError, choices


def parse(verbs: Mapping[str, Verb], args: Sequence[str]) -> Callable[[], None]:
    """The call that a command asks for.

    Args:
        verbs: by name; signature and docstring are a verb's options and help.
        args: the command's words after the program's name.

    Returns:
        The verb with its arguments, not yet called; or what prints help.

    Raises:
        InputError: the words make no command; says what is wrong and where help is.
    """
    if not args:
        raise InputError(f"a command is missing; {choices('', verbs)}; see ravine --help")
    first, *words = args
    if first in verbs:
        if _asks_for_help(words):
            return functools.partial(_help, verbs, first)
        try:
            return _call(verbs[first], words)
        except InputError as error:
            raise InputError(f"{error}; see ravine {first} --help") from None
    if _asks_for_help(args):
        return functools.partial(_help, verbs, None)
    if first.startswith("-"):
        raise InputError(f"{first}: no such option; see ravine --help")
    raise InputError(f"{first}: no such command; {choices(first, verbs)}")


def _help(verbs: Mapping[str, Verb], name: str | None) -> None:
    print(overview(verbs) if name is None else help_of(name, verbs[name], options(verbs[name])))


def _asks_for_help(words: Sequence[str]) -> bool:
    before = words[: words.index("--")] if "--" in words else words
    return "--help" in before or "-h" in before


def _call(verb: Verb, words: Sequence[str]) -> Callable[[], None]:
    """The verb with the values of its options and arguments."""
    known = options(verb)
    named = {option.name: option for option in known if not option.positional}
    places = [option for option in known if option.positional]
    given: dict[str, Any] = {}
    found: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            found += waiting
        elif word.startswith("--"):
            _take(named, word, waiting, given)
        elif word.startswith("-") and word != "-":
            raise InputError(f"{word}: no such option")
        else:
            found.append(word)
    if places and places[-1].many:  # as many words as there are
        places = [*places[:-1], *[places[-1]] * max(1, len(found) - len(places) + 1)]
    if len(found) > len(places):
        raise InputError(f"{' '.join(found[len(places) :])}: not expected here")
    values = [option.value(text) for option, text in zip(places, found, strict=False)]
    for option in places[len(found) :]:
        if option.default is inspect.Parameter.empty:
            raise InputError(f"{option.name} is missing")
        values.append(option.default)
    return functools.partial(verb, *values, **given)


def _take(named: Mapping[str, Option], word: str, waiting: Iterator[str], given: dict[str, Any]) -> None:
    """Take an option, and the word that is its value."""
    name, equals, text = word.partition("=")
    name = name.replace("_", "-")
    if name not in named:
        near = difflib.get_close_matches(name[2:], [each[2:] for each in named], n=1, cutoff=0.7)
        raise InputError(f"{name}: no such option{f'; did you mean --{near[0]}?' if near else ''}")
    option = named[name]
    if option.flag:
        if equals:
            raise InputError(f"{word}: {name} takes no value")
        given[option.key] = not option.default
        return
    if not equals:
        text = next(waiting, "--")
        if text.startswith("--"):
            raise InputError(f"{name}: its value is missing, {option.metavar}")
    value = option.value(text)
    given[option.key] = (*given.get(option.key, ()), value) if option.many else value
