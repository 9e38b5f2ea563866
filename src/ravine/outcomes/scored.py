"""The log of what was scored on test: kept where the store can be written, and left out with a note elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ravine.errors import StoreError
from ravine.study import content_id

if TYPE_CHECKING:
    from ravine.store import Store


def recipe_id(weights: Mapping[str, float], combine: str = "mean") -> str:
    """The id of members with their weights, and of how they are combined: 16 hex digits.

    Args:
        weights: by the member's name; of a run alone ``{run: 1.0}``.
        combine: how their predictions become one.
    """
    return content_id({"members": dict(weights), "combine": combine})


def log_scored(store: Store, fingerprint: str, recipes: Mapping[str, str]) -> tuple[int, list[str]]:
    """Log recipes that are about to be scored on test.

    Args:
        store: where.
        fingerprint: of the data.
        recipes: what each is, for people, by its id.

    Returns:
        How many were ever scored on the test part of these data, these included; and notes.
    """
    notes, known = [], set(recipes)
    try:
        known |= {each.recipe for each in store.scored.of(fingerprint)}
        store.scored.add(fingerprint, recipes)
    except StoreError as error:
        notes.append(f"what was scored on test is not logged: {error}")
    return len(known), notes
