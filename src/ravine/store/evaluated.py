"""What finished runs predict at test by other modes than the mean pass, and which modes a study asks for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, select

from ravine.store import blocks, digests, studies
from ravine.store.blocks import Block
from ravine.store.core import Core
from ravine.store.database import portions
from ravine.store.entries import add_block, block_of, remove_blocks, unused_blocks
from ravine.store.records import parsed
from ravine.store.schema import blocks as block_table
from ravine.store.schema import evaluated, test_times

KIND = "predictions"


class Evaluated:
    """The part of a store with evaluations of finished runs. A store has one: ``store.evaluated``.

    An evaluation belongs to a run and not to a study: two studies that ask for the same share it.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def ask(self, study: str, content: Mapping[str, Any] | None) -> None:
        """Keep how the runs of a study are to be evaluated; it replaces what was kept before.

        Args:
            study: its name.
            content: plain data; None: by the mean pass alone.

        Raises:
            StoreError: there is no such study.
        """
        packed = None if content is None else json.dumps(dict(content), sort_keys=True, allow_nan=False)
        with self._core.write() as connection:
            number = studies.study_id(connection, study)
            here = test_times.c.study_id == number
            if connection.scalar(select(test_times.c.content).where(here)) == packed:
                return
            connection.execute(delete(test_times).where(here))
            if packed is not None:
                digests.add(connection, test_times, [{"study_id": number, "content": packed}])

    def asked(self, study: str) -> dict[str, Any] | None:
        """How the runs of a study are to be evaluated, as plain data; None: by the mean pass alone.

        Raises:
            StoreError: there is no such study, or the entry is damaged.
        """
        with self._core.read() as connection:
            number = studies.study_id(connection, study)
            row = connection.execute(select(test_times).where(test_times.c.study_id == number)).one_or_none()
        return None if row is None else content_of(row)

    def add(
        self, mode: str, settings: Mapping[str, Any], run_ids: Sequence[str], tensors: blocks.Tensors
    ) -> None:
        """Store evaluations of runs by one mode, all in one file; they replace earlier ones of the same mode.

        Args:
            mode: its id.
            settings: the mode, as plain data.
            run_ids: the runs, (R,).
            tensors: by name, (R, ...).
        """
        for name, tensor in tensors.items():
            assert len(tensor) == len(run_ids), f"{name}: {len(tensor)} rows for {len(run_ids)}"
        packed = json.dumps(dict(settings), sort_keys=True, allow_nan=False)
        with self._core.entered({KIND: tensors}) as (connection, written, unused):
            unused += _add(connection, mode, packed, run_ids, written[KIND])

    def having(self, mode: str, run_ids: Sequence[str]) -> frozenset[str]:
        """Those of some runs that have an evaluation by this mode."""
        with self._core.read() as connection:
            found = _find(connection, mode, run_ids)
        return frozenset(run for places in found.values() for run, _ in places)

    def read(self, mode: str, run_ids: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """The evaluations of runs by one mode: tensors by name, for each run that has one.

        Raises:
            StoreError: a file is damaged.
        """
        with self._core.read() as connection:
            found = _find(connection, mode, run_ids)
        read = self._core.rows(found)
        return {run: read[run] for run in run_ids if run in read}


def content_of(row: Row[Any]) -> dict[str, Any]:
    """How the runs of a study are to be evaluated, from its row.

    Raises:
        StoreError: it is damaged.
    """
    about = f"test_time of study {row.study_id}"
    digests.verify(test_times, row, about)
    content: dict[str, Any] = parsed(row.content, dict, about)
    return content


def _add(connection: Connection, mode: str, settings: str, run_ids: Sequence[str], block: Block) -> list[str]:
    """Enter a block; return the files that it replaced."""
    replaced: set[int] = set()
    for some in portions(run_ids):
        here = evaluated.c.run_id.in_(some), evaluated.c.mode == mode
        replaced.update(connection.scalars(select(evaluated.c.block_id).where(*here)))
        connection.execute(delete(evaluated).where(*here))
    number = add_block(connection, block)
    rows = [
        {"run_id": run, "mode": mode, "settings": settings, "block_id": number, "row": row}
        for row, run in enumerate(run_ids)
    ]
    digests.add(connection, evaluated, rows)
    return remove_blocks(connection, unused_blocks(connection, evaluated.c.block_id, replaced))


def _find(connection: Connection, mode: str, run_ids: Sequence[str]) -> dict[Block, list[tuple[str, int]]]:
    """Where the evaluations of runs lie, by block: run and row."""
    found: dict[Block, list[tuple[str, int]]] = defaultdict(list)
    for some in portions(run_ids):
        query = select(evaluated, block_table).join(block_table, block_table.c.id == evaluated.c.block_id)
        for row in connection.execute(query.where(evaluated.c.run_id.in_(some), evaluated.c.mode == mode)):
            values = row._mapping
            run = values[evaluated.c.run_id]
            digests.verify(evaluated, row, f"evaluation of run {run}")
            found[block_of(row, len(evaluated.columns))].append((run, values[evaluated.c.row]))
    return found
