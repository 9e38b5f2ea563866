"""One update rule of a study, with the values that are tried."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from ravine.errors import StudyError, choices
from ravine.rules import KINDS, hypers, preset, rule
from ravine.study.naming import shown
from ravine.study.values import Values, parse_values

PRESETS = ("lecture", "torch")
OWN_KEYS = ("kind", "label", "preset", "exclude")
LONGEST_LABEL = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBlock:
    """One update rule of a study with the values that are tried for each of its hypers.

    Args:
        kind: name of the rule.
        label: what the study calls it, by default its kind; needed where a kind stands twice.
        preset: "lecture" (default) or "torch": whose defaults hold for the hypers that are not given.
        exclude: pattern of parameter names without weight decay; None: biases and normalization parameters.
        hypers: those that were given, each with a number, several or a range.
    """

    kind: str
    label: str
    preset: Literal["lecture", "torch"]
    exclude: str | None
    hypers: Mapping[str, Values]

    def complete(self) -> tuple[str, dict[str, Values]]:
        """The kind that is run (a preset may name another) and the values of every hyper, lr first."""
        kind, defaults = preset(self.kind, self.preset)
        known = hypers(kind)
        given: dict[str, Values] = {**defaults, **self.hypers}
        # The regularizers are there even at 0: the same training has one id, whether 0 was written or not.
        return kind, {name: given.get(name, hyper.default or 0.0) for name, hyper in known.items()}


RuleLike: TypeAlias = str | Mapping[str, Any] | RuleBlock


def parse_rule(value: object, where: str) -> RuleBlock:
    """A rule from its kind, or from a table with ``kind`` and hypers.

    Args:
        value: for example ``{"kind": "adam", "lr": [1e-3, 1e-2]}``.
        where: the key as the user wrote it, such as ``"rules.0"``.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_rule({"kind": "adam", "lr": [1e-3, 1e-2]}, "rules.0").hypers
        {'lr': (0.001, 0.01)}
    """
    if isinstance(value, RuleBlock):
        return value
    table = {"kind": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        raise StudyError(f'{where} = {shown(value)}: must be a table such as {{ kind = "adam", lr = 0.001 }}')
    if "kind" not in table:
        raise StudyError(f"{where}.kind: missing, it must be given; {choices('', KINDS)}")
    kind = table["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise StudyError(f"{where}.kind = {shown(kind)}: no such rule; {choices(kind, KINDS)}")
    named = table.get("preset", "lecture")
    if named not in PRESETS:
        raise StudyError(f"{where}.preset = {shown(named)}: {choices(named, PRESETS)}")
    known = hypers(preset(kind, named)[0])
    for key in table:
        if key in rule(kind).refuses:
            raise StudyError(f"{where}.{key}: not with {kind}; {choices('', (*OWN_KEYS, *known))}")
        if key not in known and key not in OWN_KEYS:
            raise StudyError(f"{where}.{key}: unknown key; {choices(key, (*OWN_KEYS, *known))}")
    given = {
        key: parse_values(item, f"{where}.{key}", known[key]) for key, item in table.items() if key in known
    }
    if "lr" not in given and "lr" not in preset(kind, named)[1]:
        lr = known["lr"]
        raise StudyError(f"{where}.lr: missing, it must be given for {kind}: {lr.about}, {lr.allowed}")
    return RuleBlock(
        kind=kind,
        label=_label(table.get("label", kind), f"{where}.label"),
        preset=cast('Literal["lecture", "torch"]', named),
        exclude=_pattern(table.get("exclude"), f"{where}.exclude"),
        hypers=given,
    )


def _label(value: object, where: str) -> str:
    """Any text that can be read on one line."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value.strip()) <= LONGEST_LABEL:
        raise StudyError(f"{where} = {shown(value)}: must be 1 to {LONGEST_LABEL} printable characters")
    return value.strip()


def _pattern(value: object, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise StudyError(f"{where} = {shown(value)}: must be a regular expression, as text")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set": it would not mean what it seems to
            re.compile(value)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise StudyError(f"{where} = {shown(value)}: must be a regular expression: {error}") from None
    return value
