"""Banks of runs: averages of the weights, stored several times along training.

What a bank has of a run after one step is a row of a kind such as "bank/400".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, delete, select

from ravine.store import blocks, digests
from ravine.store.blocks import Block
from ravine.store.core import Core
from ravine.store.database import portions
from ravine.store.entries import add_block, block_of, remove_blocks, unused_blocks
from ravine.store.schema import blocks as block_table
from ravine.store.schema import rows

KIND = "bank"


class Bank:
    """The part of a store with the banks of runs. A store has one: ``store.bank``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(self, run_ids: Sequence[str], steps: Sequence[int], tensors: blocks.Tensors) -> None:
        """Store averages of runs that are trained together, all in one file.

        Args:
            run_ids: the runs, (R,).
            steps: steps done, (T,).
            tensors: by name, (T * R, ...): row ``t * R + r`` is that of run r after ``steps[t]`` steps. A name is that
                of the average, a slash, and that of the parameter.
        """
        places = [(run, int(step)) for step in steps for run in run_ids]
        for name, tensor in tensors.items():
            assert len(tensor) == len(places), f"{name}: {len(tensor)} rows for {len(places)}"
        with self._core.entered({KIND: tensors}) as (connection, written, unused):
            for step in steps:
                unused += remove_blocks(connection, _remove(connection, run_ids, rows.c.kind == _kind(step)))
            number = add_block(connection, written[KIND])
            entries = [
                {"kind": _kind(step), "run_id": run, "block_id": number, "row": row}
                for row, (run, step) in enumerate(places)
            ]
            digests.add(connection, rows, entries)

    def truncate(self, run_ids: Sequence[str], from_step: int) -> None:
        """Forget what was stored at this step and after it: on resume, what training is about to do again."""
        with self._core.write() as connection:
            unused = remove_blocks(connection, truncate(connection, run_ids, from_step))
        self._core.remove(unused)

    def steps(self, run_ids: Sequence[str]) -> dict[str, list[int]]:
        """After which steps each run has averages, rising; [] for a run without a bank.

        A bank is whole if the end of the run is among them.
        """
        with self._core.read() as connection:
            found = _find(connection, run_ids)
        return {run: sorted(step for step, _, _ in found.get(run, ())) for run in run_ids}

    def read(self, run_id: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The averages of a run.

        Returns:
            Steps done, int64 (T,), and by name ("bank mean/linear1.weight") the tensors after them, (T, ...); T is 0,
            and there are no tensors, for a run without a bank.

        Raises:
            StoreError: a file is damaged.
        """
        with self._core.read() as connection:
            found = _find(connection, [run_id]).get(run_id, ())
        return self._core.along(found)


def truncate(connection: Connection, run_ids: Sequence[str], from_step: int) -> list[int]:
    """Forget what was stored at this step and after it; return the blocks that nothing refers to now."""
    late: set[str] = set()
    for some in portions(run_ids):
        kinds = select(rows.c.kind).distinct().where(rows.c.run_id.in_(some), _is_bank())
        late.update(kind for kind in connection.scalars(kinds) if _step(kind) >= from_step)
    return [number for kind in sorted(late) for number in _remove(connection, run_ids, rows.c.kind == kind)]


def _remove(connection: Connection, run_ids: Sequence[str], which: ColumnElement[bool]) -> list[int]:
    """Delete rows of these runs; return the numbers of blocks that nothing refers to now."""
    gone: set[int] = set()
    for some in portions(run_ids):
        here = and_(rows.c.run_id.in_(some), which)
        gone.update(connection.scalars(select(rows.c.block_id).where(here)))
        connection.execute(delete(rows).where(here))
    return unused_blocks(connection, rows.c.block_id, gone)


def _find(connection: Connection, run_ids: Sequence[str]) -> dict[str, list[tuple[int, Block, int]]]:
    """Step, block and row of all averages in banks, by run."""
    found: dict[str, list[tuple[int, Block, int]]] = defaultdict(list)
    known: dict[int, Block] = {}
    for some in portions(run_ids):
        query = select(rows, block_table).join(block_table, block_table.c.id == rows.c.block_id)
        for row in connection.execute(query.where(rows.c.run_id.in_(some), _is_bank())):
            digests.verify(rows, row, f"bank of run {row.run_id}")
            if row.block_id not in known:
                known[row.block_id] = block_of(row, len(rows.columns))
            found[row.run_id].append((_step(row[0]), known[row.block_id], row.row))
    return found


def _kind(step: int) -> str:
    return f"{KIND}/{int(step)}"


def _step(kind: str) -> int:
    return int(kind.removeprefix(f"{KIND}/"))


def _is_bank() -> ColumnElement[bool]:
    return rows.c.kind.startswith(f"{KIND}/")
