"""Weights along training: what a run's tensors were after some of its steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, and_, delete, or_, select

from ravine.store import blocks, digests
from ravine.store.blocks import Block
from ravine.store.core import Core
from ravine.store.database import portions
from ravine.store.entries import add_block, block_of, remove_blocks, unused_blocks
from ravine.store.schema import blocks as block_table
from ravine.store.schema import kept, runs

KIND = "kept"


class Kept:
    """The part of a store with the weights along training. A store has one: ``store.kept``.

    A run that diverged has none from the step on at which its loss ceased to be a finite number. What a run
    weighs at its end is among its tensors, and not here.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(self, run_ids: Sequence[str], steps: Sequence[int], tensors: blocks.Tensors) -> None:
        """Keep the weights of runs that are trained together, all in one file.

        Args:
            run_ids: the runs, (R,).
            steps: steps done, (T,).
            tensors: by name, (T * R, ...): row ``t * R + r`` is that of run r after ``steps[t]`` steps.
        """
        places = [(run, int(step)) for step in steps for run in run_ids]
        for name, tensor in tensors.items():
            assert len(tensor) == len(places), f"{name}: {len(tensor)} rows for {len(places)}"
        with self._core.entered({KIND: tensors}) as (connection, written, unused):
            unused += _add(connection, places, written[KIND])

    def truncate(self, run_ids: Sequence[str], from_step: int) -> None:
        """Forget what was kept at this step and after it: on resume, what training is about to do again."""
        with self._core.write() as connection:
            unused = remove_blocks(connection, truncate(connection, run_ids, from_step))
        self._core.remove(unused)

    def steps(self, run_ids: Sequence[str]) -> dict[str, list[int]]:
        """After which steps the weights of each run were kept, rising; [] for a run without any."""
        with self._core.read() as connection:
            found = _find(connection, run_ids)
        return {run: sorted(step for step, _, _ in found.get(run, ())) for run in run_ids}

    def path(self, run_id: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The weights of a run along its training, without those at its end.

        Returns:
            Steps done, int64 (T,), and by name the tensors after them, (T, ...); T is 0, and there are no
            tensors, where nothing was kept.

        Raises:
            StoreError: a file is damaged.
        """
        with self._core.read() as connection:
            found = _find(connection, [run_id]).get(run_id, ())
        return self._core.along(found)


def _add(connection: Connection, places: Sequence[tuple[str, int]], block: Block) -> list[str]:
    """Enter a block; return the files that it replaced."""
    replaced: set[int] = set()
    for step in {step for _, step in places}:
        for some in portions([run for run, at in places if at == step]):
            here = and_(kept.c.run_id.in_(some), kept.c.step == step)
            replaced.update(connection.scalars(select(kept.c.block_id).where(here)))
            connection.execute(delete(kept).where(here))
    number = add_block(connection, block)
    rows = [
        {"run_id": run, "step": step, "block_id": number, "row": row}
        for row, (run, step) in enumerate(places)
    ]
    digests.add(connection, kept, rows)
    return remove_blocks(connection, unused_blocks(connection, kept.c.block_id, replaced))


def truncate(connection: Connection, run_ids: Sequence[str], from_step: int) -> list[int]:
    """Forget what was kept at this step and after it; return the numbers of blocks that nothing refers to now."""
    gone: set[int] = set()
    for some in portions(run_ids):
        late = and_(kept.c.run_id.in_(some), kept.c.step >= from_step)
        gone.update(connection.scalars(select(kept.c.block_id).where(late)))
        connection.execute(delete(kept).where(late))
    return unused_blocks(connection, kept.c.block_id, gone)


def _find(connection: Connection, run_ids: Sequence[str]) -> dict[str, list[tuple[int, Block, int]]]:
    """Step, block and row of all that counts, by run."""
    counts = or_(runs.c.diverged_at.is_(None), kept.c.step < runs.c.diverged_at)
    found: dict[str, list[tuple[int, Block, int]]] = defaultdict(list)
    known: dict[int, Block] = {}
    for some in portions(run_ids):
        query = (
            select(kept, block_table)
            .join(block_table, block_table.c.id == kept.c.block_id)
            .join(runs, runs.c.id == kept.c.run_id)
        )
        for row in connection.execute(query.where(kept.c.run_id.in_(some), counts)):
            values = row._mapping
            run = values[kept.c.run_id]
            digests.verify(kept, row, f"weights of run {run} along its training")
            number = values[kept.c.block_id]
            if number not in known:
                known[number] = block_of(row, len(kept.columns))
            found[run].append((values[kept.c.step], known[number], values[kept.c.row]))
    return found
