"""Rows that several parts of a store read: blocks, and the runs of cohorts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, delete, insert, select

from ravine.store.blocks import Block, check_name
from ravine.store.database import portions
from ravine.store.digests import digest_of, verify
from ravine.store.schema import blocks, cohort_runs


def add_block(connection: Connection, block: Block) -> int:
    """Enter a block; returns its number."""
    row = {"file": block.file, "kind": block.kind, "sha256": block.sha256, "size": block.size}
    added = connection.execute(insert(blocks).values(**row, digest=digest_of(blocks, row)))
    assert added.inserted_primary_key is not None, "an insert has a key"
    return int(added.inserted_primary_key[0])


def remove_blocks(connection: Connection, numbers: Sequence[int]) -> list[str]:
    """Delete blocks' rows; return their files, to be deleted after the commit.

    Raises:
        StoreError: one of them has no block's name.
    """
    files: list[str] = []
    for some in portions(numbers):
        files += map(check_name, connection.scalars(select(blocks.c.file).where(blocks.c.id.in_(some))))
        connection.execute(delete(blocks).where(blocks.c.id.in_(some)))
    return files


def unused_blocks(connection: Connection, column: Column[int], numbers: Iterable[int]) -> list[int]:
    """Those of some blocks to which no row refers any more, by number.

    Args:
        connection: of a transaction.
        column: where rows of their kind name a block.
        numbers: of the blocks.
    """
    wanted = sorted(numbers)
    used: set[int] = set()
    for some in portions(wanted):
        used.update(connection.scalars(select(column).where(column.in_(some))))
    return [number for number in wanted if number not in used]


def block_of(row: Row[Any], first: int = 0) -> Block:
    """The block of a row that has all columns of `blocks`, from the column with this number on.

    Raises:
        StoreError: the row is damaged, or names something else than a block.
    """
    values = dict(zip(blocks.columns.keys(), tuple(row)[first:], strict=False))
    verify(blocks, row, f"block {str(values['file'])[:60]!r}", first=first)
    found = {name: values[name] for name in ("file", "kind", "sha256", "size")}
    check_name(found["file"])
    return Block(**found)


def known_files(connection: Connection) -> set[str]:
    """The file names of every block that the database refers to."""
    return set(connection.scalars(select(blocks.c.file)))


def members(connection: Connection, cohort_id: str) -> list[str]:
    """The runs of a cohort, in its order."""
    query = select(cohort_runs.c.run_id).where(cohort_runs.c.cohort_id == cohort_id)
    return list(connection.scalars(query.order_by(cohort_runs.c.position)))
