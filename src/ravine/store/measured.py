"""How sharp the minima of runs are, as it was last measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select

from ravine.store import digests
from ravine.store.core import Core
from ravine.store.database import portions
from ravine.store.records import parsed
from ravine.store.schema import sharpness


class Measured:
    """The part of a store with the measurements of finished runs. A store has one: ``store.sharpness``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

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
        with self._core.write() as connection:
            for some in portions(found):
                connection.execute(delete(sharpness).where(sharpness.c.run_id.in_(some)))
            digests.add(connection, sharpness, rows)

    def read(self, run_ids: Sequence[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Settings and findings of the runs that were measured."""
        found = {}
        with self._core.read() as connection:
            for some in portions(run_ids):
                for row in connection.execute(select(sharpness).where(sharpness.c.run_id.in_(some))):
                    about = f"sharpness of run {row.run_id}"
                    digests.verify(sharpness, row, about)
                    found[row.run_id] = (parsed(row.settings, dict, about), parsed(row.found, dict, about))
        return {run: found[run] for run in run_ids if run in found}
