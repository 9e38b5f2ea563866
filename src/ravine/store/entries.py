"""Rows of the database that stand for blocks."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from ravine.store.blocks import Block
from ravine.store.database import portions
from ravine.store.schema import blocks


def add_block(connection: Connection, block: Block) -> int:
    """Enter a block; returns its number."""
    added = connection.execute(
        insert(blocks).values(file=block.file, kind=block.kind, sha256=block.sha256, size=block.size)
    )
    assert added.inserted_primary_key is not None, "an insert has a key"
    return int(added.inserted_primary_key[0])


def remove_blocks(connection: Connection, numbers: Sequence[int]) -> list[str]:
    """Delete blocks' rows; return their files, to be deleted after the commit."""
    files: list[str] = []
    for some in portions(numbers):
        files += connection.scalars(select(blocks.c.file).where(blocks.c.id.in_(some)))
        connection.execute(delete(blocks).where(blocks.c.id.in_(some)))
    return files


def known_blocks(connection: Connection) -> list[Block]:
    """Every block the database refers to."""
    return [
        Block(file=row.file, kind=row.kind, sha256=row.sha256, size=row.size)
        for row in connection.execute(select(blocks).order_by(blocks.c.id))
    ]
