"""The ends of runs that others go on from: what their update rules keep, beside the weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from ravine.store import blocks, digests
from ravine.store.core import Core
from ravine.store.database import portions
from ravine.store.entries import add_block
from ravine.store.schema import rows

KIND = "ends"


class Ends:
    """The part of a store with the ends of runs. A store has one: ``store.ends``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def having(self, run_ids: Collection[str]) -> set[str]:
        """Those of some runs whose ends are kept."""
        found: set[str] = set()
        with self._core.read() as connection:
            for some in portions(run_ids):
                query = select(rows).where(rows.c.kind == KIND, rows.c.run_id.in_(some))
                for row in connection.execute(query):
                    digests.verify(rows, row, f"end of run {row.run_id}")
                    found.add(row.run_id)
        return found

    def add(self, run_ids: Sequence[str], tensors: blocks.Tensors) -> None:
        """Keep the ends of runs that have finished without them; nothing else of the runs changes.

        Args:
            run_ids: the runs.
            tensors: (runs, ...) by name.
        """
        with self._core.entered({KIND: tensors}) as (connection, written, _):
            number = add_block(connection, written[KIND])
            places = [{"kind": KIND, "run_id": run, "row": row} for row, run in enumerate(run_ids)]
            digests.add(connection, rows, [{**place, "block_id": number} for place in places])
