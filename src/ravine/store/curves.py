"""Curves: points of many runs side by side, a blob of float32 (T, R) per metric and call.

Runs trained together report together, so their points share steps and one blob serves them all. Nothing is
rewritten: what is added later replaces what was there, and a *cut* says from which step on the earlier chunks
of a run no longer count. Only a chunk of the same runs and the same first step is deleted when it is replaced.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, func, insert, select

from ravine.errors import StoreError
from ravine.store import digests
from ravine.store.database import portions
from ravine.store.schema import curve_chunks, curve_columns, curve_cuts, curve_groups

# Blobs have one byte order wherever they were written.
STEP = np.dtype("<i8")
POINT = np.dtype("<f4")

Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A blob as read: its id (age), the group it belongs to, steps (T,) and points (T, R)."""

    id: int
    group: int
    steps: np.ndarray
    points: np.ndarray


def append(
    connection: Connection, run_ids: Sequence[str], steps: np.ndarray, values: Mapping[str, np.ndarray]
) -> None:
    """Add points. See `Store.append_curves`."""
    assert len(set(run_ids)) == len(run_ids), "a run twice in one chunk"
    assert steps.ndim == 1, "steps must be (T,)"
    assert bool(np.all(np.diff(steps) > 0)), "steps must rise"
    if not len(steps) or not run_ids:
        return
    group = _group(connection, run_ids)
    first_step = int(steps[0])
    packed_steps = steps.astype(STEP).tobytes()
    chunks = []
    for metric, points in values.items():
        shape = (len(steps), len(run_ids))
        assert points.shape == shape, f"curve {metric}: {points.shape}, should be {shape}"
        blob = points.astype(POINT).tobytes(order="C")
        chunk = {"group_id": group, "metric": metric, "first_step": first_step}
        chunks.append({**chunk, "steps": packed_steps, "points": blob})
    connection.execute(
        delete(curve_chunks).where(
            curve_chunks.c.group_id == group,
            curve_chunks.c.first_step == first_step,
            curve_chunks.c.metric.in_(values),
        )
    )
    digests.add(connection, curve_chunks, chunks)


def _group(connection: Connection, run_ids: Sequence[str]) -> int:
    """The id of this ordered list of runs, made if it is new."""
    key = hashlib.sha256(" ".join(run_ids).encode()).hexdigest()
    found = connection.scalar(select(curve_groups.c.id).where(curve_groups.c.key == key))
    if found is not None:
        return int(found)
    added = connection.execute(insert(curve_groups).values(key=key, num_runs=len(run_ids)))
    group = int(added.inserted_primary_key[0]) if added.inserted_primary_key else 0
    digests.add(
        connection,
        curve_columns,
        [{"run_id": run, "group_id": group, "column": column} for column, run in enumerate(run_ids)],
    )
    return group


def truncate(connection: Connection, run_ids: Sequence[str], after_step: int) -> None:
    """Forget points after a step. See `Store.truncate_curves`."""
    newest = connection.scalar(select(func.max(curve_chunks.c.id)))
    if newest is not None:
        cuts = [{"run_id": run, "chunk_id": newest, "after_step": after_step} for run in run_ids]
        digests.add(connection, curve_cuts, cuts)


def remove_unused(connection: Connection) -> None:
    """Delete the points of runs that are all gone."""
    used = select(curve_columns.c.group_id)
    connection.execute(delete(curve_groups).where(curve_groups.c.id.not_in(used)))


def read(
    connection: Connection, run_ids: Sequence[str], metrics: Sequence[str]
) -> dict[str, dict[str, Curve]]:
    """Points of some metrics, by metric and run. See `Store.curves_of`."""
    columns: dict[str, dict[int, int]] = {run: {} for run in run_ids}
    cuts: dict[str, list[tuple[int, int]]] = {run: [] for run in columns}
    for some in portions(columns):
        for row in connection.execute(select(curve_columns).where(curve_columns.c.run_id.in_(some))):
            digests.verify(curve_columns, row, f"curves of run {row.run_id}")
            columns[row.run_id][row.group_id] = row.column
        query = select(curve_cuts).where(curve_cuts.c.run_id.in_(some)).order_by(curve_cuts.c.id)
        for row in connection.execute(query):
            digests.verify(curve_cuts, row, f"curves of run {row.run_id}")
            cuts[row.run_id].append((row.chunk_id, row.after_step))
    chunks = _chunks(connection, {group for held in columns.values() for group in held}, metrics)
    # Runs of the same groups and cuts (a whole cohort, nearly always) are read in one go.
    alike: defaultdict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], list[str]] = defaultdict(list)
    for run, held in columns.items():
        alike[tuple(sorted(held)), tuple(cuts[run])].append(run)
    curves: dict[str, dict[str, Curve]] = {metric: {} for metric in metrics}
    for (groups, cut), runs in alike.items():
        where = {group: np.array([columns[run][group] for run in runs]) for group in groups}
        for metric, own in chunks.items():
            _check_columns(own, where)
            steps, points = _merge([c for c in own if c.group in where], where, cut, len(runs))
            curves[metric] |= {run: (steps.copy(), points[row].copy()) for row, run in enumerate(runs)}
    return curves


