"""A study from a TOML file, with overrides from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ravine.errors import StudyError
from ravine.messages import one_line
from ravine.study.spec import Study


def read_study(path: Path | str, overrides: Sequence[str] = ()) -> tuple[Study, str]:
    """Read a study file.

    Args:
        path: a TOML file.
        overrides: texts such as ``epochs=5`` or ``rules.0.lr=[0.1]``, each replacing one field.

    Returns:
        The study, and the text to keep as its definition.

    Raises:
        StudyError: one line that names the file, the key, the value and what is allowed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = [found.name for found in sorted(path.parent.glob("*.toml"))[:5]] if path.parent.is_dir() else []
        hint = f"; in that folder: {', '.join(near)}" if near else ""
        raise StudyError(f"{path}: no such study file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as a study file: {_reason(error)}") from None
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        apply_override(content, override)
    study = parse_study(content, str(path))
    noted = "".join(f"\n# --set {override}" for override in overrides)
    return study, text + (noted + "\n" if noted else "")


def parse_study(content: Mapping[str, Any], where: str) -> Study:
    """A study from plain data.

    Raises:
        StudyError: one line that begins with ``where``.
    """
    try:
        return Study.model_validate(dict(content))
    except ValidationError as error:
        raise StudyError(one_line(error, where)) from None
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"


def apply_override(content: dict[str, Any], override: str) -> None:
    """Put one ``key=value`` into the content; the value is read as TOML, or else as a plain word."""
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise StudyError(f"--set {override}: write key=value, for example --set epochs=5")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    *path, last = key.strip().split(".")
    place: Any = content
    for part in path:
        place = _inside(place, part, override)
    if isinstance(place, list):
        _inside(place, last, override)
        place[int(last)] = parsed
    elif isinstance(place, dict):
        place[last] = parsed
    else:
        raise StudyError(f"--set {override}: {'.'.join(path)} is {place!r}, not a table")


def _inside(place: Any, part: str, override: str) -> Any:
    if isinstance(place, list):
        if not part.isdigit() or int(part) >= len(place):
            raise StudyError(f"--set {override}: {part!r} is not an index; there are {len(place)}, from 0")
        return place[int(part)]
    if isinstance(place, dict):
        return place.setdefault(part, {})
    raise StudyError(f"--set {override}: {part!r} is inside {place!r}, which is not a table")
