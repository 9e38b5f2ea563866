"""``--set key=value``: one field of a study replaced on the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from ravine.errors import StudyError
from ravine.messages import shown

# Keys whose value may be a kind alone instead of a table, so that ``model.hidden=[32]`` works on ``model = "mlp"``.
_BY_KIND = ("data", "model", "schedule", "search", "rules")
_LONGEST_KEY = 500
_LONGEST_TOLD = 120
_WORD = re.compile(r"[^\[\]{}\"'=,#]+")
_LENGTHS = ("epochs", "steps")


def override(content: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """The content of a study file with some fields replaced.

    Setting one of ``epochs`` and ``steps`` takes the other away. Otherwise what is not named stays.

    Args:
        content: the file as plain data; it is left as it was.
        sets: texts ``key=value``. Keys are dotted, with numbers for places in lists: the one after the last
            adds an entry. A value is read as TOML, or else as a plain word.

    Raises:
        StudyError: one line with the text at fault.

    Example:
        >>> override({"epochs": 20, "rules": [{"kind": "sgd"}]}, ["steps=5", "rules.0.lr=[0.1, 1]"])
        {'rules': [{'kind': 'sgd', 'lr': [0.1, 1]}], 'steps': 5}
    """
    found: Any = _copied(content)
    set_keys = []
    for text in sets:
        path, value = _parsed(text)
        set_keys.append(path[0])
        found = _put(found, path, value, text, ())
    for one, other in (_LENGTHS, _LENGTHS[::-1]):
        if one in set_keys and other not in set_keys:
            found.pop(other, None)
    assert isinstance(found, dict), "a study is a table"
    return found


def _parsed(text: str) -> tuple[list[str], Any]:
    """The keys and the value of one text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip() or not text.isprintable():
        raise StudyError(f"--set {_short(text)}: must be key=value, for example --set epochs=5")
    try:
        table: Any = tomllib.loads(f"{key} = 0") if len(key) <= _LONGEST_KEY else {}
    except (ValueError, RecursionError):
        table = {}
    if not table:  # no key at all, or one that begins a comment
        raise StudyError(
            f"--set {_short(text)}: {shown(key.strip())} is not a key such as epochs or rules.0.lr"
        )
    path = []
    while isinstance(table, dict):
        [(part, table)] = table.items()
        path.append(part)
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError) as error:
        if _WORD.fullmatch(value) or len(value.strip()) == 1:  # one sign, such as that of a decimal comma
            return path, value.strip()
        reason = str(error).partition(" (at ")[0]
        raise StudyError(
            f"--set {_short(text)}: {shown(value.strip())} is not a TOML value: {reason}; put a text in quotes "
            f"within quotes, as in --set 'data.target=\"a, b\"'"
        ) from None


def _short(text: str) -> str:
    """A text of the command line, or the beginning of it."""
    return text if len(text) <= _LONGEST_TOLD else f"{text[: _LONGEST_TOLD - 3]}..."


def _put(place: Any, path: Sequence[str], value: Any, text: str, above: tuple[str, ...]) -> Any:
    """The place with the value at the path inside it."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(place, str) and above and above[0] in _BY_KIND and place.isprintable():
        place = {"kind": "module", "target": place} if ":" in place else {"kind": place}
    here = ".".join(above)
    if isinstance(place, dict):
        return {**place, part: _put(place.get(part, {}), rest, value, text, (*above, part))}
    if isinstance(place, list):
        if not re.fullmatch(r"[0-9]{1,9}", part) or int(part) > len(place):
            raise StudyError(
                f"--set {_short(text)}: {shown(part)} is not an entry of {here}: entries are numbered from 0, "
                f"and {len(place)} adds one"
            )
        number = int(part)
        new = _put(place[number] if number < len(place) else {}, rest, value, text, (*above, part))
        return [*place[:number], new, *place[number + 1 :]]
    raise StudyError(f"--set {_short(text)}: {here} is {shown(place)}, so it has no {shown(part)}")


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
