"""Cohorts: the unit of training and resuming. A row lives from a cohort's start to its end."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ravine.errors import StoreError
from ravine.store import curves, kept
from ravine.store.blocks import Block
from ravine.store.database import add_all, portions
from ravine.store.entries import add_block, remove_blocks
from ravine.store.records import CohortRecord, RunResult
from ravine.store.schema import blocks, cohort_runs, cohorts, metrics, rows, runs
from ravine.store.studies import existing


def start(connection: Connection, cohort_id: str, run_ids: Sequence[str], plan: Mapping[str, Any]) -> None:
    """Fix a cohort's runs, their order and its plan. See `Store.open_cohort`."""
    held = {row[0]: row[1] for row in connection.execute(select(cohorts.c.id, cohorts.c.plan))}
    packed = json.dumps(dict(plan))
    if cohort_id in held:
        if (held[cohort_id], members(connection, cohort_id)) == (packed, list(run_ids)):
            return
        raise StoreError(f"cohort {cohort_id!r} was started with other runs or another plan: drop it first")
    status = existing(connection, run_ids)
    for run in run_ids:
        if status.get(run) != "planned":
            raise StoreError(f"cohort {cohort_id!r}: run {run} is {status.get(run, 'unknown')}, not planned")
    connection.execute(insert(cohorts).values(id=cohort_id, plan=packed, step=0))
    add_all(
        connection,
        cohort_runs,
        [{"cohort_id": cohort_id, "position": i, "run_id": run} for i, run in enumerate(run_ids)],
    )
    connection.execute(update(runs).where(_in(cohort_id)).values(status="running"))


def _in(cohort_id: str) -> Any:
    """The condition "this run is in that cohort"."""
    return runs.c.id.in_(select(cohort_runs.c.run_id).where(cohort_runs.c.cohort_id == cohort_id))


def members(connection: Connection, cohort_id: str) -> list[str]:
    """The runs of a cohort, in its order."""
    query = select(cohort_runs.c.run_id).where(cohort_runs.c.cohort_id == cohort_id)
    return list(connection.scalars(query.order_by(cohort_runs.c.position)))


def unfinished(connection: Connection, run_ids: Sequence[str]) -> list[CohortRecord]:
    """Cohorts that hold any of these runs, in the order in which the runs name them. See `Store.cohorts`."""
    wanted = {run: place for place, run in enumerate(run_ids)}
    joined = select(cohort_runs.c.cohort_id, cohort_runs.c.run_id, cohorts.c.plan, cohorts.c.step)
    query = joined.add_columns(cohorts.c.block_id).join(cohorts, cohorts.c.id == cohort_runs.c.cohort_id)
    found = defaultdict(list)
    for row in connection.execute(query.order_by(cohort_runs.c.cohort_id, cohort_runs.c.position)):
        found[row.cohort_id].append(row)
    records = [
        CohortRecord(
            id=cohort_id,
            run_ids=tuple(row.run_id for row in held),
            plan=json.loads(held[0].plan),
            step=held[0].step,
            checkpoint=held[0].block_id is not None,
        )
        for cohort_id, held in found.items()
        if any(row.run_id in wanted for row in held)
    ]
    return sorted(records, key=lambda record: min(wanted[run] for run in record.run_ids if run in wanted))


def _open(connection: Connection, cohort_id: str) -> tuple[int, int | None]:
    """Step and block of an unfinished cohort."""
    found = connection.execute(
        select(cohorts.c.step, cohorts.c.block_id).where(cohorts.c.id == cohort_id)
    ).one_or_none()
    if found is None:
        raise StoreError(
            f"cohort {cohort_id!r} is not open: it was never started, has finished or was dropped"
        )
    return int(found[0]), found[1]


def checkpoint(
    connection: Connection, cohort_id: str, step: int, block: Block, status: Mapping[str, int | None]
) -> list[str]:
    """Enter a new checkpoint; return the files that are no longer needed. See `Store.save_checkpoint`."""
    former, old = _open(connection, cohort_id)
    if step < former:
        raise StoreError(f"cohort {cohort_id!r}: a checkpoint of step {step} after one of step {former}")
    number = add_block(connection, block)
    connection.execute(update(cohorts).where(cohorts.c.id == cohort_id).values(step=step, block_id=number))
    connection.execute(update(runs).where(_in(cohort_id)).values(step=step, diverged_at=None))
    diverged = [{"run": run, "at": at} for run, at in status.items() if at is not None]
    if diverged:
        connection.execute(
            update(runs)
            .where(runs.c.id == bindparam("run"))
            .values(step=bindparam("at"), diverged_at=bindparam("at")),
            diverged,
        )
    return remove_blocks(connection, [] if old is None else [old])


