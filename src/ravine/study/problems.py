"""Every problem of a study that stands by itself, and not only the first.

What is wrong is told and put right, and the study read again. So there is one reader of studies, which knows
nothing of this, and a problem that only follows from another is not told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ravine.errors import InputError
from ravine.study.load import parse_study
from ravine.study.spec import Study

_MOST = 100  # problems: by then there is enough to do
# In the place of a part that is beyond repair. The others can be left out.
_RULE: Mapping[str, Any] = {"kind": "sgd", "lr": 0.1}
_SOUND: Mapping[str, Any] = {"name": "study", "data": "iris", "model": "mlp", "rules": [_RULE], "steps": 1}
_MEANT = re.compile(r": unknown key; did you mean '(\w+)'\?")
_KEYS = re.compile(r"[a-z_]\w*(?:\.\w+)*(?:, [a-z_]\w*)*(?=: | = )")


def problems_of(
    content: Mapping[str, Any], search: Path | None = None
) -> tuple[list[str], Study | None, set[str]]:
    """What is wrong with a study's keys and values.

    Args:
        content: a study file's keys and values.
        search: the file's folder, where modules of rules are looked for.

    Returns:
        A line for each problem, in the order in which the study is read; the study with these put right, None
        where that could not be done; and the parts of it that are not what the user wrote.

    Example:
        >>> content = {"name": "s", "data": "irish", "model": "mlp", "epoch": 5, "rules": [{"kind": "adm"}]}
        >>> for line in problems_of(content)[0]:
        ...     print(line.partition("?")[0])
        epoch: unknown key; did you mean 'epochs'
        rules.0.kind = 'adm': no such rule; did you mean 'adam'
        data.kind = 'irish': did you mean 'iris'
    """
    lines: list[str] = []
    now, repaired = dict(content), set[str]()
    parts: set[str] = set()
    while len(lines) < _MOST:
        try:
            return lines, parse_study(now, search=search), parts
        except InputError as error:
            text = str(error)
        found = _KEYS.match(text)
        if found is None:
            lines.append(text)
            break
        key = found[0]
        # Of a key, or a part of it, that was put right before: a consequence.
        again = any(f"{one}.".startswith(f"{key}.") for one in repaired)
        if not again:
            lines.append(text)
        elif f"{key}!" in repaired:
            break
        meant = _MEANT.search(text)
        if meant and not again:
            now = _renamed(now, key.split("."), meant[1])
        else:
            now = _repaired(now, key, beyond=again)
        repaired.add(f"{key}!" if again else key)
        parts.update(part.partition(".")[0] for part in key.split(", "))
    return lines, None, parts


def _renamed(content: Any, keys: list[str], name: str) -> Any:
    """The content with a misspelt key as it was meant; without it where that key is there too."""
    if isinstance(content, list):
        number = int(keys[0])
        return [*content[:number], _renamed(content[number], keys[1:], name), *content[number + 1 :]]
    if len(keys) > 1:
        return {**content, keys[0]: _renamed(content[keys[0]], keys[1:], name)}
    rest = {key: item for key, item in content.items() if key != keys[0]}
    return rest if name in rest else {**rest, name: content[keys[0]]}


def _repaired(content: Mapping[str, Any], key: str, *, beyond: bool) -> dict[str, Any]:
    """The content without what is wrong at a key; where leaving it out was not enough, without the part it is in."""
    new = dict(content)
    if key == "epochs, steps":
        return {name: item for name, item in new.items() if name != "epochs"} | {"steps": 1}
    for one in key.split(", "):
        part, *inner = one.split(".")
        given = new.get(part)
        if part == "rules" and inner and isinstance(given, list):
            number = int(inner[0])
            rule = _rule(given[number], number, inner[1] if len(inner) > 1 else "kind", beyond)
            new[part] = [*given[:number], rule, *given[number + 1 :]]
        elif inner and inner[0] != "kind" and not beyond and isinstance(given, Mapping):
            new[part] = {name: item for name, item in given.items() if name != inner[0]}
        elif part in _SOUND and part != "steps":
            new[part] = _SOUND[part]
        else:
            new.pop(part, None)
            if part in ("steps", "epochs"):
                new["steps"] = 1
    return new


def _rule(rule: Any, number: int, key: str, beyond: bool) -> dict[str, Any]:
    label = f"rule {number}"
    if beyond or key == "kind" or not isinstance(rule, Mapping):
        return {**_RULE, "label": label}
    rest = {name: item for name, item in rule.items() if name != key}
    return {**rest, "label": label} if key == "label" else {**rest, "lr": 0.1} if key == "lr" else rest
