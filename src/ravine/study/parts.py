"""A study of several models: what of it has one model is a study of its own.

A list of models, or a list where a model's table has one value of its structure, makes several: cohorts of their own
that share batch order by seed. Everything that reads one model, its rates and its axes reads a part of the study.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Generic, TypeAlias, TypeVar

from ravine.forms import Form
from ravine.messages import lacking, wrong
from ravine.nn.spec import RATES
from ravine.nn.target import describe_factory
from ravine.study.model import Model, ModelLike, defaults_of, kinds_of, parse_model, without_zeros
from ravine.study.rates import parse_rate, parse_rates
from ravine.study.recipe import Run
from ravine.study.values import Values, ValuesLike

AnyStudy = TypeVar("AnyStudy")

PARTED = ("arm", "variant", "model")  # what tells runs of one part of a study from those of another
MOST_MODELS = 100
LONGEST_LABEL = 80
_NO_STRUCTURE = ("kind", "label", "target", "rates", *RATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """One model of a study that has several.

    Args:
        label: what the study calls it.
        model: the model.
        rates: the values of its rates, by name.
    """

    label: str
    model: Model
    rates: Mapping[str, Values]


ModelsLike: TypeAlias = "ModelLike | NamedModel | Sequence[ModelLike | NamedModel]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[AnyStudy]):
    """What of a study has one model.

    Args:
        study: with that model alone; of a study with one model the study itself.
        model: the one model.
        chosen: what tells its runs from those of other parts, beside their hypers.
    """

    study: AnyStudy
    model: Model
    chosen: Mapping[str, str]

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """What tells it from other parts, as values of axes."""
        return {name: (value,) for name, value in self.chosen.items()}


def parse_models(value: object) -> NamedModel | tuple[NamedModel, ...]:
    """The model of a study, or its models.

    Args:
        value: what `parse_model` takes; a table with a list where the structure has one value; or a list of these, each
            table perhaps with a ``label``.

    Returns:
        One without a label, or several with different ones.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> [each.label for each in parse_models(["mlp", {"kind": "convnet", "channels": [[8], [8, 16]]}])]
        ['mlp', 'convnet channels 8', 'convnet channels 8-16']
        >>> parse_models("mlp").model.hidden
        (128, 128)
    """
    listed = isinstance(value, list | tuple)
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items:
        raise wrong("model", [], "must have at least one model in it")
    found: list[tuple[str | None, Model, Mapping[str, Values]]] = []
    for i, item in enumerate(items):
        where = f"model.{i}" if listed else "model"
        for label, each in _expanded(item, where, listed=listed):
            if len(found) == MOST_MODELS:
                raise lacking("model", f"must have at most {MOST_MODELS} models in it")
            found.append((label, *_parsed(each, where)))
    if len(found) == 1 and not listed:
        return NamedModel(label="", model=found[0][1], rates=found[0][2])
    labels = _labels(found)
    return tuple(
        NamedModel(label=label, model=model, rates=rates)
        for label, (_, model, rates) in zip(labels, found, strict=True)
    )


def backbones_in(models: NamedModel | tuple[NamedModel, ...]) -> list[str]:
    """The keys of those models that are backbones, which are trained in phases."""
    listed = isinstance(models, tuple)
    return [
        f"model.{i}" if listed else "model"
        for i, each in enumerate(models if isinstance(models, tuple) else (models,))
        if getattr(each.model, "kind", None) == "backbone"
    ]


def models_in(value: object) -> tuple[NamedModel, ...]:
    """The models of a study, one or several. See `parse_models`."""
    found = parse_models(value)
    return found if isinstance(found, tuple) else (found,)


def _parsed(value: object, where: str) -> tuple[Model, Mapping[str, Values]]:
    return (value.model, value.rates) if isinstance(value, NamedModel) else parse_model(value, where)


def _expanded(value: object, where: str, *, listed: bool) -> Iterator[tuple[str | None, object]]:
    """The models of one entry: of a table with lists where its structure has one value, each combination."""
    if isinstance(value, NamedModel):
        yield value.label, value
        return
    if not isinstance(value, Mapping):
        yield None, value
        return
    table, label = dict(value), None
    if listed and "label" in table:
        label = table.pop("label")
        if (
            not isinstance(label, str)
            or not label.strip()
            or len(label) > LONGEST_LABEL
            or not label.isprintable()
        ):
            raise wrong(f"{where}.label", label, f"must be 1 to {LONGEST_LABEL} printable characters")
    defaults = defaults_of(table.get("kind"))
    several = {key: item for key, item in table.items() if _is_several(key, item, defaults)}
    for key, items in several.items():
        if not items:
            raise wrong(f"{where}.{key}", [], "must have at least one value in it")
    if label is not None and math.prod(map(len, several.values())) > 1:
        raise wrong(f"{where}.label", label, f"one label for several models: {', '.join(several)} has a list")
    for values in product(*several.values()):
        yield label, {**table, **dict(zip(several, values, strict=True))}


def _is_several(key: str, item: object, defaults: Mapping[str, Any]) -> bool:
    """Whether a list of values is where the model's structure has one."""
    if not isinstance(item, list | tuple) or key in _NO_STRUCTURE or key not in defaults:
        return False
    if isinstance(defaults[key], tuple):  # a list is one value
        return any(isinstance(each, list | tuple) for each in item)
    return True