def checkpoint_block(connection: Connection, cohort_id: str) -> tuple[int, Block] | None:
    """Step and block of a cohort's checkpoint, None if it has none yet."""
    step, number = _open(connection, cohort_id)
    if number is None:
        return None
    row = connection.execute(select(blocks).where(blocks.c.id == number)).one()
    return step, Block(file=row.file, kind=row.kind, sha256=row.sha256, size=row.size)


def drop(connection: Connection, cohort_id: str) -> list[str]:
    """Make a cohort's runs planned again; return files to delete. See `Store.drop_cohort`."""
    _, block = _open(connection, cohort_id)
    run_ids = members(connection, cohort_id)
    curves.truncate(connection, run_ids, -1)
    unused = kept.truncate(connection, run_ids, 0)
    connection.execute(update(runs).where(_in(cohort_id)).values(status="planned", step=0, diverged_at=None))
    connection.execute(delete(cohorts).where(cohorts.c.id == cohort_id))
    return remove_blocks(connection, [*unused, *([] if block is None else [block])])


def finish(
    connection: Connection, cohort_id: str, results: Sequence[RunResult], written: Mapping[str, Block]
) -> list[str]:
    """Enter a cohort's results, all at once; return files to delete. See `Store.finish_cohort`."""
    _, old = _open(connection, cohort_id)
    run_ids = [result.id for result in results]
    assert sorted(run_ids) == sorted(members(connection, cohort_id)), "results must be of the cohort's runs"
    for kind, block in written.items():
        number = add_block(connection, block)
        places = [{"kind": kind, "run_id": run, "row": i} for i, run in enumerate(run_ids)]
        add_all(connection, rows, [{**place, "block_id": number} for place in places])
    connection.execute(
        update(runs)
        .where(runs.c.id == bindparam("run"))
        .values({name: bindparam(f"new_{name}") for name in _ENDING}),
        [{"run": result.id, **_ending(result)} for result in results],
    )
    add_all(
        connection,
        metrics,
        [
            {"run_id": result.id, "name": name, "value": float(value)}
            for result in results
            for name, value in result.metrics.items()
            # A NaN can't live in a SQLite REAL; "diverged" says what it would have said.
            if math.isfinite(value)
        ],
    )
    connection.execute(delete(cohorts).where(cohorts.c.id == cohort_id))
    return remove_blocks(connection, [] if old is None else [old])


_ENDING = ("status", "step", "diverged_at", "seconds", "backend")


def _ending(result: RunResult) -> dict[str, object]:
    return {
        "new_status": "done" if result.diverged_at is None else "diverged",
        "new_step": int(result.step),
        "new_diverged_at": None if result.diverged_at is None else int(result.diverged_at),
        "new_seconds": float(result.seconds),
        "new_backend": result.backend,
    }


def find_rows(
    connection: Connection, kind: str, run_ids: Sequence[str]
) -> dict[Block, list[tuple[str, int]]]:
    """Where the tensors of runs lie: for each block its runs and their rows.

    Raises:
        StoreError: one has none, naming its status.
    """
    found: defaultdict[Block, list[tuple[str, int]]] = defaultdict(list)
    missing = set(run_ids)
    for some in portions(missing):
        query = select(rows.c.run_id, rows.c.row, blocks).join(blocks, blocks.c.id == rows.c.block_id)
        for row in connection.execute(query.where(rows.c.kind == kind, rows.c.run_id.in_(some))):
            block = Block(file=row.file, kind=row.kind, sha256=row.sha256, size=row.size)
            found[block].append((row.run_id, row.row))
            missing.discard(row.run_id)
    if missing:
        run = min(missing)
        status = existing(connection, [run]).get(run, "unknown to the store")
        raise StoreError(f"run {run} has no {kind}: it is {status}")
    return found
