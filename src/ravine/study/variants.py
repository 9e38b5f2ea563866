"""Variants of a study: techniques one at a time, each against the first, instead of every combination.

A variant is a table of a study's own keys, and what it gives takes the place of what the study says. So each is a study
of its own, whose runs are told apart by its label.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ravine.errors import InputError, StudyError
from ravine.forms import Form
from ravine.messages import lacking, unknown, wrong
from ravine.nn.spec import RATES, Backbone, Module
from ravine.rules import Hyper, hypers, preset
from ravine.study.arms import ARM, changes_of
from ravine.study.augment import Augmentation
from ravine.study.block import RuleBlock
from ravine.study.compare import RULE
from ravine.study.loss import LossSpec
from ravine.study.model import Model
from ravine.study.parts import LONGEST_LABEL, NamedModel, Part, one_by_one, parse_models
from ravine.study.rates import parse_rates
from ravine.study.values import Range, Values, parse_values

KEYS = (
    "label", "phases", "model", "augment", "loss", "label_smoothing", "precision", "stop", "batch_size", "schedule",
    "rules",
)  # fmt: skip
MOST_VARIANTS = 100
PLAIN = "plain"  # what a variant is called that changes nothing
_DEEPEST = 8
_TABLES = ("model", "augment", "rules")
_SAID = ("model", "schedule", "kind", "phases", "precision")  # whose values say what they are values of


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant of a study.

    Args:
        label: what it is called.
        change: the keys that take the place of the study's, as plain data.
    """

    label: str
    change: Mapping[str, Any]

    def content(self) -> dict[str, Any]:
        """As a table of a study."""
        change = _written(self.change)
        made = {} if self.label == _label(change) else {"label": self.label}
        return {**made, **change}


VariantLike: TypeAlias = Mapping[str, Any] | Variant


def parse_variants(value: object) -> tuple[Variant, ...]:
    """The variants of a study; () where there are none.

    Args:
        value: a list of tables, each perhaps with a ``label``.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> some = [{}, {"model": {"dropout": 0.2}}, {"augment": {"flip": 0.5, "crop": 4}}]
        >>> [each.label for each in parse_variants(some)]
        ['plain', 'dropout 0.2', 'flip 0.5, crop 4']
    """
    if not isinstance(value, list | tuple):
        raise wrong("variants", value, "must be a list of tables; in TOML each begins with [[variants]]")
    if not value:
        return ()
    if not 2 <= len(value) <= MOST_VARIANTS:
        raise lacking("variants", f"must have 2 to {MOST_VARIANTS} tables in it, not {len(value):,}")
    found: list[Variant] = []
    for i, item in enumerate(value):
        each = item if isinstance(item, Variant) else _variant(item, f"variants.{i}")
        for k, other in enumerate(found):
            if other.label == each.label:
                raise wrong(f"variants.{i}.label", each.label, f"variants.{k} has this label too")
        found.append(each)
    return tuple(found)


def _variant(value: object, where: str) -> Variant:
    if not isinstance(value, Mapping):
        raise wrong(where, value, "must be a table such as { model = { dropout = 0.2 } }")
    for key in value:
        if key not in KEYS:
            raise unknown(where, key, KEYS)
    change = {
        key: item if isinstance(item, LossSpec) else _plain(item, f"{where}.{key}")
        for key, item in value.items()
        if key != "label"
    }
    for key in ("augment", "rules"):
        if key in change and not isinstance(change[key], Mapping):
            raise wrong(f"{where}.{key}", change[key], "must be a table of what changes")
    label = value.get("label", _label(_written(change)))
    if (
        not isinstance(label, str)
        or not label.strip()
        or len(label) > LONGEST_LABEL
        or not label.isprintable()
    ):
        raise wrong(f"{where}.label", label, f"must be 1 to {LONGEST_LABEL} printable characters")
    return Variant(label=label, change=change)


