"""The model of a study: a specification, or in Python the user's own class or factory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ravine import backbones
from ravine.errors import StudyError, choices
from ravine.forms import Refused
from ravine.messages import lacking, unknown, wrong
from ravine.nn import spec
from ravine.nn.spec import POOLS, RATES
from ravine.nn.target import describe_factory, find_factory
from ravine.study.rates import parse_rate, parse_rates
from ravine.study.recipe import lasting
from ravine.study.values import Values

Model: TypeAlias = spec.MLP | spec.ConvNet | spec.ResNet | spec.Module | spec.Backbone | Callable[[], Any]
ModelLike: TypeAlias = str | Mapping[str, Any] | Model

_KINDS: Mapping[
    str,
    type[spec.MLP] | type[spec.ConvNet] | type[spec.ResNet] | type[spec.Module] | type[spec.Backbone],
] = {
    "mlp": spec.MLP,
    "convnet": spec.ConvNet,
    "resnet": spec.ResNet,
    "module": spec.Module,
    "backbone": spec.Backbone,
}
# The keys of a built-in model's structure that have been hashed from the first: see `ravine.study.recipe.lasting`.
_FIRST = {
    "mlp": ("kind", "hidden", "activation", "norm"),
    "convnet": ("kind", "channels", "hidden", "norm"),
    "resnet": ("kind", "depth", "width", "norm"),
}


def parse_model(value: object, where: str = "model") -> tuple[Model, dict[str, Values]]:
    """A model, and the rates that it is to be tried with, which differ run by run.

    Args:
        value: a kind, a table with ``kind``, ``package.module:Name``, a specification, or a class or
            function without arguments that makes a module.
        where: its key, for errors.

    Returns:
        The model at rates of 0, and the values that were given for its rates, by name; a rate of a built-in model
        that is 0 is as if it were not given.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> model, rates = parse_model({"kind": "mlp", "hidden": [32], "dropout": [0.0, 0.2]})
        >>> model.hidden, model.dropout, rates
        ((32,), 0.0, {'dropout': (0.0, 0.2)})
    """
    if isinstance(value, spec.MLP | spec.ConvNet | spec.ResNet):
        given = {name: getattr(value, name) for name in RATES if getattr(value, name, 0.0)}
        return value.but(**dict.fromkeys(given, 0.0)), given
    if isinstance(value, spec.Module):
        return value, {}
    if isinstance(value, spec.Backbone):
        dropout = value.head.dropout
        if not dropout:
            return value, {}
        return value.but(head=value.head.but(dropout=0.0)).trusting(value.trust), {"dropout": dropout}
    if isinstance(value, str):
        value = {"kind": "module", "target": value} if ":" in value else {"kind": value}
    if isinstance(value, Mapping):
        return _from_table(value, where)
    if not callable(value):
        words = f"must be a kind, a table with kind, or in Python a class or function; {choices('', _KINDS)}"
        raise wrong(where, value, words)
    if not isinstance(value, type) and hasattr(value, "state_dict"):
        raise StudyError(
            f"{where}: must be a class or a function that builds a {type(value).__name__}, not one already "
            "built: each run starts from weights of its own"
        )
    return value, {}


def _from_table(table: Mapping[str, Any], where: str) -> tuple[Model, dict[str, Values]]:
    if "kind" not in table:
        raise lacking(f"{where}.kind", f"missing, it must be given; {choices('', _KINDS)}")
    kind = table["kind"]
    if not isinstance(kind, str) or kind not in _KINDS:
        raise wrong(f"{where}.kind", kind, f"no such model; {choices(kind, _KINDS)}")
    form = _KINDS[kind]
    if form is spec.Backbone:
        return _backbone(table, where)
    for key in table:
        if key not in form.defaults and key != "rates":
            raise unknown(where, key, [*form.defaults, "rates"])
    rates = {
        name: parse_rate(name, table[name], f"{where}.{name}")
        for name in RATES
        if name in table and name in form.defaults
    }
    if "rates" in table:
        if rates:
            key = next(iter(rates))
            raise lacking(f"{where}.{key}", f"cannot be given beside rates: write rates = {{ {key} = ... }}")
        rates = parse_rates(table["rates"], f"{where}.rates", kinds_of(form))
    content = {key: value for key, value in table.items() if key not in rates and key != "rates"}
    try:
        return form.of(content), without_zeros(rates, form)
    except Refused as fault:
        raise fault.in_study(where) from None


def _backbone(table: Mapping[str, Any], where: str) -> tuple[Model, dict[str, Values]]:
    """A backbone, whose rate is the dropout of its head."""
    content = {key: value for key, value in table.items() if key != "rates"}
    rates: dict[str, Values] = {}
    head = content.get("head")
    if isinstance(head, Mapping) and "dropout" in head:
        if "rates" in table:
            raise lacking(
                f"{where}.head.dropout", "cannot be given beside rates: write rates = { dropout = ... }"
            )
        rates = {"dropout": parse_rate("dropout", head["dropout"], f"{where}.head.dropout")}
        content["head"] = {key: value for key, value in head.items() if key != "dropout"}
    if "rates" in table:
        rates = parse_rates(table["rates"], f"{where}.rates", kinds_of(spec.Backbone))
    try:
        return spec.Backbone.of(content), without_zeros(rates, spec.Backbone)
    except Refused as fault:
        raise fault.in_study(where) from None


def kinds_of(model: object) -> list[str]:
    """The kinds of stochastic layers that a model may have, as rates call them.

    Args:
        model: a specification or its class; of anything else they are not known.

    Example:
        >>> kinds_of(spec.MLP), len(kinds_of(lambda: None)) == len(RATES)
        (['dropout', 'dropconnect'], True)
    """
    if not _is_built_in(model):
        return list(RATES)
    fields = _fields(model)
    return [name for name in RATES if name in fields or (name in POOLS and "pool" in fields)]


def without_zeros(rates: Mapping[str, Values], model: object) -> dict[str, Values]:
    """The rates that say more than a model's own: those of a built-in model's keys are 0."""
    fields = _fields(model)
    return {name: values for name, values in rates.items() if values != 0.0 or name not in fields}


def _is_built_in(model: object) -> bool:
    kind = model if isinstance(model, type) else type(model)
    return issubclass(kind, spec.MLP | spec.ConvNet | spec.ResNet | spec.Backbone)


def _fields(model: object) -> Collection[str]:
    """The keys among which those of a built-in model's own rates are."""
    if model is spec.Backbone or isinstance(model, spec.Backbone):
        return ("dropout",)  # in its head
    return model.defaults if _is_built_in(model) else ()  # type: ignore[attr-defined]