def _labels(found: Sequence[tuple[str | None, Model, Mapping[str, Values]]]) -> list[str]:
    """A short label for each: the kind, or the kind with what differs in structure among those of the kind.

    Rates are hypers, which a level is tuned over. They are named only between models of the same structure.
    """
    names = [_name(model) for _, model, _ in found]
    structures = [_structure(model) for _, model, _ in found]
    labels: list[str] = []
    for i, (label, _, rates) in enumerate(found):
        alike = [k for k in range(len(found)) if names[k] == names[i] and found[k][0] is None]
        words = _differing(structures[i], [structures[k] for k in alike])
        twins = [found[k][2] for k in alike if structures[k] == structures[i]]
        words += _differing(rates, twins)
        made = label if label is not None else " ".join([names[i], ", ".join(words)]).strip()
        if made in labels:
            if label is None:
                raise lacking(f"model.{i}", f"the same model as model.{labels.index(made)}")
            raise wrong(f"model.{i}.label", made, f"model.{labels.index(made)} has this label too")
        labels.append(made)
    return labels


def _name(model: Model) -> str:
    """What a model is called by itself: its kind, or the name of the class or function."""
    if not isinstance(model, Form):
        return describe_factory(model).partition("@")[0].rpartition(".")[2].rpartition(":")[2]
    target = getattr(model, "target", None)
    return str(getattr(model, "kind", "") if target is None else target.rpartition(":")[2])


def _differing(own: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """What one has otherwise than some of the others, in words."""
    return [
        f"{key} {_shown(value)}"
        for key, value in own.items()
        if any(each.get(key) != value for each in others)
    ]


def _structure(model: Model) -> dict[str, Any]:
    plain: dict[str, Any] = (
        dict(model.plain()) if isinstance(model, Form) else {"source": describe_factory(model)}
    )
    args: dict[str, Any] = plain.pop("args", None) or {}
    for part in [key for key, value in plain.items() if isinstance(value, Mapping)]:  # of a backbone
        inner = plain.pop(part)
        plain |= {f"{part} {key}": value for key, value in inner.items() if key not in RATES}
    structure = {key: value for key, value in plain.items() if key not in _NO_STRUCTURE}
    return {**structure, **args}


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(_shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def name_of(run: Run) -> str:
    """What a run is called by its rule, and by its model where there are several."""
    return ", ".join([run.label, *(str(run.chosen[key]) for key in PARTED if key in run.chosen)])


def one_by_one(
    models: Sequence[NamedModel], rates: Mapping[str, Values]
) -> Iterator[tuple[NamedModel, dict[str, Values]]]:
    """Each of several models, with the values of its rates.

    Args:
        models: of a study.
        rates: that the study gives beside them.

    Raises:
        StudyError: a rate is given both in a model and beside it.
    """
    for i, each in enumerate(models):
        for name in each.rates:
            if name in rates:
                raise lacking(name, f"given twice, in model.{i} and beside it")
        yield each, {**rates, **each.rates}


def rates_of(
    given: NamedModel | tuple[NamedModel, ...], dropout: ValuesLike | None, rates: object
) -> Mapping[str, Values]:
    """The values of each rate that is given, in the model or beside it; of several models those beside them."""
    if dropout is not None and rates:
        raise lacking("dropout", "cannot be given beside rates: write rates = { dropout = ... }")
    kinds = RATES if isinstance(given, tuple) else kinds_of(given.model)
    if dropout is not None:
        beside = {"dropout": parse_rate("dropout", dropout, "dropout")}
    else:
        beside = parse_rates({} if rates is None else rates, "rates", kinds)
    if isinstance(given, tuple):
        return beside
    for name in beside:
        if name in given.rates:
            raise lacking(name, "given twice, in the model and beside it")
    return {**given.rates, **without_zeros(beside, given.model)}
