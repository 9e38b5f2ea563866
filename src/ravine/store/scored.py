"""Which recipes were ever scored on the test part of which data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from ravine.messages import printable
from ravine.store import digests
from ravine.store.core import Core
from ravine.store.lock import now
from ravine.store.schema import scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """A recipe that was scored on test.

    Args:
        recipe: its id.
        words: what it is, for people.
        at: when it first was.
    """

    recipe: str
    words: str
    at: str


class Scored:
    """The part of a store that logs what was scored on test. A store has one: ``store.scored``.

    It outlives the studies: deleting one does not undo that its test score was seen.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(self, data_fingerprint: str, recipes: Mapping[str, str]) -> None:
        """Log that recipes were scored; one that is there already stays as it is.

        Args:
            data_fingerprint: of the data.
            recipes: what each is, for people, by its id.
        """
        known = {each.recipe for each in self.of(data_fingerprint)}
        if recipes.keys() <= known:  # so that showing again writes nothing
            return
        with self._core.write() as connection:
            here = select(scored.c.recipe).where(scored.c.data_fingerprint == data_fingerprint)
            known = set(connection.scalars(here))
            rows = [
                {"data_fingerprint": data_fingerprint, "recipe": recipe, "words": words, "at": now()}
                for recipe, words in recipes.items()
                if recipe not in known
            ]
            digests.add(connection, scored, rows)

    def of(self, data_fingerprint: str) -> list[Scoring]:
        """All that were scored on the test part of these data, the earliest first."""
        query = select(scored).where(scored.c.data_fingerprint == data_fingerprint)
        with self._core.read() as connection:
            return [
                scoring_of(row) for row in connection.execute(query.order_by(scored.c.at, scored.c.recipe))
            ]


def scoring_of(row: Row[Any]) -> Scoring:
    """A row as it is read.

    Raises:
        StoreError: it is damaged.
    """
    digests.verify(scored, row, f"test score of recipe {str(row.recipe)[:16]}")
    return Scoring(recipe=printable(row.recipe), words=printable(row.words), at=row.at)
