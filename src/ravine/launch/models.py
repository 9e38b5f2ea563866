"""Which of a study's models a run has, and whether that is still the model that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ravine.errors import StoreError
from ravine.messages import shown
from ravine.store import RunRecord
from ravine.study import Study, content_id
from ravine.study.model import Model, structure_of
from ravine.study.recipe import MARKS


def without_marks(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says of its model's structure."""
    return {key: value for key, value in model.items() if key not in MARKS}


def model_of(study: Study, structure: Mapping[str, Any], search: Path | None) -> Model:
    """That model of a study which has a run's structure; of a study with one model that one.

    Raises:
        StoreError: a study of several models has none of that structure.
    """
    if len(study.models) == 1:
        return study.models[0]
    wanted = content_id(without_marks(structure))
    for model in study.models:
        if content_id(structure_of(model, search)) == wanted:
            return model
    raise StoreError(f"study {study.name!r} has no model of the structure {shown(dict(structure))}")


def check_same_model(study: Study, search: Path | None, records: Sequence[RunRecord]) -> None:
    """Refuse stored runs of other models than a study's.

    Raises:
        StoreError: a run was trained with another model, or with another state of its source.
    """
    known = [structure_of(model, search) for model in study.models]
    ids = {content_id(each) for each in known}
    for record in records:
        before = without_marks(record.recipe["model"])
        if content_id(before) not in ids:
            now = next((each for each in known if each["kind"] == before.get("kind")), known[0])
            changes = [
                f"model.{key}: {shown(before.get(key))} -> {shown(now.get(key))}"
                for key in dict.fromkeys((*before, *now))
                if before.get(key) != now.get(key)
            ]
            raise StoreError(
                f"run {record.id} was trained with another model than this study's: {', '.join(changes)}"
            )
