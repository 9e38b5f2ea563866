"""Connecting to a store's database: pragmas, transactions, the version of its tables."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from ravine.errors import StoreError
from ravine.messages import shown
from ravine.store import schema
from ravine.store.lock import holder_of, now

_LONGEST = 300  # characters of what a database says of an error
# How long a writer waits for another one. Transactions take milliseconds: files are written before.
BUSY_SECONDS = 30.0

Item = TypeVar("Item")


def parse_url(text: str) -> URL:
    """A database address, or a StoreError that says what is wrong with it."""
    try:
        return make_url(text)
    except ArgumentError as error:
        raise StoreError(f"store {text!r} is not a database address: postgresql+psycopg://...") from error


def sqlite_url(path: Path) -> URL:
    """The address of a SQLite file."""
    return URL.create("sqlite", database=str(path))


def read_only_url(path: Path) -> URL:
    """The address of a SQLite file that cannot be written.

    Without a journal beside it nobody is writing, and SQLite need not make the files by which it would notice.
    """
    journal = path.with_name(f"{path.name}-wal")
    written = journal.exists() and journal.stat().st_size > 0
    mode = {"mode": "ro"} if written else {"immutable": "1"}
    return URL.create("sqlite", database=f"file:{quote(str(path))}", query={**mode, "uri": "true"})


def copied(path: Path) -> Engine:
    """A copy in memory of a SQLite file that cannot be written."""
    engine = create_engine(
        URL.create("sqlite"), poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    memory = engine.raw_connection()
    try:
        query = urlencode(dict(read_only_url(path).query))
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?{query}", uri=True)) as file:
            file.backup(memory.driver_connection)  # type: ignore[arg-type]
    except sqlite3.Error as error:
        raise StoreError(f"store {path}: {error}") from error
    finally:
        memory.close()
    return engine


def connect(url: URL) -> Engine:
    """An engine for a database; nothing is opened yet."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        engine = create_engine(url, isolation_level="REPEATABLE READ")
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"store {url.drivername!r}: the driver is not installed ({error})") from error
    event.listen(engine, "begin", _begin_portable)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Python's sqlite3 would begin transactions late, on the first write; _begin_sqlite does it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL: a commit is on disk when it returns; a file may be deleted after it that the former state needs.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write says so at once: one that starts as a reader can't wait for a writer.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_portable(connection: Connection) -> None:
    # One writer at a time, as in SQLite, so that "select, then insert what is missing" holds there too.
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("LOCK TABLE meta IN SHARE ROW EXCLUSIVE MODE")


@contextlib.contextmanager
def transaction(engine: Engine, *, writes: bool) -> Iterator[Connection]:
    """One transaction: all of it or nothing.

    Raises:
        StoreError: the database failed: locked, full, read-only, damaged, or refused a value.
    """
    try:
        with engine.execution_options(writes=writes).begin() as connection:
            yield connection
    except (SQLAlchemyError, UnicodeError, OverflowError) as error:
        raise StoreError(_one_line(engine, error)) from error


def _one_line(engine: Engine, error: Exception) -> str:
    cause: object = error.orig if isinstance(error, DBAPIError) else error
    reason = " ".join(str(cause).split())[:_LONGEST] or type(cause).__name__
    if isinstance(cause, sqlite3.OperationalError) and "locked" in reason:
        files = [Path(f"{describe(engine)}{end}") for end in ("", "-wal", "-shm")]
        reason = (
            f"{holder_of(files)} has been writing to it for {BUSY_SECONDS:.0f} s: wait for it, or stop it"
        )
    return f"store {describe(engine)}: {reason}"


def describe(engine: Engine) -> str:
    """The database's address, for a person, without its password."""
    if engine.url.get_backend_name() == "sqlite":
        return unquote(str(engine.url.database).removeprefix("file:"))
    return engine.url.render_as_string(hide_password=True)


def prepare(engine: Engine, *, create: bool, alone: bool) -> str:
    """See that the tables are there.

    Args:
        engine: of the database.
        create: make the tables if there are none.
        alone: nobody else has this store open, so the journal's mode may be changed.

    Returns:
        The version of the tables.

    Raises:
        StoreError: not a store.
    """
    version = version_of(engine)
    if version is None and create:
        if engine.url.get_backend_name() == "sqlite" and alone:
            _write_ahead(engine)
        with transaction(engine, writes=False) as connection:
            schema.metadata.create_all(connection)
        with transaction(engine, writes=True) as connection:
            if connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version")) is None:
                entries = {"version": str(schema.VERSION), "created_at": now()}
                add_all(connection, schema.meta, [{"key": k, "value": v} for k, v in entries.items()])
        version = str(schema.VERSION)
    if version is None:
        raise StoreError(f"{describe(engine)} is not a ravine store")
    return version


def check_version(engine: Engine, version: str) -> None:
    """See that this program reads a format.

    Raises:
        StoreError: it is another one.
    """
    if version != str(schema.VERSION):
        newer = re.fullmatch("[0-9]{1,9}", version) and int(version) > schema.VERSION
        advice = "update ravine" if newer else "use another folder"
        raise StoreError(
            f"{describe(engine)} has store format {version[:20]}, this ravine reads {schema.VERSION}: {advice}"
        )


def version_of(engine: Engine) -> str | None:
    """The stored version; None for an empty database."""
    with transaction(engine, writes=False) as connection:
        tables = inspect(connection).get_table_names()
        if "meta" not in tables:
            if tables:
                raise StoreError(f"{describe(engine)} is a database, but not a ravine store")
            return None
        _check_plain(connection, engine)
        found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
        return None if found is None else str(found)


def _check_plain(connection: Connection, engine: Engine) -> None:
    """See that the database has tables and indexes alone: views and triggers are programs, which may run for ever.

    Raises:
        StoreError: it has another thing.
    """
    if engine.url.get_backend_name() != "sqlite":
        return
    found = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
    ).first()
    if found is not None:
        kind = "virtual table" if found.type == "table" else found.type
        raise StoreError(
            f"store {describe(engine)}: the database has a {kind}, {shown(found.name)}: a store has plain tables "
            "alone, and nothing in it is executed"
        )


def _write_ahead(engine: Engine) -> None:
    # Readers then never wait for the writer. Kept in the file; can't be set inside a transaction.
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise StoreError(f"store {describe(engine)}: {error}") from error
    finally:
        connection.close()


def add_all(connection: Connection, table: Any, values: Sequence[dict[str, Any]]) -> None:
    """Insert rows in one call; none is fine."""
    if values:
        connection.execute(insert(table), values)


def portions(items: Iterable[Item], size: int = 5000) -> Iterator[list[Item]]:
    """Lists short enough for an SQL `IN`: SQLite takes 32,766 values in one statement.

    Example:
        >>> list(portions("abc", size=2))
        [['a', 'b'], ['c']]
    """
    whole = list(items)
    for start in range(0, len(whole), size):
        yield whole[start : start + size]
