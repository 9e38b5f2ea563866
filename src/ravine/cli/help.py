"""Help of the command line, from the signatures and docstrings of its verbs."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from ravine.cli.options import Option, Verb

_WIDEST = 100
_COLUMN = 24  # where explanations begin


def overview(verbs: Mapping[str, Verb]) -> str:
    """Help of the program: what it is for, and its verbs."""
    rows = [(name, _summary(verb)) for name, verb in verbs.items()]
    return "\n".join(
        [
            "usage: ravine COMMAND [options]",
            "",
            "Declare a study, train every run of it at once, get an honest verdict.",
            "",
            "commands:",
            *_rows(rows),
            "",
            "`ravine COMMAND --help` lists a command's options; `ravine --version` prints the version.",
        ]
    )


def help_of(name: str, verb: Verb, options: Sequence[Option]) -> str:
    """Help of one verb: usage, what it does, its arguments and options."""
    said = _said(verb)
    places = [option for option in options if option.positional]
    named = [option for option in options if not option.positional]
    words = [
        option.name if option.default is inspect.Parameter.empty else f"[{option.name}]" for option in places
    ]
    lines = [" ".join(["usage: ravine", name, *words, "[options]"]), ""]
    lines += textwrap.wrap(_summary(verb), _width())
    if places:
        lines += ["", "arguments:", *_rows((option.name, said[option.key]) for option in places)]
    shown = [(f"{each.name} {each.metavar}".rstrip(), said[each.key] + _default(each)) for each in named]
    lines += ["", "options:", *_rows([*shown, ("-h, --help", "Print this help.")])]
    return "\n".join(lines)


def _default(option: Option) -> str:
    plain = option.default is None or option.default == () or option.flag
    return "" if plain else f" (default: {option.default})"


def _summary(verb: Verb) -> str:
    return " ".join((inspect.getdoc(verb) or "").split("\n\n")[0].split())


def _said(verb: Verb) -> dict[str, str]:
    """What the docstring says of each parameter."""
    _, _, part = (inspect.getdoc(verb) or "").partition("\nArgs:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", part, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for name, text in rows:
        first = f"  {name}"
        room = _width() - _COLUMN
        wrapped = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        if len(first) > _COLUMN - 2:
            lines.append(first)
        else:
            lines.append(first.ljust(_COLUMN) + wrapped.pop(0))
        lines += [" " * _COLUMN + line for line in wrapped]
    return lines


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, _WIDEST))