def _chunks(connection: Connection, groups: set[int], metrics: Sequence[str]) -> dict[str, list[Chunk]]:
    """The chunks of these groups by metric, oldest first."""
    found: list[Any] = []
    for some in portions(sorted(groups)):
        found += connection.execute(
            select(curve_chunks, curve_groups.c.num_runs)
            .join(curve_groups, curve_groups.c.id == curve_chunks.c.group_id)
            .where(curve_chunks.c.group_id.in_(some), curve_chunks.c.metric.in_(metrics))
        ).all()
    chunks: dict[str, list[Chunk]] = {metric: [] for metric in metrics}
    for row in sorted(found, key=lambda row: int(row.id)):
        chunks[row.metric].append(chunk_of(row))
    return chunks


def chunk_of(row: Row[Any]) -> Chunk:
    """A chunk out of its row, which also has its group's ``num_runs``.

    Raises:
        StoreError: it is damaged.
    """
    about = f"curve {str(row.metric)[:60]!r}, chunk {row.id}"
    digests.verify(curve_chunks, row, about)
    num_steps, left = divmod(len(row.steps), STEP.itemsize)
    fits = isinstance(row.num_runs, int) and len(row.points) == num_steps * row.num_runs * POINT.itemsize
    if not num_steps or left or not fits:
        raise StoreError(f"{about}: the store's entry is damaged: it has a wrong length")
    return Chunk(
        id=row.id,
        group=row.group_id,
        steps=np.frombuffer(row.steps, STEP),
        points=np.frombuffer(row.points, POINT).reshape(num_steps, row.num_runs),
    )


def _check_columns(chunks: Sequence[Chunk], columns: Mapping[int, np.ndarray]) -> None:
    for chunk in chunks:
        of_group = columns.get(chunk.group)
        if of_group is not None and not 0 <= of_group.min() <= of_group.max() < chunk.points.shape[1]:
            raise StoreError(
                f"curves: the store's entry is damaged: no column {of_group.max()} in chunk {chunk.id}"
            )


def _merge(
    chunks: Sequence[Chunk],
    columns: Mapping[int, np.ndarray],
    cuts: Sequence[tuple[int, int]],
    num_runs: int,
) -> Curve:
    """One curve per run out of chunks, oldest first: cut, replace, sort.

    Returns:
        Steps int64 (T,) and points float32 (num_runs, T).
    """
    steps = np.zeros(0, np.int64)
    points = np.zeros((num_runs, 0), np.float32)
    by_first: dict[int, Chunk] = {}
    for chunk in chunks:
        # Taken out and put back, so that the dict stays in order of age.
        by_first.pop(int(chunk.steps[0]), None)
        by_first[int(chunk.steps[0])] = chunk
    pieces_steps, pieces_points = [steps], [points]
    for chunk in by_first.values():
        keep = np.ones(len(chunk.steps), bool)
        for last_chunk, after_step in cuts:
            if chunk.id <= last_chunk:
                keep &= chunk.steps <= after_step
        pieces_steps.append(chunk.steps[keep].astype(np.int64))
        pieces_points.append(chunk.points[keep][:, columns[chunk.group]].T.astype(np.float32))
    steps, points = np.concatenate(pieces_steps), np.concatenate(pieces_points, axis=1)
    # Of two points at one step the newer counts; unique() keeps the first it meets, so look from the end.
    last = len(steps) - 1 - np.unique(steps[::-1], return_index=True)[1]
    return steps[last], points[:, last]