def marks_of(model: Model, rates: Mapping[str, Values], hypers: Mapping[str, float]) -> dict[str, Any]:
    """What a recipe says of its model beside the structure, `ravine.study.recipe.MARKS`.

    ``rates``: the names of those that are given, where a rate that is not given is not 0: of a user's module, whose
    layers have rates of their own, and of patterns, in the order in which they override each other. ``dropout_at``:
    that units are dropped only behind the last BatchNorm; before, it was done between them too.

    Args:
        model: the model.
        rates: the study's.
        hypers: the recipe's.
    """
    fields = _fields(model)
    given = [name for name in rates if name not in fields]
    marks: dict[str, Any] = {"rates": given} if given else {}
    between = isinstance(model, spec.MLP) and model.norm == "batch" and len(model.hidden) > 1
    if between and hypers.get("model.dropout", 0.0) > 0.0:
        marks["dropout_at"] = "end"
    return marks


def defaults_of(kind: object) -> Mapping[str, Any]:
    """The keys of a kind of model with their defaults; none of what is no kind."""
    return _KINDS[kind].defaults if isinstance(kind, str) and kind in _KINDS else {}


def structure_of(model: Model, search: Path | None) -> dict[str, Any]:
    """What of a model is the same for all its runs, as plain data; a user's code counts by its source.

    Args:
        model: the model.
        search: folder of the study file, where a user's module is looked for.

    Raises:
        ModelError: the user's module is not there.
    """
    if isinstance(model, spec.MLP | spec.ConvNet | spec.ResNet):
        content = {name: value for name, value in model.plain().items() if name not in RATES}
        return lasting(content, _FIRST[model.kind], model.defaults)
    if isinstance(model, spec.Backbone):
        return backbones.structure(model, search)
    if isinstance(model, spec.Module):
        source = describe_factory(find_factory(model.target, search, model.trust))
        return {**model.plain(), "source": source}
    return {"kind": "own", "source": describe_factory(model), "captured": _captured(model)}


def _captured(factory: Callable[[], Any]) -> dict[str, str]:
    """The plain values that a function closes over: ``lambda: MLP(width)`` is one model for each width."""
    names = getattr(getattr(factory, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(factory, "__closure__", None) or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # assigned later
            continue
        plain = isinstance(value, bool | int | float | str | tuple | list | None)
        found[name] = repr(value) if plain else describe_factory(value) if callable(value) else ""
    return found
