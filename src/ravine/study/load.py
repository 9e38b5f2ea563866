"""A study from a TOML file, with overrides from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ravine.errors import StudyError, choices
from ravine.study.block import has_target, parse_rule
from ravine.study.definition import definition_of
from ravine.study.model import RATES
from ravine.study.naming import naming, printable
from ravine.study.override import override
from ravine.study.spec import Study

_NEEDED = ("name", "data", "model", "rules")
_LENGTHS = ("epochs", "steps")
_KEYS = (*_NEEDED, *_LENGTHS, "batch_size", "seeds", "schedule", "search", "tune", "evaluations", "keep")
_LARGEST = 10_000_000  # bytes


def read_study(path: Path | str, overrides: Sequence[str] = ()) -> tuple[Study, str]:
    """Read a study file.

    Args:
        path: a TOML file.
        overrides: texts such as ``epochs=5`` or ``rules.0.lr=[0.1]``, each replacing one field.

    Returns:
        The study, and the text to keep as its definition: the file as it is, or where there are overrides the
        study that they make of it. `stored.parse_definition` reads both.

    Raises:
        StudyError: one line that names the file, the key, the value and what is allowed.
    """
    where = str(path)
    content, text = read_content(path, overrides)
    sets = "".join(f" --set {item}" for item in overrides)
    study = parse_study(content, f"{where}{sets}", Path(path).resolve().parent)
    if not overrides:
        return study, text
    return study, f"# {printable(Path(path).name)}{sets}\n{definition_of(study)}"


def read_content(path: Path | str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The keys and values of a study file, with overrides, and its text.

    Raises:
        StudyError: it cannot be read, is not TOML, or an override is none; begins with the path.
    """
    with naming(str(path)):
        text = _text_of(path)
        return override(content_of(text), overrides), text


def parse_study(content: Mapping[str, Any], where: str = "", search: Path | None = None) -> Study:
    """A study from plain data, such as a file's.

    Args:
        content: the study's keys and values.
        where: what errors begin with; the study keeps it as its `origin`.
        search: folder of the study file, where modules of rules are looked for.

    Raises:
        StudyError: one line that begins with ``where``.
    """
    with naming(where):
        for key in content:
            if key in RATES:
                raise StudyError(f'{key}: belongs into the model: model = {{ kind = "mlp", {key} = 0.2 }}')
            if key not in _KEYS:
                raise StudyError(f"{key}: unknown key; {choices(key, _KEYS)}")
        missing = [key for key in _NEEDED if key not in content]
        if missing:
            raise StudyError(f"{', '.join(missing)}: missing, must be given")
        rules = content["rules"]
        if isinstance(rules, list):
            rules = [
                parse_rule(item, f"rules.{i}", search) if has_target(item) else item
                for i, item in enumerate(rules)
            ]
    return Study(**{**content, "rules": rules}, origin=where)


def _text_of(path: Path | str) -> str:
    path = Path(path)
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise StudyError(f"too large for a study file: {path.stat().st_size:,} bytes")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        beside = sorted(file.name for file in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = f"; {choices(path.name, beside[:10]).replace('Allowed', 'In that folder')}" if beside else ""
        raise StudyError(f"no such study file{hint}") from None
    except IsADirectoryError:
        raise StudyError("is a folder; a study is a TOML file") from None
    except UnicodeDecodeError:
        raise StudyError("is not UTF-8 text; a study is a TOML file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StudyError(f"cannot be read: {reason}") from None


def content_of(text: str) -> dict[str, Any]:
    """The keys and values of a study's text.

    Raises:
        StudyError: it is not TOML.
    """
    if not text.strip():
        raise StudyError(f"is empty; a study needs {', '.join(_NEEDED)}, and epochs or steps")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise StudyError("not valid TOML: nested too deeply") from None
    except ValueError as error:  # of the syntax, or a number of thousands of digits
        raise StudyError(f"not valid TOML: {error}") from None
