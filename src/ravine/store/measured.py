"""How sharp the minima of runs are, as it was last measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from ravine.store.database import portions
from ravine.store.schema import sharpness

if TYPE_CHECKING:
    from ravine.store.store import Store


class Measured:
    """The part of a store that holds measurements of finished runs. A store has one: ``store.sharpness``.

    Args:
        store: an open one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(self, settings: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what was measured; it replaces what was measured of the same runs before.

        Args:
            settings: how, as plain data.
            found: by run, as plain data.
        """
        packed = json.dumps(dict(settings), sort_keys=True)
        rows = [
            {"run_id": run, "settings": packed, "found": json.dumps(dict(values), allow_nan=False)}
            for run, values in found.items()
        ]
        if not rows:
            return
        with self._store._write() as connection:
            for some in portions(found):
                connection.execute(delete(sharpness).where(sharpness.c.run_id.in_(some)))
            connection.execute(insert(sharpness), rows)

    def read(self, run_ids: Sequence[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Settings and findings of the runs that were measured."""
        found = {}
        with self._store._read() as connection:
            for some in portions(run_ids):
                for row in connection.execute(select(sharpness).where(sharpness.c.run_id.in_(some))):
                    found[row.run_id] = (json.loads(row.settings), json.loads(row.found))
        return {run: found[run] for run in run_ids if run in found}
