"""Rules of one's own: checked, and known by what they compute."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ravine.errors import StudyError, choices
from ravine.messages import as_float, shown
from ravine.rules.base import DEPLOYED, Rule
from ravine.rules.hyper import Hyper
from ravine.rules.identity import identity
from ravine.rules.registry import AROUND, KINDS, OWN

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HYPER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SCOPES = ("element", "tensor", "run")
_TAKEN = frozenset(
    {"kind", "label", "preset", "exclude", "schedule", "batch_size", "seed", "stage", "t", "step", "params", "inside",
     "param_names", "ema", "maximize", "differentiable", "mask"} | AROUND.keys() - {"weight_decay", "l1"}
)  # fmt: skip
"""Names that mean something else next to a rule, in a study or in a group of an optimizer."""


def own(rule: Rule) -> str:
    """The kind by which a rule of one's own is known: its name and a hash of what it computes.

    Args:
        rule: a rule; the first time that it is seen, it is tried on a few numbers.

    Raises:
        StudyError: a study cannot train with it, or some part of it has no text that says what it does.
    """
    if KINDS.get(rule.name) is rule:
        return rule.name
    _check(rule)
    parts: dict[str, object] = {
        "hypers": rule.hypers,
        "init": rule.init,
        "update": rule.update,
        "scope": rule.scope,
        "gradient_at": rule.gradient_at,
        "points": rule.points,
        "decays": rule.decays,
        "refuses": rule.refuses,
    }
    kind = f"{rule.name}@{identity(rule.name, parts, rule.version)}"
    if kind not in OWN:
        from ravine.rules.rehearsal import rehearse

        rehearse(rule)
        OWN[kind] = rule
    return kind


def _check(rule: Rule) -> None:
    """Check what needs no tensor."""
    where = f"rule {rule.name!r}"
    if not isinstance(rule.name, str) or not _NAME.fullmatch(rule.name):
        raise StudyError(f"{where}: its name must be letters, digits, _ and -, and begin with a letter")
    if rule.name in KINDS:
        raise StudyError(f"{where}: this is the name of a rule of ravine's: give it another name")
    if not isinstance(rule.hypers, Mapping) or "lr" not in rule.hypers:
        raise StudyError(f'{where}: its hypers must be a dict with "lr" in it')
    for name, hyper in rule.hypers.items():
        if not isinstance(hyper, Hyper):
            raise StudyError(
                f"{where}: hyper {name!r} is of type {type(hyper).__name__}: must be a ravine.Hyper"
            )
        if not isinstance(name, str) or not _HYPER.fullmatch(name):
            raise StudyError(f"{where}: hyper {name!r}: a name must be lower-case letters, digits and _")
        if name in _TAKEN:
            raise StudyError(
                f"{where}: hyper {name!r}: this name means something else next to a rule: choose another"
            )
        for end in ("low", "high"):
            if as_float(getattr(hyper, end)) is None:
                raise StudyError(
                    f"{where}: hyper {name!r}: {end} = {shown(getattr(hyper, end))}: must be a number"
                )
        if hyper.default is not None:
            hyper.check(name, hyper.default, f"{where}, default")
    if rule.scope not in _SCOPES:
        raise StudyError(f"{where}: scope = {shown(rule.scope)}: {choices(rule.scope, _SCOPES)}")
    if rule.search is not None or rule.others is not None:
        raise StudyError(f"{where}: search and others are for ravine's own rules")
    for name in rule.decays:
        if name not in rule.hypers:
            raise StudyError(f"{where}: decays: it has no hyper {name!r}")
    for name in rule.refuses:
        if name not in AROUND:
            raise StudyError(f"{where}: refuses: {choices(name, AROUND)}, not {name!r}")
    for name in rule.points:
        if name != DEPLOYED:
            raise StudyError(f"{where}: points: only {DEPLOYED!r} is known, not {name!r}")
    if rule.scope != "element" and (rule.gradient_at is not None or rule.points):
        raise StudyError(f'{where}: gradient_at and points need scope = "element"')
    hooks = {"init": rule.init, "update": rule.update, "gradient_at": rule.gradient_at, **rule.points}
    for name, hook in hooks.items():
        if not callable(hook) and not (name == "gradient_at" and hook is None):
            raise StudyError(f"{where}: {name} must be a function, not {shown(hook)}")
