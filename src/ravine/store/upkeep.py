"""Deleting a study."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select

from ravine.store import cohorts, curves
from ravine.store.database import portions
from ravine.store.entries import members, remove_blocks
from ravine.store.schema import blocks, cohort_runs, evaluated, kept, labels, rows, runs, studies, study_runs
from ravine.store.schema import cohorts as cohort_table
from ravine.store.studies import study_id

_FINGERPRINT = 64  # digits of a SHA-256


def delete_study(connection: Connection, name: str) -> tuple[int, list[str]]:
    """Delete a study and the runs that no other uses.

    Returns:
        The number of runs, and the files to delete after the commit.
    """
    number = study_id(connection, name)
    gone = own_runs(connection, name)
    unused = []
    for cohort_id in _cohorts_with(connection, gone):
        unused += cohorts.drop(connection, cohort_id)
    for some in portions(gone):
        connection.execute(delete(runs).where(runs.c.id.in_(some)))
    connection.execute(delete(studies).where(studies.c.id == number))
    curves.remove_unused(connection)
    in_use = select(studies.c.data_fingerprint)
    of_whole = func.substr(labels.c.data_fingerprint, 1, _FINGERPRINT)  # folds have theirs behind it
    connection.execute(delete(labels).where(of_whole.not_in(in_use)))
    return len(gone), unused + remove_blocks(connection, unreferenced(connection))


def _cohorts_with(connection: Connection, run_ids: Sequence[str]) -> list[str]:
    """The unfinished cohorts that have any of these runs."""
    found: set[str] = set()
    for some in portions(run_ids):
        found.update(
            connection.scalars(select(cohort_runs.c.cohort_id).where(cohort_runs.c.run_id.in_(some)))
        )
    return sorted(found)


def sharing_cohorts(connection: Connection, name: str) -> list[str]:
    """The other studies that have runs in a cohort which `delete_study` would drop."""
    number = study_id(connection, name)
    found: set[str] = set()
    for cohort_id in _cohorts_with(connection, own_runs(connection, name)):
        of_it = study_runs.c.run_id.in_(members(connection, cohort_id))
        query = select(studies.c.name).join(study_runs, study_runs.c.study_id == studies.c.id)
        found.update(connection.scalars(query.where(studies.c.id != number, of_it)))
    return sorted(found)


def own_runs(connection: Connection, name: str) -> list[str]:
    """The runs of a study that no other study uses."""
    number = study_id(connection, name)
    elsewhere = select(study_runs.c.run_id).where(study_runs.c.study_id != number)
    here = select(study_runs.c.run_id).where(study_runs.c.study_id == number)
    return list(connection.scalars(here.where(study_runs.c.run_id.not_in(elsewhere))))


def shared_runs(connection: Connection, name: str) -> dict[str, int]:
    """The other studies that use runs of a study, each with how many."""
    number = study_id(connection, name)
    here = select(study_runs.c.run_id).where(study_runs.c.study_id == number)
    query = (
        select(studies.c.name, func.count())
        .join(study_runs, study_runs.c.study_id == studies.c.id)
        .where(studies.c.id != number, study_runs.c.run_id.in_(here))
        .group_by(studies.c.name)
        .order_by(studies.c.name)
    )
    return {other: int(num) for other, num in connection.execute(query)}


def unreferenced(connection: Connection) -> list[int]:
    """The numbers of blocks that nothing refers to."""
    return list(
        connection.scalars(
            select(blocks.c.id).where(
                blocks.c.id.not_in(select(rows.c.block_id)),
                blocks.c.id.not_in(select(kept.c.block_id)),
                blocks.c.id.not_in(select(evaluated.c.block_id)),
                blocks.c.id.not_in(select(labels.c.block_id)),
                blocks.c.id.not_in(
                    select(cohort_table.c.block_id).where(cohort_table.c.block_id.is_not(None))
                ),
            )
        )
    )
