"""Reads everything in a store, and lists what is wrong."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, inspect, select

from ravine.errors import StoreError
from ravine.messages import shown
from ravine.store import blocks as files
from ravine.store import bodies, cohorts, curves, digests, evaluated, labels, studies
from ravine.store import schema as tables
from ravine.store.averaged import average_of
from ravine.store.core import Core
from ravine.store.entries import block_of, known_files, members
from ravine.store.preparations import content_of
from ravine.store.records import parsed
from ravine.store.scored import scoring_of
from ravine.store.upkeep import unreferenced

# A file younger than this may belong to a process that has not committed yet.
ORPHAN_SECONDS = 3600.0


def check(core: Core) -> list[str]:
    """Everything that is wrong with a store, a line each. See `Store.check`."""
    problems: list[str] = []
    # A transaction each: one part may be beyond reading.
    for part in (_database, _studies, _runs, _places, _cohorts, _curves, _measured, _labels, _blocks, _files):
        try:
            with core.read() as connection:
                problems += part(connection, core.blocks)
        except StoreError as error:
            problems.append(str(error))
    return list(dict.fromkeys([*problems, *bodies.damaged(core)]))


def _database(connection: Connection, _folder: Path) -> Iterator[str]:
    """The database's own checks; what PostgreSQL has of them is done whenever a page is read."""
    known = inspect(connection).get_table_names()
    for table in tables.metadata.sorted_tables:
        if table.name not in known:
            yield f"database: table {table.name!r} is missing"
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        yield from (f"database: {line}" for line in found if line != "ok")
        for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            yield f"database: row {row} of {table!r} refers to something in {parent!r} that is not there"


def _each(connection: Connection, query: Select[Any], read: Callable[[Row[Any]], object]) -> Iterator[str]:
    """Read each row and return the errors."""
    for row in connection.execution_options(yield_per=500).execute(query):
        try:
            read(row)
        except StoreError as error:
            yield str(error)


def _studies(connection: Connection, _folder: Path) -> Iterator[str]:
    yield from _each(connection, select(tables.studies), studies.study_of)
    for row in connection.execute(select(tables.studies.c.id, tables.studies.c.name)).all():
        lacks = studies.missing(connection, row.id)
        if lacks is not None:
            yield f"study {shown(row.name)}: {lacks}"
    yield from _each(connection, select(tables.launches), studies.launch_of)


def _runs(connection: Connection, _folder: Path) -> Iterator[str]:
    measured: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for metric in connection.execute(select(tables.metrics)):
        measured[metric.run_id][metric.name] = metric.value
    runs, here = tables.runs, tables.study_runs
    joined = select(runs, here).join(here, here.c.run_id == runs.c.id)
    yield from _each(connection, joined, lambda row: studies.run_of(row, measured[row._mapping[runs.c.id]]))
    alone = select(runs).where(runs.c.id.not_in(select(here.c.run_id)))
    yield from _each(connection, alone, lambda row: studies.check_run(row, measured[row.id]))
    # A run that diverged leaves no weights.
    weights = select(tables.rows.c.run_id).where(tables.rows.c.kind == "weights")
    without = select(runs.c.id).where(runs.c.status == "done", runs.c.id.not_in(weights))
    for run in connection.scalars(without):
        yield f"run {run} has finished, but has no weights"


def _places(connection: Connection, folder: Path) -> Iterator[str]:
    """Where the tensors of runs are said to be."""
    blocks = {row.id: row for row in connection.execute(select(tables.blocks))}
    lengths: dict[int, int | None] = {}

    def length(number: int) -> int | None:
        """Rows of a block; None where its file cannot be read, which `_blocks` reports."""
        if number not in lengths:
            try:
                lengths[number] = files.num_rows(folder, block_of(blocks[number]))
            except (StoreError, KeyError):
                lengths[number] = None
        return lengths[number]

    for table in (tables.rows, tables.kept, tables.evaluated):

        def place(row: Row[Any], table: Table = table) -> None:
            most = length(row.block_id)
            if most is not None and (not isinstance(row.row, int) or not 0 <= row.row < most):
                file = folder / str(blocks[row.block_id].file)
                raise StoreError(f"run {row.run_id}: row {row.row} of {file}, which has {most}")
            digests.verify(table, row, f"tensors of run {row.run_id}")

        yield from _each(connection, select(table), place)


