"""The right answers of data sets: a row that names the data, and a block with the arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from ravine.store.blocks import Block, read
from ravine.store.entries import add_block
from ravine.store.records import Labels
from ravine.store.schema import blocks, labels


def find(connection: Connection, fingerprint: str) -> Any | None:
    """The row of a data set, joined with its block's; None if it isn't there."""
    joined = select(labels, blocks).join(blocks, blocks.c.id == labels.c.block_id)
    return connection.execute(joined.where(labels.c.data_fingerprint == fingerprint)).one_or_none()


def add(connection: Connection, fingerprint: str, new: Labels, block: Block) -> list[str]:
    """Enter labels that were written; returns the files to delete: someone else may have been quicker."""
    if find(connection, fingerprint) is not None:
        return [block.file]
    connection.execute(
        insert(labels).values(
            data_fingerprint=fingerprint,
            name=new.name,
            task=new.task,
            classes=json.dumps(new.classes),
            sizes=json.dumps(new.sizes),
            block_id=add_block(connection, block),
        )
    )
    return []


def block_of(row: Any) -> Block:
    """The block of a row that `find` returned."""
    return Block(file=row.file, kind=row.kind, sha256=row.sha256, size=row.size)


def load(folder: Path, row: Any) -> Labels:
    """Labels out of a row that `find` returned and its block, which must have been verified."""
    tensors = read(folder, block_of(row))
    train, validation, test = json.loads(row.sizes)
    return Labels(
        name=row.name,
        task=row.task,
        classes=tuple(json.loads(row.classes)),
        sizes=(train, validation, test),
        validation=tensors["validation"],
        test=tensors["test"],
    )
