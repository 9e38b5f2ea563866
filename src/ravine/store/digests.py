"""A digest of each row: what was written is what is read, or the store says that it is damaged.

SQLite notices damage to the structure of its file, not to a number in it. A digest is no signature: it shows a flipped
bit, not somebody who changes a row and its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Connection, Double, LargeBinary, Row, Table, Text, insert

from ravine.errors import StoreError

_LENGTH = 32  # hex digits
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def digest_of(table: Table, values: Mapping[str, Any], more: Sequence[Any] = ()) -> str:
    """The digest of a row.

    Args:
        table: the row's.
        values: of its columns, by name; those that are not there are NULL.
        more: plain data of other tables that belong to it.

    Raises:
        ValueError: a value is of another type than its column.
    """
    return _digest(table, [values.get(name) for name in table.columns.keys()], more)  # noqa: SIM118


def _digest(table: Table, values: Sequence[Any], more: Sequence[Any]) -> str:
    """The same of values in the order of the columns."""
    found = hashlib.sha256()
    plain: list[Any] = [table.name, more]
    for (name, wanted), value in zip(_types(table), values, strict=True):
        if wanted is None:
            continue
        exact = value if value is None or type(value) is wanted else _converted(name, wanted, value)
        if isinstance(exact, bytes):
            found.update(hashlib.sha256(exact).digest())
        else:
            plain.append(exact)
    found.update(_encode(plain).encode())
    return found.hexdigest()[:_LENGTH]


@cache
def _types(table: Table) -> tuple[tuple[str, type | None], ...]:
    """What each column has; None for the digest, and for the number of a row, which the database gives it."""
    types: list[tuple[str, type | None]] = []
    for column in table.columns:
        of_row = column.name == "id" and not isinstance(column.type, Text)
        if column.name == "digest" or of_row:
            wanted: type | None = None
        elif isinstance(column.type, LargeBinary):
            wanted = bytes
        elif isinstance(column.type, Text):
            wanted = str
        elif isinstance(column.type, Boolean):
            wanted = bool
        else:
            wanted = float if isinstance(column.type, Double) else int
        types.append((column.name, wanted))
    return tuple(types)


def _converted(name: str, wanted: type, value: Any) -> Any:
    """A value as the database gives it back."""
    if wanted is float and isinstance(value, int | float):
        return float(value)
    if wanted is int and hasattr(value, "__index__"):
        return int(value)
    if not isinstance(value, wanted):
        raise ValueError(f"{name}: {type(value).__name__}, not {wanted.__name__}")
    return wanted(value)


def add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows with their digests; none is fine."""
    if rows:
        connection.execute(insert(table), [{**row, "digest": digest_of(table, row)} for row in rows])


def verify(table: Table, row: Row[Any], about: str, more: Sequence[Any] = (), *, first: int = 0) -> None:
    """Compare a row with its digest.

    Args:
        table: the row's.
        row: as read, with all columns of the table in their order.
        about: what it says something of, for the error.
        more: as for `digest_of`.
        first: where the table's columns begin in the row.

    Raises:
        StoreError: it has changed since it was written.
    """
    values = tuple(row)[first : first + len(table.columns)]
    try:
        sound = values[table.columns.keys().index("digest")] == _digest(table, values, more)
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise StoreError(
            f"{about}: the store's entry is damaged (table {table.name!r}): restore a backup, or delete its study; "
            "`ravine check` lists all damage"
        )