def _verified(table: Table, about: Callable[[Row[Any]], str]) -> Callable[[Row[Any]], None]:
    return lambda row: digests.verify(table, row, about(row))


def _cohorts(connection: Connection, _folder: Path) -> Iterator[str]:
    for row in connection.execute(select(tables.cohorts)).all():
        try:
            cohorts.record(row, members(connection, row.id))
        except StoreError as error:
            yield str(error)


def _curves(connection: Connection, _folder: Path) -> Iterator[str]:
    groups, chunks = tables.curve_groups, tables.curve_chunks
    joined = select(chunks, groups.c.num_runs).join(groups, groups.c.id == chunks.c.group_id)
    yield from _each(connection, joined, curves.chunk_of)
    sizes = {row.id: row.num_runs for row in connection.execute(select(groups))}

    def column(row: Row[Any]) -> None:
        about = f"curves of run {row.run_id}"
        digests.verify(tables.curve_columns, row, about)
        size = sizes.get(row.group_id, 0)
        if not isinstance(size, int) or not 0 <= row.column < size:
            raise StoreError(f"{about}: the store's entry is damaged: column {row.column} of {shown(size)}")

    yield from _each(connection, select(tables.curve_columns), column)
    # Runs have their columns from their first points on.
    for group in sizes.keys() - set(connection.scalars(select(chunks.c.group_id))):
        yield f"curves of group {group}: all of its points are missing"
    if connection.scalar(select(chunks.c.id).limit(1)) is not None:
        known = select(tables.curve_columns.c.run_id)
        runs = tables.runs
        for run in connection.scalars(
            select(runs.c.id).where(runs.c.status == "done", runs.c.id.not_in(known))
        ):
            yield f"run {run} has finished, but has no curves, and others have"
    # The metrics of some runs are written together, those of an average perhaps later: where one has other steps, a
    # chunk is missing.
    steps: defaultdict[tuple[int, str], defaultdict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in connection.execute(select(chunks.c.group_id, chunks.c.metric, chunks.c.first_step)):
        metric = str(row.metric)
        steps[row.group_id, average_of(metric)][metric].add(row.first_step)
    for (group, _), found in steps.items():
        for metric in sorted(found):
            for step in sorted(set().union(*found.values()) - found[metric]):
                yield f"curve {metric[:60]!r} of group {group}: its points from step {step} on are missing"
    cuts = _verified(tables.curve_cuts, lambda row: f"curves of run {row.run_id}")
    yield from _each(connection, select(tables.curve_cuts), cuts)


def _measured(connection: Connection, _folder: Path) -> Iterator[str]:
    def measurement(row: Row[Any]) -> None:
        about = f"sharpness of run {row.run_id}"
        digests.verify(tables.sharpness, row, about)
        for text in (row.settings, row.found):
            parsed(text, dict, about)

    yield from _each(connection, select(tables.sharpness), measurement)
    yield from _each(connection, select(tables.preparations), content_of)
    yield from _each(connection, select(tables.test_times), evaluated.content_of)
    yield from _each(connection, select(tables.scored), scoring_of)


def _labels(connection: Connection, folder: Path) -> Iterator[str]:
    joined = select(tables.labels, tables.blocks).join(
        tables.blocks, tables.blocks.c.id == tables.labels.c.block_id
    )

    def read(row: Row[Any]) -> None:
        files.verify(folder, labels.block_in(row))
        labels.load(folder, row)

    yield from _each(connection, joined, read)


def _blocks(connection: Connection, folder: Path) -> Iterator[str]:
    query = select(tables.blocks).order_by(tables.blocks.c.id)
    yield from _each(connection, query, lambda row: files.verify(folder, block_of(row)))
    unused = set(unreferenced(connection))
    for row in connection.execute(select(tables.blocks)):
        if row.id in unused:
            yield f"{folder / str(row.file)}: nothing refers to this block"


def _files(connection: Connection, folder: Path) -> Iterator[str]:
    for file in files.orphaned(folder, known_files(connection)):
        if _age(folder / file) > ORPHAN_SECONDS:
            yield f"{folder / file} is not in the database"


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0
