"""One update rule of a study, with the values that are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from ravine.errors import ModelError, StudyError, choices, with_article
from ravine.messages import lacking, shown, unknown, wrong
from ravine.nn.target import find_named
from ravine.rules import KINDS, Rule, hypers, preset, rule
from ravine.rules.own import own
from ravine.study.patterns import parse_pattern
from ravine.study.values import Values, parse_values

PRESETS = ("lecture", "torch")
OWN_KEYS = ("kind", "label", "preset", "exclude")
LONGEST_LABEL = 80
_MEANT = {
    "learning_rate": ("lr",),
    "step_size": ("lr",),
    "betas": ("beta1",),
    "wd": ("weight_decay",),
    "max_grad_norm": ("clip_norm",),
    "grad_clip": ("clip_norm",),
    "gradient_clip_val": ("clip_norm",),
    "clipnorm": ("clip_norm",),
    "clipvalue": ("clip_value",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBlock:
    """One update rule of a study with the values that are tried for each of its hypers.

    Args:
        kind: name of the rule; of one of the user's own its name and a hash of what it computes.
        target: of the user's own, ``"package.module:name"`` if the study names it so; None: it does not.
        label: what the study calls it, by default its name; needed where two have the same.
        preset: "lecture" (default) or "torch": whose defaults are used for the hypers that are not given.
        exclude: pattern of parameter names without weight decay; None: biases and normalization parameters.
        hypers: those that were given, each with a number, several or a range.
    """

    kind: str
    target: str | None = None
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

    @property
    def is_object(self) -> bool:
        """Whether it is an object of a Python program, which text cannot represent."""
        return self.target is None and self.kind not in KINDS


RuleLike: TypeAlias = str | Mapping[str, Any] | Rule | RuleBlock


def parse_rule(value: object, where: str, search: Path | None = None) -> RuleBlock:
    """A rule from its kind, or from a table with ``kind`` and hypers.

    Args:
        value: for example ``{"kind": "adam", "lr": [1e-3, 1e-2]}``. A rule of one's own is its kind: a `Rule`, or
            ``"package.module:name"`` of one.
        where: the key as the user wrote it, such as ``"rules.0"``.
        search: folder of the study file, where a module is looked for first.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_rule({"kind": "adam", "lr": [1e-3, 1e-2]}, "rules.0").hypers
        {'lr': (0.001, 0.01)}
    """
    if isinstance(value, RuleBlock):
        return value
    table = {"kind": value} if isinstance(value, str | Rule) else value
    if not isinstance(table, Mapping):
        raise wrong(where, value, 'must be a table such as { kind = "adam", lr = 0.001 }')
    if "kind" not in table:
        raise lacking(f"{where}.kind", f"missing, it must be given; {choices('', KINDS)}")
    kind, target, name = _kind(table["kind"], f"{where}.kind", search)
    named = table.get("preset", "lecture")
    if not _is_preset(named):
        raise wrong(f"{where}.preset", named, choices(named, PRESETS))
    if kind not in KINDS and named != "lecture":
        raise wrong(f"{where}.preset", named, "only ravine's own rules have the preset torch")
    known = hypers(preset(kind, named)[0])
    for key in table:
        if key in rule(kind).refuses:
            raise lacking(f"{where}.{key}", f"not with {name}; {choices('', (*OWN_KEYS, *known))}")
        if key not in known and key not in OWN_KEYS:
            meant = next((name for name in _elsewhere(kind, key) if name in known), None)
            raise unknown(where, key, (*OWN_KEYS, *known), meant)
    given = {
        key: parse_values(item, f"{where}.{key}", known[key]) for key, item in table.items() if key in known
    }
    for key, hyper in rule(preset(kind, named)[0]).all_hypers.items():
        if key not in given and key not in preset(kind, named)[1]:
            raise lacking(
                f"{where}.{key}", f"missing, it must be given for {name}: {hyper.about}, {hyper.allowed}"
            )
    return RuleBlock(
        kind=kind,
        target=target,
        label=_label(table.get("label", name), f"{where}.label"),
        preset=cast('Literal["lecture", "torch"]', named),
        exclude=parse_pattern(table.get("exclude"), f"{where}.exclude"),
        hypers=given,
    )


def block_of(rules: Sequence[RuleBlock], label: str) -> RuleBlock:
    """The rule of that label."""
    return next(block for block in rules if block.label == label)


def has_target(value: object) -> bool:
    """Whether a rule is given as ``"package.module:name"``, alone or in a table."""
    kind = value.get("kind") if isinstance(value, Mapping) else value
    return isinstance(kind, str) and ":" in kind


def _kind(value: object, where: str, search: Path | None) -> tuple[str, str | None, str]:
    """The kind of a rule, the target that names it, and the rule's own name."""
    if isinstance(value, str) and value in KINDS:
        return value, None, value
    try:
        if isinstance(value, Rule):
            return _own(value, where), None, value.name
        if not isinstance(value, str) or ":" not in value:
            words = f'no such rule; {choices(value, KINDS)}, or "package.module:name" of a ravine.Rule'
            raise wrong(where, value, words)
        found = rule_named(value, where, search)
        return _own(found, where), value, found.name
    except ModelError as error:
        raise StudyError(str(error), at=[tuple(where.split("."))]) from error


def rule_named(target: str, where: str, search: Path | None) -> Rule:
    """A rule of one's own, by its name.

    Args:
        target: ``"package.module:name"``.
        where: the key or argument that names it, for errors.
        search: the study's folder, looked at first; then the working directory, then what is installed.

    Raises:
        ModelError: the module does not exist or fails to import, or it has no such name.
        StudyError: what has that name is no rule, or not one that can be trained with.
    """
    found = find_named(target, search, where, _is_rule)
    if not isinstance(found, Rule):
        raise StudyError(
            f"{where} = {shown(target)} is {with_article(type(found).__name__)}: must be a ravine.Rule",
            at=[tuple(where.split("."))],
        )
    _own(found, where)
    return found


def _own(found: Rule, where: str) -> str:
    try:
        return own(found)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error


def _is_rule(value: object) -> bool:
    return isinstance(value, Rule)


def _is_preset(value: object) -> bool:
    return isinstance(value, str) and value in PRESETS


def _label(value: object, where: str) -> str:
    """Any text that can be read on one line."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value.strip()) <= LONGEST_LABEL:
        raise wrong(where, value, f"must be 1 to {LONGEST_LABEL} printable characters")
    return value.strip()


def _elsewhere(kind: str, key: object) -> tuple[str, ...]:
    """What a hyper of other libraries is called here."""
    if key == "momentum":
        return ("rho",) if kind.startswith(("momentum", "nesterov")) else ("beta1",)
    return _MEANT.get(str(key), ())
