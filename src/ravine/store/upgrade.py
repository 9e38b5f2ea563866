"""Upgrades the tables of an earlier format to this one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, inspect, select, text, update

from ravine.store import digests, schema
from ravine.store.database import portions
from ravine.store.entries import members
from ravine.store.lock import now
from ravine.store.schema import cohorts, launches, metrics, runs
from ravine.store.studies import run_digest

EARLIER = ("1", "2", "3", "4", "5", "6", "7")
COPIED = ("4", "5", "6", "7")  # that can be read where nothing can be written: a copy gets what they lack
_DIGESTED = "digests_made_at"  # the key under which `meta` says when a store without digests got them


def bring_up(connection: Connection, version: str) -> None:
    """Add what a store of an earlier format lacks: columns, tables, digests.

    Args:
        connection: in a transaction that writes.
        version: one of `EARLIER`.
    """
    if version in ("5", "6", "7"):  # have digests, which must stay as they are, and lack at most tables
        schema.metadata.create_all(connection)
        _set(connection, version=str(schema.VERSION))
        return
    if "notes" not in _columns(connection, schema.studies):
        connection.execute(text("ALTER TABLE studies ADD COLUMN notes TEXT NOT NULL DEFAULT '[]'"))
    schema.metadata.create_all(connection)  # tables that it lacks
    if "file" not in _columns(connection, launches):
        connection.execute(text("ALTER TABLE launches ADD COLUMN file TEXT"))
        _name_files(connection)
    for table in schema.metadata.sorted_tables:
        if "digest" in table.columns:
            if "digest" not in _columns(connection, table):
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN digest TEXT"))
            _make_digests(connection, table)
    _set(connection, version=str(schema.VERSION), **{_DIGESTED: f"{now()}, from format {version}"})


def _set(connection: Connection, **values: str) -> None:
    """Change what `meta` says."""
    for key, value in values.items():
        connection.execute(schema.meta.delete().where(schema.meta.c.key == key))
        connection.execute(schema.meta.insert().values(key=key, value=value))


def digested_at(connection: Connection) -> str | None:
    """When a store that had no digests got them. See `Store.digested_at`."""
    return connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == _DIGESTED))


def _columns(connection: Connection, table: Table) -> set[str]:
    if not inspect(connection).has_table(table.name):
        return {column.name for column in table.columns}  # it is about to be made whole
    return {column["name"] for column in inspect(connection).get_columns(table.name)}


def _name_files(connection: Connection) -> None:
    """Enter the file of each launch, which only its command says in such a store."""
    number, command = launches.c.id, launches.c.command
    for row in connection.execute(select(number, command)).all():
        try:
            words = shlex.split(row.command)
        except (ValueError, AttributeError):  # no command line
            continue
        if words[:2] == ["ravine", "run"] and len(words) > 2:
            connection.execute(update(launches).where(number == row.id).values(file=words[2]))


def _make_digests(connection: Connection, table: Table) -> None:
    keys = list(table.primary_key.columns)
    found = []
    for row in _rows(connection, table):
        values = row._asdict()
        try:
            digest = _digest(connection, table, values)
        except ValueError:  # a value of another type than its column: damaged already; reading it says so
            continue
        found.append({**{f"key_{key.name}": values[key.name] for key in keys}, "new_digest": digest})
    change = update(table).values(digest=bindparam("new_digest"))
    for key in keys:
        change = change.where(key == bindparam(f"key_{key.name}"))
    for some in portions(found):
        connection.execute(change, some)


def _rows(connection: Connection, table: Table) -> Iterator[Row[Any]]:
    """The rows, a few at a time: chunks of curves are large."""
    return iter(connection.execution_options(yield_per=500).execute(select(table)))


def _digest(connection: Connection, table: Table, values: dict[str, Any]) -> str:
    if table is runs:
        query = select(metrics.c.name, metrics.c.value).where(metrics.c.run_id == values["id"])
        return run_digest(values, {row.name: row.value for row in connection.execute(query)})
    more = [members(connection, values["id"])] if table is cohorts else []
    return digests.digest_of(table, values, *more)
