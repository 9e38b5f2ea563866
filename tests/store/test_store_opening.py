"""Opening a store: what is there, what isn't one, versions, what can't be written."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ravine.errors import StoreError
from ravine.store import Store
from ravine.store.opening import _read_only


def test_a_store_is_made_and_opened_again(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "runs"
    with Store(root) as store:
        store.save_study("s", definition="d", base="b", data_fingerprint="f")
    with Store(str(root), create=False) as store:
        assert store.study("s").definition == "d"
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.studies()


def test_a_relative_root_outlives_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store() as store:
        monkeypatch.chdir("/")
        store.save_study("s", definition="d", base="b", data_fingerprint="f")
    assert (tmp_path / "runs" / "ravine.db").exists()


def test_reading_a_store_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*nowhere.*ravine\.db"):
        Store(tmp_path / "nowhere", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file: name the folder"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot use"):
        Store(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look at" * 50, b"SQLite format 3\0junk"]
)
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ravine.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"ravine\.db") as error:
        Store(tmp_path)
    assert "\n" not in str(error.value)
    assert (tmp_path / "ravine.db").read_bytes() == content


def test_an_empty_name_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="store '': must be a folder"):
        Store("")
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_the_first_format_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database, database:
        database.execute("ALTER TABLE studies DROP COLUMN notes")
        database.execute("UPDATE meta SET value = '1' WHERE key = 'version'")
    with pytest.raises(StoreError, match="store format 1: open it once where it can be written"):
        _read_only(tmp_path)


def test_someone_elses_database_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreError, match="not a ravine store"):
        Store(tmp_path)


def test_an_empty_database_file_becomes_a_store_only_if_asked(tmp_path: Path) -> None:
    (tmp_path / "ravine.db").write_bytes(b"")
    with pytest.raises(StoreError, match="not a ravine store"):
        Store(tmp_path, create=False)
    with Store(tmp_path) as store:
        assert store.studies() == []


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("9", "update ravine"),
        ("9" * 30, "use another"),
        ("0", "use another folder"),
        ("x", "use another folder"),
    ],
)
def test_other_versions_are_refused(tmp_path: Path, version: str, advice: str) -> None:
    Store(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'version'", [version])
    with pytest.raises(StoreError, match=rf"store format {version[:20]}, this ravine reads 8: {advice}"):
        Store(tmp_path)


# What a format did not have yet.
LACKING = {"2": ("kept", "sharpness"), "3": ("sharpness",)}


@pytest.mark.parametrize("version", LACKING)
def test_a_store_of_a_former_format_is_brought_up_to_date(tmp_path: Path, version: str) -> None:
    with Store(tmp_path) as store:
        store.save_study("old", definition="x", base="b", data_fingerprint="d", notes=["a note"])
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database, database:
        for table in LACKING[version]:
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE meta SET value = ? WHERE key = 'version'", [version])
    with pytest.raises(StoreError, match=f"store format {version}: open it once where it can be written"):
        _read_only(tmp_path)
    with Store(tmp_path, create=False) as store:
        assert store.study("old").notes == ("a note",)
        assert store.kept.steps(["0" * 16]) == {"0" * 16: []}
        assert store.sharpness.read(["0" * 16]) == {}
    _read_only(tmp_path).close()


LACKING_ONLY_TABLES = {
    "5": ("preparations", "scored", "evaluated", "test_times"),
    "6": ("evaluated", "test_times"),
}


@pytest.mark.parametrize("version", LACKING_ONLY_TABLES)
def test_a_store_with_digests_gets_its_tables_and_keeps_its_digests(tmp_path: Path, version: str) -> None:
    with Store(tmp_path) as store:
        store.save_study("old", definition="x", base="b", data_fingerprint="d")
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database, database:
        for table in LACKING_ONLY_TABLES[version]:
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE studies SET definition = 'y'")  # damage, which new digests would hide
        database.execute("UPDATE meta SET value = ? WHERE key = 'version'", [version])
    before = (tmp_path / "ravine.db").read_bytes()
    opened = _read_only(tmp_path)
    opened.close()
    assert (tmp_path / "ravine.db").read_bytes() == before
    with Store(tmp_path, create=False) as store:
        assert (store.preparations.of("old"), store.scored.of("d")) == (None, [])
        assert (store.evaluated.asked("old"), store.evaluated.having("m", ["0" * 16])) == (None, frozenset())
        with pytest.raises(StoreError, match="damaged"):
            store.study("old")
        assert store.digested_at is None


def test_a_store_of_the_first_format_is_brought_up_to_date(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.save_study("old", definition="x", base="b", data_fingerprint="d")
    with contextlib.closing(sqlite3.connect(tmp_path / "ravine.db")) as database, database:
        database.execute("ALTER TABLE studies DROP COLUMN notes")
        database.execute("DROP TABLE kept")
        database.execute("UPDATE meta SET value = '1' WHERE key = 'version'")
    for create in (False, True):
        with Store(tmp_path, create=create) as store:
            assert store.study("old").notes == ()
    with Store(tmp_path) as store:
        store.save_study("old", definition="x", base="b", data_fingerprint="d", notes=["a row was dropped"])
        assert store.study("old").notes == ("a row was dropped",)


def test_sqlite_runs_with_a_write_ahead_log_and_foreign_keys(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store._core.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000, "synchronous": 2}


# In a process of its own: only there may it become someone who is not root.
READ_ONLY = """
import os, sys
from ravine.errors import StoreError
from ravine.store import Store
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    Store(sys.argv[1])
    sys.exit("opened")
except StoreError as error:
    print(error)
try:
    with Store(sys.argv[1], create=False) as store:
        print(store.study("s").definition, store.holder("s"))
        store.save_study("t", definition="d", base="b", data_fingerprint="f")
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("existing", [False, True])
def test_a_store_that_cannot_be_written_is_refused_for_training_but_can_be_read(existing: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs 100%"
        if existing:
            with Store(root) as store:
                store.save_study("s", definition="kept", base="b", data_fingerprint="f")
        for path in (*root.rglob("*"), *([root] if existing else []), Path(folder)):
            path.chmod(0o555 if path.is_dir() else 0o444)
        ran = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(root)], capture_output=True, text=True, timeout=60
        )
        for path in (Path(folder), *root.rglob("*"), root):
            if path.is_dir():
                path.chmod(0o755)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("cannot use ")
    assert "ermission denied" in lines[0]
    if existing:
        assert lines[1] == "kept None"
        assert lines[2].endswith("runs 100%/ravine.db: attempt to write a readonly database")
    else:
        assert lines[1].startswith("no store at ")


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("postgresql+psycopg://u:secret@h/db", "needs a folder"),
        ("mysql://u@h/db?folder=x", "must be a folder or postgresql"),
        ("http://", "database address|must be a folder"),
        ("postgresql+nodriver://h/db?folder=blocks", "driver is not installed"),
    ],
)
def test_addresses_that_will_not_do(
    root: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=said) as error:
        Store(root)
    assert "secret" not in str(error.value)


def test_a_folder_beside_is_only_for_addresses(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="only for a store that is a database address"):
        Store(tmp_path, folder=tmp_path)


def test_importing_the_store_imports_no_torch() -> None:
    code = "import sys, ravine.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
