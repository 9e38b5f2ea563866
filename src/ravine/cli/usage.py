"""What is wrong with a command, in one line instead of a box."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ravine.errors import InputError, choices

Verb = Callable[..., None]


def parse(verbs: Mapping[str, Verb], args: Sequence[str]) -> Callable[[], None]:
    """The call that a command asks for.

    Args:
        verbs: by name; signature and docstring are a verb's options and help.
        args: the command's words after the program's name.

    Returns:
        The verb with its arguments, not yet called.

    Raises:
        InputError: the words make no command; says what is wrong and where help is.
        SystemExit: help was asked for, and has been printed.
    """
    import tyro

    if not args:
        raise InputError(f"a command is missing; {choices('', verbs)}; see ravine --help")
    if not args[0].startswith("-") and args[0] not in verbs:
        raise InputError(f"{args[0]}: no such command; {choices(args[0], verbs)}")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            call: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
                {name: _deferred(verb) for name, verb in verbs.items()},
                prog="ravine",
                description="Declare a study, train every run of it at once, get an honest verdict.",
                args=list(args),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
            return call
    except SystemExit as stopped:
        if stopped.code:
            raise InputError(_one_line(said.getvalue(), args[0])) from None
        raise


def _deferred(verb: Verb) -> Callable[..., Callable[[], None]]:
    """The verb as a function that keeps its arguments for later."""

    @functools.wraps(verb)
    def keep(*args: Any, **options: Any) -> Callable[[], None]:
        return functools.partial(verb, *args, **options)

    keep.__annotations__ = {**verb.__annotations__, "return": Callable[[], None]}
    return keep


def _one_line(box: str, verb: str) -> str:
    """The message out of a box with a title, sections and advice."""
    lines = [line.strip("│ ").strip() for line in box.splitlines()[1:-1]]
    sections: list[list[str]] = [[]]
    for line in lines:
        if line and set(line) <= {"─"}:
            sections.append([])
        else:
            sections[-1].append(line)
    message = " ".join(sections[0])
    missing = re.match(r"Missing from ravine \w+: (\S+)", message)
    strange = re.findall(r"(\S+) \(applied to ravine \w+\)", message)
    if missing:
        message = f"{missing[1]} is missing"
    elif strange:  # options of other verbs, which are no help here
        return f"unrecognized options: {', '.join(strange)}; see ravine {verb} --help"
    else:
        message = message[:1].lower() + message[1:].rstrip(".")
    near = next(
        (part[1].split()[0] for part in sections if part[0].startswith("Perhaps") and len(part) > 1), ""
    )
    hint = f"; did you mean {near}?" if near else ""
    return f"{message}{hint}; see ravine{'' if verb.startswith('-') else f' {verb}'} --help"
