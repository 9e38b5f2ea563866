"""kill -9 between any two statements of an upgrade: the store is of the old format or the new one, and whole."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from ravine.store import Store
from ravine.store.schema import VERSION

FORMAT4 = Path(__file__).parent / "fixtures" / "format4" / "store.tar.gz"
SINCE = {
    6: ("preparations", "scored"),
    7: ("evaluated", "test_times"),
}  # the tables that each format has more


def of_format(version: int, folder: Path) -> Path:
    """A store of an earlier format, from 4 on."""
    with tarfile.open(FORMAT4) as archive:
        archive.extractall(folder, filter="data")
    root = folder / "runs"
    if version > 4:
        with Store(root, create=False):
            pass
        with closing(sqlite3.connect(root / "ravine.db")) as database:
            for table in (name for since, names in SINCE.items() if since > version for name in names):
                database.execute(f"DROP TABLE {table}")
            database.execute("UPDATE meta SET value = ? WHERE key = 'version'", (str(version),))
            database.commit()
    return root


def rows(root: Path) -> dict[str, list[Any]]:
    """All that a store contains, but for when it was upgraded, and the names of its files."""
    with closing(sqlite3.connect(root / "ravine.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: sorted(database.execute(f"SELECT * FROM {name}"), key=repr) for name in sorted(tables)}
    found["meta"] = [each for each in found["meta"] if each[0] != "digests_made_at"]
    return {**found, "files": sorted(path.name for path in (root / "blocks").iterdir())}


def opened_in_child(root: Path, last: int | None = None) -> int | None:
    """Opens a store in another process, which is killed before one of its statements.

    Returns:
        None where it came to its end, else how it was killed.
    """
    child = os.fork()
    if child == 0:
        number = 0

        def count(*_: Any) -> None:
            nonlocal number
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)
            number += 1

        event.listen(Engine, "before_cursor_execute", count)
        event.listen(Engine, "commit", count)
        with Store(root, create=False):
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


@pytest.mark.slow
@pytest.mark.parametrize("version", range(4, VERSION))
def test_killed_before_any_statement(version: int, tmp_path: Path) -> None:
    """What is there afterwards is what an upgrade in peace leaves, after which nothing is trained again."""
    old = of_format(version, tmp_path / "old")
    whole = Path(shutil.copytree(old, tmp_path / "whole"))
    with Store(whole, create=False) as store:
        assert store.check() == []
    before, after = rows(old), rows(whole)
    assert ("version", str(version)) in before["meta"]
    assert ("version", str(VERSION)) in after["meta"]
    assert len(after["runs"]) > 40
    seen = []
    step = 7 if version == 4 else 1  # which has hundreds of statements
    while True:
        root = Path(shutil.copytree(old, tmp_path / "killed"))
        if opened_in_child(root, step * len(seen)) is None:
            break
        left = rows(root)
        assert left in (before, after), f"half upgraded after {step * len(seen)} statements"
        seen.append(left == after)
        assert opened_in_child(root) is None
        assert rows(root) == after
        shutil.rmtree(root)
    assert seen == sorted(seen)
    assert seen.count(False) > 10
    assert seen[-1], "nor was it killed as soon as the upgrade was there"
