"""What every part of an open store is made of: transactions, and blocks that enter the database with one."""

from __future__ import annotations

import contextlib
import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from sqlalchemy import Connection

from ravine.errors import StoreError
from ravine.store import blocks, database
from ravine.store.blocks import Block
from ravine.store.entries import known_files
from ravine.store.opening import Opened

_Key = TypeVar("_Key")


@final
class Core:
    """A database, and the two folders beside it.

    Args:
        opened: what was opened; closed at the latest when this is collected.
        name: the store's, for people to read.
    """

    def __init__(self, opened: Opened, name: str) -> None:
        self.blocks: Path = opened.blocks
        self.locks: Path = opened.locks
        self.engine = opened.engine
        self.name = name
        self._read_only = opened.held is None
        self.close = weakref.finalize(self, opened.close)
        self._verified: set[Block] = set()

    def read(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that reads."""
        return self._transaction(writes=False)

    def write(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that writes: all of it or nothing.

        Raises:
            StoreError: the store can only be read.
        """
        if self._read_only:  # what is read may be a copy, which would take it
            raise StoreError(f"store {self.name}/ravine.db: attempt to write a readonly database")
        return self._transaction(writes=True)

    def _transaction(self, *, writes: bool) -> contextlib.AbstractContextManager[Connection]:
        if not self.close.alive:
            raise StoreError(f"the store {self.name!r} is closed")
        return database.transaction(self.engine, writes=writes)

    def verify(self, block: Block) -> None:
        """Compare a block with its hash, once for each open store.

        Raises:
            StoreError: it is missing or damaged.
        """
        if block not in self._verified:
            blocks.verify(self.blocks, block)
            self._verified.add(block)

    def rows(self, found: Mapping[Block, Sequence[tuple[_Key, int]]]) -> dict[_Key, dict[str, np.ndarray]]:
        """Rows of blocks, each block opened once.

        Args:
            found: for each block what its rows are of, and where they are.

        Raises:
            StoreError: a block is missing or damaged.
        """
        read: dict[_Key, dict[str, np.ndarray]] = {}
        for block, places in found.items():
            self.verify(block)
            rows = blocks.read_rows(self.blocks, block, [row for _, row in places])
            read.update(zip((key for key, _ in places), rows, strict=True))
        return read

    def along(self, places: Sequence[tuple[int, Block, int]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """What one run has after several of its steps.

        Args:
            places: step, block and row, in any order.

        Returns:
            Steps done, rising, int64 (T,), and by name the tensors after them, (T, ...); T is 0, and there are no
            tensors, where there are no places.

        Raises:
            StoreError: a block is missing or damaged.
        """
        ordered = sorted(places, key=lambda place: place[0])
        of_block: dict[Block, list[tuple[int, int]]] = defaultdict(list)
        for number, (_, block, row) in enumerate(ordered):
            of_block[block].append((number, row))
        read = self.rows(of_block)
        steps = np.array([step for step, _, _ in ordered], dtype=np.int64)
        names = read[0] if ordered else ()
        return steps, {
            name: np.stack([read[number][name] for number in range(len(ordered))]) for name in names
        }

    def remove(self, files: Sequence[str]) -> None:
        """Delete the files of blocks that have left the database."""
        blocks.remove(self.blocks, files)

    @contextlib.contextmanager
    def entered(
        self, contents: Mapping[str, blocks.Tensors]
    ) -> Iterator[tuple[Connection, dict[str, Block], list[str]]]:
        """Blocks on disk, then a transaction that enters them, then the files it replaced are deleted.

        Args:
            contents: tensors by name, by kind.

        Yields:
            The connection, the blocks by kind, and a list to which to add the files that fall out of use.
        """
        written = blocks.write(self.blocks, contents)
        unused: list[str] = []
        try:
            with self.write() as connection:
                yield connection, written, unused
        except BaseException:
            self._discard(written)
            raise
        self.remove(unused)

    def _discard(self, written: Mapping[str, Block]) -> None:
        """Delete blocks that were not entered. A Ctrl-C may have come just after the commit: so ask."""
        with contextlib.suppress(StoreError):
            with self.read() as connection:
                known = known_files(connection)
            self.remove([block.file for block in written.values() if block.file not in known])
