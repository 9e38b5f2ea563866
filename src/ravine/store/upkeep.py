"""Deleting a study and checking a whole store."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Connection, delete, select

from ravine.errors import StoreError
from ravine.store import blocks as files
from ravine.store import cohorts, curves
from ravine.store.blocks import Block
from ravine.store.database import portions
from ravine.store.entries import known_blocks, remove_blocks
from ravine.store.schema import blocks, cohort_runs, kept, labels, rows, runs, studies, study_runs
from ravine.store.schema import cohorts as cohort_table
from ravine.store.studies import study_id

# A file younger than this may belong to a process that has not committed yet.
ORPHAN_SECONDS = 3600.0


def delete_study(connection: Connection, name: str) -> tuple[int, list[str]]:
    """Delete a study and the runs that no other uses.

    Returns:
        The number of runs, and the files to delete after the commit.
    """
    number = study_id(connection, name)
    here = select(study_runs.c.run_id).where(study_runs.c.study_id == number)
    gone = own_runs(connection, name)
    unused = []
    started = select(cohort_runs.c.cohort_id).where(cohort_runs.c.run_id.in_(here)).distinct()
    for cohort_id in connection.scalars(started).all():
        if set(cohorts.members(connection, cohort_id)) & set(gone):
            unused += cohorts.drop(connection, cohort_id)
    for some in portions(gone):
        connection.execute(delete(runs).where(runs.c.id.in_(some)))
    connection.execute(delete(studies).where(studies.c.id == number))
    curves.remove_unused(connection)
    in_use = select(studies.c.data_fingerprint)
    connection.execute(delete(labels).where(labels.c.data_fingerprint.not_in(in_use)))
    return len(gone), unused + remove_blocks(connection, _unreferenced(connection))


def own_runs(connection: Connection, name: str) -> list[str]:
    """The runs of a study that no other study uses."""
    number = study_id(connection, name)
    elsewhere = select(study_runs.c.run_id).where(study_runs.c.study_id != number)
    here = select(study_runs.c.run_id).where(study_runs.c.study_id == number)
    return list(connection.scalars(here.where(study_runs.c.run_id.not_in(elsewhere))))


def _unreferenced(connection: Connection) -> list[int]:
    return list(
        connection.scalars(
            select(blocks.c.id).where(
                blocks.c.id.not_in(select(rows.c.block_id)),
                blocks.c.id.not_in(select(kept.c.block_id)),
                blocks.c.id.not_in(select(labels.c.block_id)),
                blocks.c.id.not_in(
                    select(cohort_table.c.block_id).where(cohort_table.c.block_id.is_not(None))
                ),
            )
        )
    )


def check(connection: Connection, folder: Path) -> list[str]:
    """Everything that is wrong with a store, a line each. See `Store.check`."""
    problems = []
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        problems += [f"database: {line}" for line in found if line != "ok"]
    known = known_blocks(connection)
    for block in known:
        try:
            files.verify(folder, block)
            problems += _bad_rows(connection, folder, block)
        except StoreError as error:
            problems.append(str(error))
    finished = select(runs.c.id).where(runs.c.status == "done")  # a run that diverged leaves no weights
    without = finished.where(runs.c.id.not_in(select(rows.c.run_id).where(rows.c.kind == "weights")))
    problems += [f"run {run} has finished, but has no weights" for run in connection.scalars(without)]
    problems += [
        f"{folder / files_block} belongs to nothing" for files_block in _unused_files(connection, known)
    ]
    problems += [
        f"{folder / file} is not in the database"
        for file in files.orphaned(folder, {block.file for block in known})
        if _age(folder / file) > ORPHAN_SECONDS
    ]
    return problems


def _bad_rows(connection: Connection, folder: Path, block: Block) -> list[str]:
    """Runs whose row lies beyond their block."""
    placed: list[tuple[str, int]] = []
    for table in (rows, kept):
        held = select(table.c.run_id, table.c.row).join(blocks, blocks.c.id == table.c.block_id)
        placed += [(run, row) for run, row in connection.execute(held.where(blocks.c.file == block.file))]
    if not placed:
        return []
    num_rows = min((len(tensor) for tensor in files.read(folder, block).values()), default=0)
    return [
        f"run {run}: row {row} of {folder / block.file}, which has {num_rows}"
        for run, row in placed
        if row >= num_rows
    ]


def _unused_files(connection: Connection, known: list[Block]) -> list[str]:
    unused = set(_unreferenced(connection))
    numbers = {row.file: row.id for row in connection.execute(select(blocks.c.file, blocks.c.id))}
    return [block.file for block in known if numbers[block.file] in unused]


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
