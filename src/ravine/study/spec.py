"""The study: a named set of runs, as a person declares it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ravine.data import Dataset, DataSpec, parse_data
from ravine.errors import choices
from ravine.messages import Strict
from ravine.rules import RULES, preset
from ravine.rules.regularize import REGULARIZERS
from ravine.schedules import ScheduleSpec, parse_schedule
from ravine.study.model import Model, parse_model
from ravine.study.values import Search, Values

WITH_DROPOUT = ("mlp", "convnet", "resnet")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class RuleBlock(Strict):
    """One update rule of a study with the values that are tried for each of its hypers.

    Args:
        kind: name of the rule.
        label: what the study calls it, by default its kind; needed when a kind stands twice.
        preset: "lecture" (default) or "torch": whose defaults hold for the hypers that are not given.
        exclude: pattern of parameter names without weight decay; None: biases and normalization parameters.
        hypers: for each name a number, a list or a range.
    """

    model_config = ConfigDict(strict=False)

    kind: str
    label: str
    preset: Literal["lecture", "torch"] = "lecture"
    exclude: str | None = None
    hypers: dict[str, Values]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Take the hypers out of the flat table that a person writes."""
        if isinstance(data, str):
            data = {"kind": data}
        if not isinstance(data, Mapping) or "hypers" in data:
            return data
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in RULES:
            raise ValueError(f"kind = {kind!r} is not a rule; {choices(kind, RULES)}")
        own = {"kind", "label", "preset", "exclude"}
        allowed = {*RULES[kind].hypers, *REGULARIZERS}
        for key in data:
            if key not in own | allowed:
                raise ValueError(f"{key} is not a hyper of {kind}; {choices(key, own | allowed)}")
        hypers = {key: value for key, value in data.items() if key in allowed}
        return {"label": kind, **{k: v for k, v in data.items() if k in own}, "hypers": hypers}

    def complete(self) -> tuple[str, dict[str, Values]]:
        """The kind that is run (a preset may name another) and every hyper, defaults filled in."""
        kind, defaults = preset(self.kind, self.preset)
        return kind, {**defaults, **self.hypers}


def _seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("must be at least 1, or a list of seeds")
        return tuple(range(value))
    return value


def _data(value: Any) -> Any:
    return value if isinstance(value, Dataset) else parse_data(value, "data")


def _schedules(value: Any) -> Any:
    return tuple(parse_schedule(item, "schedule") for item in _listed(value))


class Study(Strict):
    """A study: data, a model, and every value of every hyper that is to be tried.

    Args:
        name: names the study in its store; letters, digits, ".", "_" and "-".
        data: a data set: its name, a table with ``kind``, or in Python a `Dataset`.
        model: a model: its kind, a table with ``kind``, or in Python a module class or factory.
        rules: the update rules to compare, each with the values of its hypers.
        epochs: passes over the training set; or
        steps: number of updates.
        batch_size: examples in a minibatch, or "full"; a list is part of the grid.
        seeds: how many seeds (0, 1, ...), or a list of them.
        schedule: how the learning rate changes; a list is part of the grid.
        dropout: values of ``model.dropout`` (a list or a range there is part of the grid).
        search: all combinations (grid), or random draws.
        evaluations: how many times along a run the validation set is looked at.

    Example:
        >>> study = Study(name="two-rules", data="iris", model="mlp", epochs=5,
        ...     rules=[{"kind": "sgd", "lr": [0.01, 0.1]}, {"kind": "adam"}])
        >>> [rule.label for rule in study.rules]
        ['sgd', 'adam']
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, strict=False)

    name: str
    data: Annotated[DataSpec | Dataset, BeforeValidator(_data)]
    model: Annotated[Model, BeforeValidator(parse_model)]
    rules: Annotated[tuple[RuleBlock, ...], Field(min_length=1)]
    epochs: Annotated[float, Field(gt=0, le=1e6)] | None = None
    steps: Annotated[int, Field(ge=1, le=10**9, strict=True)] | None = None
    batch_size: Annotated[
        tuple[Annotated[int, Field(ge=1, strict=True)] | Literal["full"], ...],
        BeforeValidator(_listed),
    ] = (64,)
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**31, strict=True)], ...],
        Field(min_length=1),
        BeforeValidator(_seeds),
    ] = (0, 1, 2)
    schedule: Annotated[
        tuple[ScheduleSpec, ...],
        Field(min_length=1, validate_default=True),
        BeforeValidator(_schedules),
    ] = ("constant",)  # type: ignore[assignment]
    dropout: Values = 0.0
    search: Search = Search()
    evaluations: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 20

    @model_validator(mode="before")
    @classmethod
    def _take_dropout(cls, data: Any) -> Any:
        """The rate varies run by run, so it is no part of the model's structure."""
        if isinstance(data, Mapping) and isinstance(data.get("model"), Mapping) and "dropout" in data["model"]:
            model = dict(data["model"])
            if model.get("kind") in WITH_DROPOUT:
                return {**data, "dropout": model.pop("dropout"), "model": model}
        return data

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("must be 1 to 80 letters, digits, '.', '_' or '-', the first a letter or digit")
        return name

    @model_validator(mode="after")
    def _check(self) -> Study:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("needs exactly one of epochs and steps")
        for what, values in (("seeds", self.seeds), ("batch_size", self.batch_size)):
            if len(set(values)) != len(values):
                raise ValueError(f"{what}: a value stands twice in {list(values)}")
        labels = [rule.label for rule in self.rules]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"rules: two rules are called {label!r}: give one of them a label = \"...\"")
        if self.search.kind == "random" and self.search.trials is None:
            raise ValueError("search: random search needs trials = how many for each rule")
        if self.search.kind == "grid" and self.search.trials is not None:
            raise ValueError("search.trials: only random search takes it; write search = { kind = \"random\", trials = ... }")
        return self