def _written(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change as text has it: a loss that is a function by its name."""
    return {key: item.content() if isinstance(item, LossSpec) else item for key, item in change.items()}


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """A value that a text has a form for."""
    if depth > _DEEPEST:
        raise lacking(where, f"must be plain data, with at most {_DEEPEST} tables or lists in one another")
    if isinstance(value, Range):
        return value.changed()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where, depth + 1) for item in value]
    if isinstance(value, str | bool | int | float):
        return value
    raise wrong(where, value, "must be plain data: a number, a text, a list or a table")


def _label(change: Mapping[str, Any]) -> str:
    """What a variant changes, in words."""
    words = (f"{'' if name in _SAID else name} {_shown(value)}".strip() for name, value in _leaves(change))
    return ", ".join(words) or PLAIN


def _leaves(change: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in change.items():
        if isinstance(value, Mapping) and not set(value) <= {"log", "linear", "num"}:
            yield from _leaves(value)
        else:
            yield key, value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "train" in value:
        return str(value["train"])
    if isinstance(value, Mapping):
        return "a range"
    if isinstance(value, list):
        return "-".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What of a study a variant changes.

    Args:
        model, rates, rules, augment: the fields of the study.
    """

    model: Model | tuple[NamedModel, ...]
    rates: Mapping[str, Values]
    rules: Sequence[RuleBlock]
    augment: Augmentation | None


def changed(base: Base, variant: Variant) -> dict[str, Any]:
    """The keys of a study that a variant replaces, with their values.

    Args:
        base: of the study.
        variant: of it.

    Raises:
        StudyError: the change is none.
    """
    keys = {key: value for key, value in variant.change.items() if key not in _TABLES}
    change = variant.change
    if "model" in change:
        keys |= _models(base, change["model"])
    if "augment" in change:
        keys["augment"] = {
            **(base.augment.content() if base.augment is not None else {}),
            **change["augment"],
        }
    if "rules" in change:
        for key in change["rules"]:
            have = [block.label for block in base.rules if key in _hypers(block)]
            lack = [block.label for block in base.rules if key not in _hypers(block)]
            if have and lack:
                words = f"not with rule {lack[0]!r}; a variant gives hypers that every rule of the study has"
                raise lacking(f"rules.{key}", words)
        keys["rules"] = tuple(_rule(block, change["rules"]) for block in base.rules)
    return keys


def parts_of(study: Any) -> tuple[Part[Any], ...]:
    """A study of one model for each of its models and variants; () where there is nothing to divide.

    Args:
        study: a `Study`, all fields of which are set but for its parts.

    Raises:
        StudyError: of a variant, with its place.
    """
    found: list[Part[Any]] = []
    base = Base(model=study.model, rates=study.rates, rules=study.rules, augment=study.augment)
    for i, variant in enumerate(study.variants):
        try:
            one = replace(study, variants=(), ladder=None, compare=RULE, **changed(base, variant))
        except InputError as error:
            raise StudyError(f"variants.{i}: {error}", at=[("variants", str(i))]) from None
        chosen = {"variant": variant.label}
        found += [replace(part, chosen={**chosen, **part.chosen}) for part in one.parts]
    if study.ladder is not None:
        for i, arm in enumerate(study.ladder.arms):
            try:
                changes = changes_of(arm, study.model, study.phases, study.rules)
                one = replace(study, ladder=None, compare=RULE, **changes)
            except InputError as error:
                raise StudyError(f"ladder.arms.{i}: {error}", at=[("ladder", "arms", str(i))]) from None
            found.append(Part(study=one, model=one.models[0], chosen={ARM: arm}))
    if found or study.variants or not isinstance(study.model, tuple):
        return tuple(found)
    for each, rates in one_by_one(study.model, study.rates):
        one = replace(study, model=each.model, rates=rates, ladder=None, compare=RULE)
        found.append(Part(study=one, model=each.model, chosen={"model": each.label}))
    return tuple(found)


@contextmanager
def naming_variant(variants: Sequence[Variant], labels: Collection[object]) -> Iterator[None]:
    """Errors that pass through name the variant that they are in, unless its study has what is wrong too.

    Args:
        variants: of the study.
        labels: what the variants are called that are looked at; an error is that of a variant where it is one alone.
    """
    try:
        yield
    except InputError as error:
        keys = {place[0] for place in error.at}
        for i, each in enumerate(variants):
            if {each.label} == set(labels) and (keys or each.change.keys()) & each.change.keys():
                at = [("variants", str(i))]
                named = type(error)(f"variants.{i}: {error}", at=at, what=error.what, each=error.each)
                raise named from error.__cause__
        raise


def _models(base: Base, change: Any) -> dict[str, Any]:
    """The model and its rates: another one, or the study's with some keys changed."""
    if not isinstance(change, Mapping) or "kind" in change:
        named = parse_models(change)
        for each in named if isinstance(named, tuple) else (named,):
            if isinstance(each.model, Module):
                raise wrong("model", change, "a variant cannot name a module; it can change its args")
            if isinstance(each.model, Backbone) and not each.model.is_built_in:
                words = "a variant cannot name a module or a file; it can change keys of the study's backbone"
                raise wrong("model", change, words)
        return {"model": change, "rates": {}}
    head = change.get("head")
    if isinstance(head, Mapping) and "dropout" in head:  # of a backbone, whose only rate it is
        kept = {key: value for key, value in head.items() if key != "dropout"}
        change = {**change, "head": kept, "dropout": head["dropout"]}
    listed, short = change.get("rates", {}), {key: value for key, value in change.items() if key in RATES}
    if not isinstance(listed, Mapping):
        raise wrong("model.rates", listed, "must be a table such as { dropout = 0.2 }")
    if listed and short:
        raise lacking(f"model.{next(iter(short))}", "cannot be given beside rates")
    rates = {**listed, **short}
    structure = {key: value for key, value in change.items() if key not in RATES and key != "rates"}
    if isinstance(base.model, tuple):
        models = tuple(
            replace(each, model=_model(each.model, structure), rates={**each.rates, **_values(rates)})
            for each in base.model
        )
        return {
            "model": models,
            "rates": {name: each for name, each in base.rates.items() if name not in rates},
        }
    return {"model": _model(base.model, structure), "rates": {**base.rates, **rates}}


def _model(model: Model, structure: Mapping[str, Any]) -> Model:
    if not structure:
        return model
    if not isinstance(model, Form):
        raise wrong("model", dict(structure), "a model made in Python has rates, but no keys to change")
    if isinstance(model, Backbone) and isinstance(structure.get("head"), Mapping):
        structure = {**structure, "head": {**model.head.changed(), **structure["head"]}}
    table = {"kind": model.kind, **model.changed(), **structure}
    found = parse_models(table)
    if isinstance(found, tuple):
        raise wrong(
            "model", dict(structure), "must be one model, without lists where the structure has one value"
        )
    made = found.model
    code = Module | Backbone
    return made.trusting(model.trust) if isinstance(made, code) and isinstance(model, code) else made


def _values(rates: Mapping[str, Any]) -> dict[str, Values]:
    return parse_rates(rates, "rates", RATES)


def _rule(block: RuleBlock, change: Mapping[str, Any]) -> RuleBlock:
    """A rule with other hypers."""
    known = _hypers(block)
    for key in change:
        if key not in known:
            raise unknown("rules", key, known)
    given = {key: parse_values(value, f"rules.{key}", known[key]) for key, value in change.items()}
    return replace(block, hypers={**block.hypers, **given})


def _hypers(block: RuleBlock) -> Mapping[str, Hyper]:
    return hypers(preset(block.kind, block.preset)[0])
