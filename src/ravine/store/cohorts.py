"""Cohorts: the unit of training and resuming. A row lives from a cohort's start to its end."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ravine.errors import StoreError
from ravine.store import banked, curves, digests, kept
from ravine.store.averaged import stored_kind
from ravine.store.blocks import Block
from ravine.store.database import add_all, portions
from ravine.store.entries import add_block, block_of, members, remove_blocks
from ravine.store.records import CohortRecord, RunResult, parsed
from ravine.store.schema import blocks, cohort_runs, cohorts, metrics, rows, runs
from ravine.store.studies import existing, run_digest


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
    row = {"id": cohort_id, "plan": packed, "step": 0, "block_id": None}
    connection.execute(insert(cohorts).values(**row, digest=digests.digest_of(cohorts, row, list(run_ids))))
    add_all(
        connection,
        cohort_runs,
        [{"cohort_id": cohort_id, "position": i, "run_id": run} for i, run in enumerate(run_ids)],
    )
    connection.execute(update(runs).where(_in(cohort_id)).values(status="running"))


def _in(cohort_id: str) -> Any:
    """The condition "this run is in that cohort"."""
    return runs.c.id.in_(select(cohort_runs.c.run_id).where(cohort_runs.c.cohort_id == cohort_id))


def unfinished(connection: Connection, run_ids: Sequence[str]) -> list[CohortRecord]:
    """Cohorts that have any of these runs, in the order in which the runs name them. See `Store.cohorts`."""
    wanted = {run: place for place, run in enumerate(run_ids)}
    records = []
    for row in connection.execute(select(cohorts).order_by(cohorts.c.id)).all():
        runs_of_it = members(connection, row.id)
        if any(run in wanted for run in runs_of_it):
            records.append(record(row, runs_of_it))
    return sorted(records, key=lambda record: min(wanted[run] for run in record.run_ids if run in wanted))


def record(row: Row[Any], run_ids: Sequence[str]) -> CohortRecord:
    """A cohort out of its row and its runs.

    Raises:
        StoreError: the row is damaged, or the runs are others.
    """
    about = f"cohort {row.id}"
    digests.verify(cohorts, row, about, list(run_ids))
    return CohortRecord(
        id=row.id,
        run_ids=tuple(run_ids),
        plan=parsed(row.plan, dict, about),
        step=row.step,
        checkpoint=row.block_id is not None,
    )


def _open(connection: Connection, cohort_id: str) -> Row[Any]:
    """The row of an unfinished cohort."""
    found = connection.execute(select(cohorts).where(cohorts.c.id == cohort_id)).one_or_none()
    if found is None:
        raise StoreError(
            f"cohort {cohort_id!r} is not open: it was never started, has finished or was dropped"
        )
    return found


def checkpoint(
    connection: Connection, cohort_id: str, step: int, block: Block, status: Mapping[str, int | None]
) -> list[str]:
    """Enter a new checkpoint; return the files that are no longer needed. See `Store.save_checkpoint`."""
    former = _open(connection, cohort_id)
    run_ids = members(connection, cohort_id)
    record(former, run_ids)
    old = former.block_id
    if step < former.step:
        raise StoreError(f"cohort {cohort_id!r}: a checkpoint of step {step} after one of step {former.step}")
    row = {"id": cohort_id, "plan": former.plan, "step": step, "block_id": add_block(connection, block)}
    digest = digests.digest_of(cohorts, row, run_ids)
    connection.execute(update(cohorts).where(cohorts.c.id == cohort_id).values(**row, digest=digest))
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
    found = _open(connection, cohort_id)
    record(found, members(connection, cohort_id))
    if found.block_id is None:
        return None
    row = connection.execute(select(blocks).where(blocks.c.id == found.block_id)).one_or_none()
    if row is None:
        raise StoreError(f"cohort {cohort_id}: the entry of its checkpoint is missing; delete its study")
    return found.step, block_of(row)


def drop(connection: Connection, cohort_id: str) -> list[str]:
    """Make a cohort's runs planned again; return files to delete. See `Store.drop_cohort`."""
    block = _open(connection, cohort_id).block_id
    run_ids = members(connection, cohort_id)
    curves.truncate(connection, run_ids, -1)
    unused = [*kept.truncate(connection, run_ids, 0), *banked.truncate(connection, run_ids, 0)]
    connection.execute(update(runs).where(_in(cohort_id)).values(status="planned", step=0, diverged_at=None))
    connection.execute(delete(cohorts).where(cohorts.c.id == cohort_id))
    return remove_blocks(connection, [*unused, *([] if block is None else [block])])


