"""The model of a study: a specification, or in Python the user's own class or factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from ravine.errors import StudyError, choices
from ravine.messages import one_line
from ravine.nn import spec
from ravine.nn.target import describe_factory, find_factory


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A user's class or function without arguments that makes the module.

    Args:
        factory: called once for every seed.
    """

    factory: Callable[[], Any]


Model: TypeAlias = spec.MLP | spec.ConvNet | spec.ResNet | spec.Module | Own


def parse_model(value: object, where: str = "model") -> Model:
    """A model from its kind, a table with ``kind``, a ``package.module:Name``, or a class or factory.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_model("mlp").kind
        'mlp'
    """
    if isinstance(value, spec.MLP | spec.ConvNet | spec.ResNet | spec.Module | Own):
        return value
    if isinstance(value, str):
        value = {"kind": "module", "target": value} if ":" in value else {"kind": value}
    if isinstance(value, Mapping):
        kind = value.get("kind")
        if kind not in spec.KINDS:
            raise StudyError(f"{where}.kind = {kind!r} is not a model; {choices(kind, spec.KINDS)}")
        try:
            return spec.parse(dict(value))
        except ValidationError as error:
            raise StudyError(one_line(error, inside=where, value=value)) from None
    if callable(value):
        return Own(factory=value)
    raise StudyError(f"{where}: must be a kind, a table with kind, or a class or function; got {type(value).__name__}")


def structure_of(model: Model, search: Path | None) -> dict[str, Any]:
    """What of a model is the same for all runs of a program, as plain data; a user's code counts by its source.

    Args:
        model: the model.
        search: folder of the study file, where a user's module is looked for.

    Raises:
        ModelError: the user's module is not there.
    """
    if isinstance(model, Own):
        return {"kind": "own", "source": describe_factory(model.factory)}
    content = model.model_dump(mode="json")
    content.pop("dropout", None)
    if isinstance(model, spec.Module):
        content["source"] = describe_factory(find_factory(model.target, search))
    return content
