"""A study from a TOML file, with overrides from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ravine.errors import StudyError, choices
from ravine.messages import check_regular, lacking, printable, unknown
from ravine.nn.spec import RATES
from ravine.study.block import has_target, parse_rule
from ravine.study.definition import definition_of
from ravine.study.fields import MOST_RULES
from ravine.study.loss import has_target as names_loss
from ravine.study.loss import parse_loss
from ravine.study.naming import naming
from ravine.study.override import override
from ravine.study.spec import Study

FindStudy: TypeAlias = Callable[[], tuple[Study, Path | None]]
"""Gives a study and the folder of its file: called only where what a store has of it does not suffice."""

_NEEDED = ("name", "data", "model", "rules")
_LENGTHS = ("epochs", "steps")
_KEYS = (
    *_NEEDED,
    *_LENGTHS,
    "phases",
    "batch_size",
    "seeds",
    "schedule",
    "loss",
    "label_smoothing",
    "precision",
    "augment",
    "search",
    "tune",
    "regularize",
    "variants",
    "ladder",
    "compare",
    "metric",
    "evaluations",
    "stop",
    "keep",
    "averages",
    "test_time",
)
_STOP = "belongs in the stop table: stop = { patience = 5 }"
ELSEWHERE = {
    **{rate: f'belongs in the model table: model = {{ kind = "mlp", {rate} = 0.2 }}' for rate in RATES},
    **dict.fromkeys(("patience", "early_stopping"), _STOP),
    **dict.fromkeys(("clip_norm", "clip_value"), "belongs in a rule's table, under [[rules]]"),
}
"""Keys that belong elsewhere, with where."""
_LARGEST = 1_000_000  # bytes: a thousand rules take 100,000
_DEEPEST = 20  # tables within tables; a study has three
_MOST_BITS = 1024  # of a whole number: of any more there is no float


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
        try:
            read = content_of(text)
        except StudyError as error:
            if Path(path).suffix.lower() == ".toml":
                raise
            raise StudyError(f"is not a study file, which is TOML and ends in .toml: {error}") from None
        content = override(read, overrides)
        check_bounds(content)
        return content, text


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
            if key in ELSEWHERE:
                raise lacking(key, ELSEWHERE[key])
            if key not in _KEYS:
                raise unknown("", key, _KEYS)
        missing = [key for key in _NEEDED if key not in content]
        if missing:
            places = [(key,) for key in missing]
            raise StudyError(f"{', '.join(missing)}: missing, must be given", at=places, what="missing")
        rules = content["rules"]
        if isinstance(rules, list) and len(rules) <= MOST_RULES:
            rules = [
                parse_rule(item, f"rules.{i}", search) if has_target(item) else item
                for i, item in enumerate(rules)
            ]
        own = {"rules": rules, **_losses(content, search)}
    return Study(**{**content, **own}, origin=where)


def _losses(content: Mapping[str, Any], search: Path | None) -> dict[str, Any]:
    """The keys of a study whose losses are functions beside its file, with these."""
    found: dict[str, Any] = {}
    if names_loss(content.get("loss")):
        found["loss"] = parse_loss(content["loss"], "loss", search)
    variants = content.get("variants")
    if isinstance(variants, list):
        found["variants"] = [
            {**each, "loss": parse_loss(each["loss"], f"variants.{i}.loss", search)}
            if isinstance(each, Mapping) and names_loss(each.get("loss"))
            else each
            for i, each in enumerate(variants)
        ]
    return found


def _text_of(path: Path | str) -> str:
    path = Path(path)
    try:
        check_regular(path)
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise StudyError(
                f"too large for a study file: {path.stat().st_size:,} bytes; at most {_LARGEST:,} are allowed"
            )
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise StudyError(f"too large for a study file: more than {_LARGEST:,} bytes")
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        beside = sorted(file.name for file in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = f"; {choices(path.name, beside[:10], 'in that folder')}" if beside else ""
        raise StudyError(f"no such study file{hint}") from None
    except IsADirectoryError:
        raise StudyError("is a folder; a study is a TOML file") from None
    except UnicodeDecodeError:
        raise StudyError("is not UTF-8 text; a study is a TOML file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StudyError(f"cannot be read: {reason}") from None


def check_bounds(content: Mapping[str, Any]) -> None:
    """See that tables are not nested without end and numbers can be shown, before anything looks into all of them.

    Raises:
        StudyError: tables are nested too deeply, or a whole number is larger than any float64.
    """
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        inner = [each.values() if isinstance(each, Mapping) else each for each in level]
        values = [value for each in inner for value in each]
        if any(isinstance(value, int) and value.bit_length() > _MOST_BITS for value in values):
            raise StudyError("has a whole number of more than 300 digits")
        level = [value for value in values if isinstance(value, Mapping | list)]
        if not level:
            return
    raise StudyError("nested too deeply: a study is a table of a few tables and lists")


def content_of(text: str) -> dict[str, Any]:
    """The keys and values of a study's text.

    Raises:
        StudyError: it is not TOML.
    """
    if not text.strip():
        raise StudyError(f"is empty; a study needs {', '.join(_NEEDED)}, and epochs, steps or phases")
    if len(text) > _LARGEST:
        raise StudyError(f"is too large for a study: more than {_LARGEST:,} characters")
    try:
        content = tomllib.loads(text)
        check_bounds(content)
        return content
    except RecursionError:
        raise StudyError("not valid TOML: nested too deeply") from None
    except ValueError as error:  # of the syntax, or a number of thousands of digits
        table = "Cannot declare ('rules',) twice" in str(error)
        hint = "; write [[rules]], in two brackets, before each rule" if table else ""
        raise StudyError(f"not valid TOML: {error}{hint}") from None
