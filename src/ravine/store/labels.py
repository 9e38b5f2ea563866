"""The right answers of data sets: a row that names the data, and a block with the arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from ravine.errors import StoreError
from ravine.store import digests
from ravine.store.blocks import Block, read
from ravine.store.core import Core
from ravine.store.entries import add_block, block_of
from ravine.store.records import Labels, parsed
from ravine.store.schema import blocks, labels

_PARTS = ("validation", "test")
_WEIGHTS = ("validation_weights", "test_weights")


class StoredLabels:
    """The part of a store with the right answers of data sets. A store has one: ``store.labels``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def put(self, fingerprint: str, new: Labels) -> None:
        """Keep those of a data set; does nothing if they are there already."""
        with self._core.read() as connection:
            if find(connection, fingerprint) is not None:
                return
        tensors = tensors_of(new)
        with self._core.entered({"labels": tensors}) as (connection, written, unused):
            unused += add(connection, fingerprint, new, written["labels"])

    def has(self, fingerprint: str) -> bool:
        """Whether those of a data set are there."""
        with self._core.read() as connection:
            return find(connection, fingerprint) is not None

    def of(self, fingerprint: str) -> Labels:
        """Those of a data set.

        Raises:
            StoreError: they were never kept, or are damaged.
        """
        with self._core.read() as connection:
            row = find(connection, fingerprint)
        if row is None:
            raise StoreError(f"no labels of data {fingerprint!r} in the store")
        self._core.verify(block_in(row))
        return load(self._core.blocks, row)


def tensors_of(new: Labels) -> dict[str, np.ndarray]:
    """What their block has."""
    scale = {"scale": np.array(new.scale, dtype=np.float64)} if new.scale else {}
    mean = {} if new.training_mean is None else {"training_mean": new.training_mean}
    weights = {} if new.weights is None else dict(zip(_WEIGHTS, new.weights, strict=True))
    return {"validation": new.validation, "test": new.test, **mean, **scale, **weights}


def find(connection: Connection, fingerprint: str) -> Row[Any] | None:
    """The row of a data set, joined with its block's; None if it isn't there."""
    joined = select(labels, blocks).join(blocks, blocks.c.id == labels.c.block_id)
    return connection.execute(joined.where(labels.c.data_fingerprint == fingerprint)).one_or_none()


def add(connection: Connection, fingerprint: str, new: Labels, block: Block) -> list[str]:
    """Enter labels that were written; returns the files to delete: someone else may have been quicker."""
    if find(connection, fingerprint) is not None:
        return [block.file]
    row = {
        "data_fingerprint": fingerprint,
        "name": new.name,
        "task": new.task,
        "classes": json.dumps(new.classes or new.targets),
        "sizes": json.dumps(new.sizes),
        "block_id": add_block(connection, block),
    }
    digests.add(connection, labels, [row])
    return []


def block_in(row: Row[Any]) -> Block:
    """The block of a row that `find` returned."""
    return block_of(row, len(labels.columns))


def load(folder: Path, row: Row[Any]) -> Labels:
    """Labels out of a row that `find` returned and its block, which must have been verified.

    Raises:
        StoreError: the row is damaged, or the block has other tensors than labels have.
    """
    about = f"labels of data {row.data_fingerprint}"
    digests.verify(labels, row, about)
    tensors = read(folder, block_in(row))
    classes, sizes = parsed(row.classes, list, about), parsed(row.sizes, list, about)
    names = tuple(map(str, classes))
    several = row.task == "multilabel" or (row.task == "regression" and bool(names))
    shape = (len(names),) if several else ()
    scale = tensors.get("scale", np.zeros(0))
    weights = [tensors[name] for name in _WEIGHTS if name in tensors]
    if (
        len(sizes) != 3
        or any(
            name not in tensors or tensors[name].shape[1:] != shape or not tensors[name].ndim
            for name in _PARTS
        )
        or scale.shape != (shape if several and row.task == "regression" else (0,))
        or (weights and [each.shape for each in weights] != [(len(tensors[name]),) for name in _PARTS])
    ):
        raise StoreError(f"{about}: {folder / row.file} has other tensors than labels")
    return Labels(
        name=row.name,
        task=row.task,
        classes=() if row.task == "regression" else names,
        sizes=(sizes[0], sizes[1], sizes[2]),
        validation=tensors["validation"],
        test=tensors["test"],
        training_mean=tensors.get("training_mean"),
        targets=names if row.task == "regression" else (),
        scale=tuple(scale.tolist()),
        weights=(weights[0], weights[1]) if weights else None,
    )