def finish(
    connection: Connection,
    cohort_id: str,
    results: Sequence[RunResult],
    written: Mapping[str, Block],
    runs_of: Mapping[str, Sequence[str]],
) -> list[str]:
    """Enter a cohort's results, all at once; return files to delete. See `Store.finish_cohort`."""
    old = _open(connection, cohort_id).block_id
    run_ids = [result.id for result in results]
    assert sorted(run_ids) == sorted(members(connection, cohort_id)), "results must be of the cohort's runs"
    for kind, block in written.items():
        number = add_block(connection, block)
        places = [{"kind": stored_kind(kind), "run_id": run, "row": i} for i, run in enumerate(runs_of[kind])]
        digests.add(connection, rows, [{**place, "block_id": number} for place in places])
    # A NaN can't live in a SQLite REAL; "diverged" says what it would have said.
    finite = {
        result.id: {name: float(value) for name, value in result.metrics.items() if math.isfinite(value)}
        for result in results
    }
    whole = {row.id: row._asdict() for row in _rows_of(connection, run_ids)}
    connection.execute(
        update(runs)
        .where(runs.c.id == bindparam("run"))
        .values({name: bindparam(f"new_{name}") for name in (*_ENDING, "digest")}),
        [
            {
                "run": result.id,
                **{f"new_{name}": value for name, value in _ending(result).items()},
                "new_digest": run_digest({**whole[result.id], **_ending(result)}, finite[result.id]),
            }
            for result in results
        ],
    )
    add_all(
        connection,
        metrics,
        [
            {"run_id": run, "name": name, "value": value}
            for run, values in finite.items()
            for name, value in values.items()
        ],
    )
    connection.execute(delete(cohorts).where(cohorts.c.id == cohort_id))
    return remove_blocks(connection, [] if old is None else [old])


_ENDING = ("status", "step", "diverged_at", "seconds", "backend")


def _ending(result: RunResult) -> dict[str, object]:
    return {
        "status": "done" if result.diverged_at is None else "diverged",
        "step": int(result.step),
        "diverged_at": None if result.diverged_at is None else int(result.diverged_at),
        "seconds": float(result.seconds),
        "backend": result.backend,
    }


def _rows_of(connection: Connection, run_ids: Sequence[str]) -> Iterator[Row[Any]]:
    for some in portions(run_ids):
        yield from connection.execute(select(runs).where(runs.c.id.in_(some)))


def find_rows(
    connection: Connection, kind: str, run_ids: Sequence[str]
) -> dict[Block, list[tuple[str, int]]]:
    """Where the tensors of runs lie: for each block its runs and their rows.

    Raises:
        StoreError: one has none, naming its status.
    """
    found: defaultdict[Block, list[tuple[str, int]]] = defaultdict(list)
    known: dict[int, Block] = {}
    missing = set(run_ids)
    for some in portions(missing):
        query = select(rows, blocks).join(blocks, blocks.c.id == rows.c.block_id)
        for row in connection.execute(query.where(rows.c.kind == kind, rows.c.run_id.in_(some))):
            run = row.run_id
            digests.verify(rows, row, f"{kind} of run {run}")
            if row.block_id not in known:
                known[row.block_id] = block_of(row, len(rows.columns))
            found[known[row.block_id]].append((run, row.row))
            missing.discard(run)
    if missing:
        run = min(missing)
        status = existing(connection, [run]).get(run, "unknown to the store")
        raise StoreError(f"run {run} has no {kind}: it is {status}")
    return found
